package token

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxID bounds ids: the tables are indexed by id, and one absurd id must not take gigabytes.
const maxID = 1 << 24

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
	names := make([]string, last+1) // id -> the word as written in the file
	t.bytes = make([]string, last+1)
	t.words = make(map[string]int, len(f.Model.Vocab)+len(f.AddedTokens))
	isAdded := make(map[string]int, len(f.AddedTokens))
	for _, a := range f.AddedTokens {
		isAdded[a.Content] = a.ID
	}
	stand := byteAlphabet()
	for word, id := range f.Model.Vocab {
		if names[id] != "" {
			return fmt.Errorf("model.vocab: %q and %q have the same id %d", min(word, names[id]), max(word, names[id]), id)
		}
		names[id] = word
		if other, ok := isAdded[word]; ok && other == id {
			continue // setAdded enters it: its text is taken as it stands, not through the byte alphabet
		}
		raw, ok := unstand(word, stand)
		if !ok {
			return fmt.Errorf("model.vocab: %q has a character that stands for no byte", word)
		}
		t.bytes[id], t.words[raw] = raw, id
	}
	for i := range t.byteID {
		id, ok := t.words[string([]byte{byte(i)})]
		if !ok {
			return fmt.Errorf("model.vocab: byte 0x%02x has no token", i)
		}
		t.byteID[i] = int32(id)
	}
	return nil
}

// setMerges reads merges written as "a b" (older files) or ["a", "b"] (newer ones).
func (t *tables) setMerges(f *file) error {
	vocab := f.Model.Vocab
	t.merges = make(map[uint64]merge, len(f.Model.Merges))
	for rank, raw := range f.Model.Merges {
		var a, b string
		var err error
		if len(raw) > 0 && raw[0] == '"' {
			var s string
			err = json.Unmarshal(raw, &s)
			a, b, _ = strings.Cut(s, " ")
		} else {
			var pair [2]string
			err = json.Unmarshal(raw, &pair)
			a, b = pair[0], pair[1]
		}
		left, okLeft := vocab[a]
		right, okRight := vocab[b]
		both, okBoth := vocab[a+b]
		if err != nil || !okLeft || !okRight || !okBoth {
			return fmt.Errorf("model.merges[%d]: %s: both parts and their union must be in model.vocab", rank, raw)
		}
		t.merges[pairKey(int32(left), int32(right))] = merge{int32(rank), int32(both)}
	}
	return nil
}

func (t *tables) setAdded(f *file) error {
	t.special = map[int]bool{}
	for _, a := range f.AddedTokens {
		switch {
		case a.Content == "":
			return fmt.Errorf("added_tokens: id %d: empty content", a.ID)
		case a.SingleWord, a.LStrip, a.RStrip:
			return fmt.Errorf("added_tokens: %q: single_word, lstrip and rstrip are not supported", a.Content)
		case a.Normalized && t.nfc:
			return fmt.Errorf("added_tokens: %q: normalized with an NFC normalizer is not supported", a.Content)
		case t.bytes[a.ID] != "" && t.bytes[a.ID] != a.Content:
			return fmt.Errorf("added_tokens: %q: id %d is already %q", a.Content, a.ID, t.bytes[a.ID])
		}
		if id, ok := t.words[a.Content]; ok && id != a.ID {
			return fmt.Errorf("added_tokens: %q: ids %d and %d", a.Content, id, a.ID)
		}
		t.bytes[a.ID], t.words[a.Content] = a.Content, a.ID
		t.first[a.Content[0]] = true
		t.added = append(t.added, added{a.Content, a.ID})
		if a.Special {
			t.special[a.ID] = true
		}
	}
	slices.SortFunc(t.added, func(a, b added) int { return len(b.text) - len(a.text) })
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
