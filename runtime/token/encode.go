package token

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Encode returns the ids of text. Added tokens are matched first, leftmost and longest, in the text as given; what
// lies between two of them is normalised (never across), split into words, and each word encoded on its own. It adds
// no token that is not in the text, which is what a chat template wants: its rendering holds the special tokens
// already. So text from outside can hold control tokens: a caller that must rule that out looks for the SpecialTokens
// in it first.
//
// Bytes that are no UTF-8, which the reference cannot be given, keep their tokens in a byte-level vocabulary and in one
// with byte fallback; elsewhere each is an unknown rune, which BERT's normalizer drops.
func (t *Tokenizer) Encode(text string) []int {
	out := make([]int, 0, len(text)/3+4)
	return t.append(out, text)
}

// EncodeWithSpecial is Encode with the tokens around the text that the file's post_processor asks for: [CLS] and [SEP]
// of an encoder, the <s> of Llama. It is what the reference does unless told otherwise.
func (t *Tokenizer) EncodeWithSpecial(text string) []int {
	out := make([]int, 0, len(text)/3+4)
	return append(t.append(append(out, t.before...), text), t.after...)
}

func (t *Tokenizer) append(out []int, text string) []int {
	token := func(id int) { out = append(out, id) }
	t.raw.cut(text, func(s string, start int) {
		if t.normalize != nil {
			s = t.normalize(s)
		}
		t.folded.cut(s, func(s string, at int) { out = t.encodeText(out, s, start+at == 0) }, token)
	}, token)
	return out
}

// encodeText appends the ids of a text without added tokens; first tells that nothing stands before it.
func (t *Tokenizer) encodeText(out []int, s string, first bool) []int {
	if t.prepare != nil {
		s = t.prepare(s, first)
	}
	if !t.digits {
		return t.encodeWords(out, s)
	}
	for len(s) > 0 {
		end := upToNumber(s)
		out = t.encodeWords(out, s[:end])
		s = s[end:]
	}
	return out
}

func (t *Tokenizer) encodeWords(out []int, s string) []int {
	for i := 0; i < len(s); {
		end := t.scan(s, i)
		for _, id := range t.encodeWord(s[i:end]) {
			out = append(out, int(id))
		}
		i = end
	}
	return out
}

// The cache holds at most maxCached words of at most maxCachedBytes: a few tens of MB for a worker. Longer words are
// rare and seldom repeat.
const (
	maxCached      = 1 << 17
	maxCachedBytes = 64
)

// encodeWord returns the ids of one word, valid until the next call.
func (t *Tokenizer) encodeWord(w string) []int32 {
	if ids, ok := t.cache[w]; ok {
		return ids
	}
	if id, ok := t.vocab[w]; ok && t.whole {
		t.ids = append(t.ids[:0], id)
	} else {
		t.ids = t.pieces(t.ids[:0], w)
	}
	ids := t.ids
	if len(w) <= maxCachedBytes && len(t.cache) < maxCached {
		ids = slices.Clone(ids)
		t.cache[strings.Clone(w)] = ids
	}
	return ids
}

// bytePieces is byte-level BPE: a word begins as its bytes.
func (t *tables) bytePieces(ids []int32, w string) []int32 {
	for i := range len(w) {
		ids = append(ids, t.byteID[w[i]])
	}
	return t.merge(ids)
}

// runePieces is BPE on runes: a word begins as its runes, a rune without token as its bytes or else as unk, which comes
// after the bytes of runes that follow it, as in the reference.
func (t *tables) runePieces(ids []int32, w string) []int32 {
	unknown := false // an unk is still to be written
	for i, n := 0, 0; i < len(w); i += n {
		_, n = utf8.DecodeRuneInString(w[i:])
		r := w[i : i+n]
		switch id, ok := t.vocab[r]; {
		case ok:
			if unknown {
				ids, unknown = append(ids, t.unk), false
			}
			ids = append(ids, id)
		case t.haveBytes(r):
			for k := range n {
				ids = append(ids, t.byteID[r[k]])
			}
		case t.unk >= 0:
			if unknown && !t.fuseUnk {
				ids = append(ids, t.unk)
			}
			unknown = true
		}
	}
	if unknown {
		ids = append(ids, t.unk)
	}
	return t.merge(ids)
}

func (t *tables) haveBytes(s string) bool {
	for i := range len(s) {
		if t.byteID[s[i]] < 0 {
			return false
		}
	}
	return true
}

// wordPieces is WordPiece: the longest token that the word starts with, then the longest with the prefix that what is
// left starts with, and so on; a word that cannot be used up so, or with too many runes, is unk. White space is no word.
func (t *tables) wordPieces(ids []int32, w string) []int32 {
	if r, _ := utf8.DecodeRuneInString(w); isSpace(r) {
		return ids
	}
	if utf8.RuneCountInString(w) > t.maxRunes {
		return append(ids, t.unk)
	}
	var room [256]byte
	prefix := ""
	for len(w) > 0 {
		buf := append(append(room[:0], prefix...), w...)
		end := len(buf)
		for end > len(prefix) {
			if id, ok := t.vocab[string(buf[:end])]; ok {
				ids = append(ids, id)
				break
			}
			_, n := utf8.DecodeLastRune(buf[:end])
			end -= n
		}
		if end <= len(prefix) {
			return append(ids[:0], t.unk)
		}
		w = w[end-len(prefix):]
		prefix = t.prefix
	}
	return ids
}
