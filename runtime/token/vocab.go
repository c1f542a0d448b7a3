package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// maxID bounds ids: the tables are indexed by id, and one absurd id must not take gigabytes.
const maxID = 1 << 24

// pair is a merge, written as "a b" (older files) or ["a", "b"] (newer ones).
type pair [2]string

func (p *pair) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return json.Unmarshal(b, (*[2]string)(p))
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	p[0], p[1], _ = strings.Cut(s, " ")
	return nil
}

// setModel chooses how a word becomes ids, and refuses every setting that has no meaning here.
func (t *tables) setModel(f *file) error {
	m := &f.Model
	prefix := ""
	if m.Prefix != nil {
		prefix = *m.Prefix
	}
	switch m.Type {
	case "BPE":
		switch {
		case m.Dropout != nil && *m.Dropout != 0:
			return fmt.Errorf("model.dropout: got %g, want null", *m.Dropout)
		case prefix != "":
			return fmt.Errorf("model.continuing_subword_prefix: got %q, want none", prefix)
		case m.Suffix != nil && *m.Suffix != "":
			return fmt.Errorf("model.end_of_word_suffix: got %q, want none", *m.Suffix)
		}
		t.whole, t.fuseUnk = m.IgnoreMerges, m.FuseUnk
		t.pieces = t.runePieces
		if t.byteLevel {
			if !t.split {
				return fmt.Errorf("pre_tokenizer: got %s, which splits nothing: want use_regex true or a Split", f.PreTokenizer)
			}
			t.pieces = t.bytePieces
		}
		return nil
	case "WordPiece":
		if f.PreTokenizer == nil || f.PreTokenizer.Type != "BertPreTokenizer" {
			return fmt.Errorf("pre_tokenizer: got %s, want BertPreTokenizer with a WordPiece model", f.PreTokenizer)
		}
		t.pieces, t.prefix, t.maxRunes = t.wordPieces, prefix, 100
		if m.MaxRunes != nil {
			t.maxRunes = *m.MaxRunes
		}
		if m.UnkToken == nil {
			return errors.New("model.unk_token: absent, want the token of words that cannot be taken apart")
		}
		return nil
	}
	return fmt.Errorf("model.type: got %q, want BPE or WordPiece", m.Type)
}

func (t *tables) setVocab(f *file) error {
	last := -1
	for word, id := range f.Model.Vocab {
		if id < 0 || id > maxID {
			return fmt.Errorf("model.vocab: %q: got id %d, want 0 to %d", word, id, maxID)
		}
		last = max(last, id)
	}
	for _, a := range f.AddedTokens {
		if a.ID < 0 || a.ID > maxID {
			return fmt.Errorf("added_tokens: %q: got id %d, want 0 to %d", a.Content, a.ID, maxID)
		}
		last = max(last, a.ID)
	}
	isAdded := make(map[string]bool, len(f.AddedTokens))
	for _, a := range f.AddedTokens {
		isAdded[a.Content] = true
	}
	names := make([]string, last+1) // id -> the word as written in the file
	t.texts = make([]string, last+1)
	t.vocab = make(map[string]int32, len(f.Model.Vocab))
	stand := byteAlphabet()
	for word, id := range f.Model.Vocab {
		if names[id] != "" {
			return fmt.Errorf("model.vocab: %q and %q have the same id %d", min(word, names[id]), max(word, names[id]), id)
		}
		names[id] = word
		text := word
		if t.byteLevel {
			raw, ok := unstand(word, stand)
			if !ok && isAdded[word] {
				continue // no word has such a token, and setAdded enters what it stands for
			}
			if !ok {
				return fmt.Errorf("model.vocab: %q has a character that stands for no byte", word)
			}
			text = raw
		}
		t.texts[id], t.vocab[text] = text, int32(id)
	}
	if m := &f.Model; m.UnkToken != nil && !t.byteLevel {
		id, ok := m.Vocab[*m.UnkToken]
		if !ok {
			return fmt.Errorf("model.unk_token: %q is not in model.vocab", *m.UnkToken)
		}
		t.unk = int32(id)
	}
	return t.setBytes(f)
}

// setBytes enters the tokens of single bytes: all of them in a byte-level vocabulary, those that are there with fallback.
func (t *tables) setBytes(f *file) error {
	for i := range t.byteID {
		t.byteID[i] = -1
		name := fmt.Sprintf("<0x%02X>", i)
		if t.byteLevel {
			name = string([]byte{byte(i)})
		}
		id, ok := t.vocab[name]
		if !ok && t.byteLevel {
			return fmt.Errorf("model.vocab: byte 0x%02x has no token", i)
		}
		if ok && (t.byteLevel || f.Model.ByteFallback) {
			t.byteID[i] = id
		}
	}
	return nil
}

func (t *tables) setMerges(f *file) error {
	vocab := f.Model.Vocab
	t.merges = newPairTable(len(f.Model.Merges))
	_, blank := vocab[blankSign]
	apart := blank && !t.byteLevel && !t.split && !t.whole
	for i, p := range f.Model.Merges {
		left, okLeft := vocab[p[0]]
		right, okRight := vocab[p[1]]
		union := p[0] + p[1]
		both, okBoth := vocab[union]
		if !okLeft || !okRight || !okBoth {
			return fmt.Errorf("model.merges[%d]: %q: both parts and their union must be in model.vocab", i, p)
		}
		m := merge{int32(i), int32(both)}
		if f.Model.Ranks != nil {
			m.rank = f.Model.Ranks[i]
		}
		t.merges.set(int32(left), int32(right), m)
		apart = apart && !strings.Contains(strings.TrimLeft(union, blankSign), blankSign)
	}
	if apart {
		// No token reaches from before a blank into it, so a text that is one word can be cut there: same ids, and the
		// cache gets words.
		t.scan = blankRunWord
	}
	return nil
}

// byteAlphabet maps the printable characters that vocabulary files write for bytes back to the bytes: printable
// Latin-1 stands for itself, the other 68 bytes are U+0100 onwards in order (GPT-2's bytes_to_unicode).
func byteAlphabet() map[rune]byte {
	m, next := make(map[rune]byte, 256), rune(256)
	for c := rune(0); c < 256; c++ {
		if c >= '!' && c <= '~' || c >= 0xa1 && c <= 0xac || c >= 0xae {
			m[c] = byte(c)
			continue
		}
		m[next] = byte(c)
		next++
	}
	return m
}

func unstand(word string, stand map[rune]byte) (string, bool) {
	raw := make([]byte, 0, len(word))
	for _, r := range word {
		c, ok := stand[r]
		if !ok {
			return "", false
		}
		raw = append(raw, c)
	}
	return string(raw), true
}
