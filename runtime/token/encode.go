package token

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Encode returns the ids of text. Added tokens are matched first, leftmost and longest, in the text as given; what
// lies between two of them is normalised (never across), split into words, and each word merged on its own. It adds
// no token that is not in the text. So text from outside can hold control tokens: a caller that must rule that out
// looks for the SpecialTokens in it first.
//
// differs: letters and combining marks that only Unicode 15.1 or later knows (the reference has newer tables than Go),
// and a rune with more than 30 combining marks on it, which x/text's NFC breaks up with U+034F.
func (t *Tokenizer) Encode(text string) []int {
	out := make([]int, 0, len(text)/3+4)
	start := 0
	for i := 0; i < len(text); {
		if a := t.addedAt(text, i); a != nil {
			out = append(t.encodeText(out, text[start:i]), a.id)
			i += len(a.text)
			start = i
			continue
		}
		i++
	}
	return t.encodeText(out, text[start:])
}

func (t *tables) addedAt(s string, i int) *added {
	if !t.first[s[i]] {
		return nil
	}
	for k := range t.added {
		if strings.HasPrefix(s[i:], t.added[k].text) {
			return &t.added[k]
		}
	}
	return nil
}

func (t *Tokenizer) encodeText(out []int, s string) []int {
	if t.nfc && !norm.NFC.IsNormalString(s) {
		s = norm.NFC.String(s)
	}
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
	t.ids = t.ids[:0]
	for i := range len(w) {
		t.ids = append(t.ids, t.byteID[w[i]])
	}
	ids := t.merge(t.ids)
	if len(w) <= maxCachedBytes && len(t.cache) < maxCached {
		ids = slices.Clone(ids)
		t.cache[strings.Clone(w)] = ids
	}
	return ids
}

// replaceInvalid replaces every maximal broken part of a rune by one U+FFFD, as Rust's from_utf8_lossy does
// (Unicode's recommended practice, section 3.9): the first bytes of a rune that is cut off are one part, not several.
func replaceInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r != utf8.RuneError || n > 1 {
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		b.WriteRune(utf8.RuneError)
		i += brokenPrefix(s[i:])
	}
	return b.String()
}

// brokenPrefix is the length of the longest start of s that more bytes could complete to a rune, at least 1. s does
// not start with a whole rune.
func brokenPrefix(s string) int {
	n := 1
	for n < len(s) && !utf8.FullRuneInString(s[:n+1]) {
		n++
	}
	return n
}
