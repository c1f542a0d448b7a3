// Package token turns text into the token ids of a byte-level BPE vocabulary and back.
//
// In goes a Hugging Face tokenizer.json; out come ids that equal those of the reference tokenizers library, byte for
// byte. Two pre-tokenizers are known: the GPT-2 pattern (ByteLevel with use_regex) and Qwen2's split; normalizer none
// or NFC. Everything else in the file that would change an id is refused by name when the file is loaded, so a
// tokenizer that loads is exact. The package never downloads, never guesses and never fails after loading: Encode
// accepts any bytes and Decode any ids.
package token

import (
	"maps"
	"strings"
)

// Tokenizer encodes and decodes text. The tables are read-only and shared by clones; the word cache is not, so one
// Tokenizer serves one goroutine: give each worker its own Clone.
type Tokenizer struct {
	*tables
	cache map[string][]int32 // words already merged
	ids   []int32            // scratch of encodeWord
}

// tables are what the file says, in the form that Encode needs.
type tables struct {
	scan    func(s string, i int) int // end of the word that starts at i < len(s)
	nfc     bool                      // normalise to NFC what lies between added tokens
	byteID  [256]int32                // token of each single byte
	merges  map[uint64]merge          // by pair of ids
	bytes   []string                  // id -> the bytes it stands for; "" for ids that the file does not define
	words   map[string]int            // vocabulary and added tokens by their bytes
	added   []added                   // longest first
	first   [256]bool                 // bytes that start an added token
	special map[int]bool              // ids of special added tokens
}

type merge struct{ rank, id int32 }

type added struct {
	text string
	id   int
}

// Clone returns a Tokenizer that shares the tables and has a cache of its own.
func (t *Tokenizer) Clone() *Tokenizer {
	return &Tokenizer{tables: t.tables, cache: map[string][]int32{}}
}

// Size is one more than the highest id that the file defines. A model's vocabulary may be padded beyond it.
func (t *Tokenizer) Size() int { return len(t.bytes) }

// ID returns the id of a token given by the text it stands for, such as "<|im_end|>" or " the".
func (t *Tokenizer) ID(token string) (int, bool) {
	id, ok := t.words[token]
	return id, ok
}

// Token returns the bytes that an id stands for, which need not be valid UTF-8 on their own, and "" for an id that
// the file does not define.
func (t *Tokenizer) Token(id int) string {
	if id < 0 || id >= len(t.bytes) {
		return ""
	}
	return t.bytes[id]
}

// SpecialTokens returns the texts of all added tokens marked special, control tokens such as <|im_end|>, with their ids.
func (t *Tokenizer) SpecialTokens() map[string]int {
	m := make(map[string]int, len(t.special))
	for id := range maps.Keys(t.special) {
		m[t.bytes[id]] = id
	}
	return m
}

// Decode concatenates the bytes of the ids; ids that the file does not define (padding of the vocabulary) add nothing.
// With skipSpecial, special tokens add nothing either. A sequence that stops inside a multi-byte rune ends in U+FFFD,
// one for each maximal broken part, as the reference does: the result is always valid UTF-8.
func (t *Tokenizer) Decode(ids []int, skipSpecial bool) string {
	var b strings.Builder
	for _, id := range ids {
		if skipSpecial && t.special[id] {
			continue
		}
		b.WriteString(t.Token(id))
	}
	return replaceInvalid(b.String())
}
