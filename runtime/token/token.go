// Package token turns text into the token ids of a published vocabulary and back.
//
// In goes the folder of a Hugging Face model; out come ids that equal those of the reference tokenizers library. Known
// are three models, each with the pipeline that its families write into tokenizer.json:
//
//	byte-level BPE   GPT-2, ModernBERT and MiniMind (ByteLevel), SmolLM (Digits, ByteLevel), Qwen2 and Llama 3 (Split, ByteLevel)
//	BPE on runes     Llama 2, Mistral and InternLM2: sentencepiece's, as tokenizer.json or as tokenizer.model
//	WordPiece        BERT
//
// A folder without tokenizer.json may have vocab.json and merges.txt of a Qwen2 or GPT-2 tokenizer, or tokenizer.model.
// Everything else in a file that would change an id is refused by name when it is loaded, so a tokenizer that loads is
// exact. The package never downloads, never guesses and never fails after loading: Encode accepts any bytes and Decode
// any ids.
package token

import "maps"

// Tokenizer encodes and decodes text. The tables are read-only and shared by clones; the word cache is not, so one
// Tokenizer serves one goroutine: give each worker its own Clone.
type Tokenizer struct {
	*tables
	cache map[string][]int32 // words already encoded
	ids   []int32            // scratch of encodeWord
}

// tables are what the file says, in the form that Encode needs. A text passes through them from top to bottom.
type tables struct {
	raw       addedSet                               // added tokens that are matched in the text as given
	normalize func(s string) string                  // of what lies between them; nil: none
	folded    addedSet                               // added tokens that are matched in normalised text
	prepare   func(s string, first bool) string      // Metaspace's rewriting of what is left; nil: none
	byteLevel bool                                   // words are bytes, not runes
	split     bool                                   // the pre-tokenizer has said what a word is
	digits    bool                                   // every number is a word of its own, and a text ends before it
	scan      func(s string, i int) int              // end of the word that starts at i < len(s)
	whole     bool                                   // a word that is in the vocabulary is not merged (ignore_merges)
	pieces    func(ids []int32, word string) []int32 // the model: appends the ids of a word to an empty slice
	decode    func(tokens []string) string           // joins what the ids of a sequence stand for
	before    []int                                  // ids that EncodeWithSpecial puts before a text
	after     []int                                  // and after it
	byteID    [256]int32                             // token of each single byte, -1 where it has none
	unk       int32                                  // token of what has none, -1 if there is none
	fuseUnk   bool                                   // several unknown runes in a row are one unk
	merges    pairTable                              // of pairs of ids
	prefix    string                                 // of a WordPiece that continues a word
	maxRunes  int                                    // of a word that WordPiece takes apart
	vocab     map[string]int32                       // of the model
	texts     []string                               // id -> what it stands for; "" for ids that the file does not define
	added     map[string]int                         // added tokens by their content
	special   map[int]bool                           // ids that Decode can skip
}

// Clone returns a Tokenizer that shares the tables and has a cache of its own.
func (t *Tokenizer) Clone() *Tokenizer {
	return &Tokenizer{tables: t.tables, cache: map[string][]int32{}}
}

// Size is one more than the highest id that the file defines. A model's vocabulary may be padded beyond it.
func (t *Tokenizer) Size() int { return len(t.texts) }

// ID returns the id of a token given by its text: an added token such as "<|im_end|>"; else what Token returns for it.
func (t *Tokenizer) ID(token string) (int, bool) {
	if id, ok := t.added[token]; ok {
		return id, true
	}
	id, ok := t.vocab[token]
	return int(id), ok
}

// Token returns what an id stands for, and "" for an id that the file does not define. In a byte-level vocabulary that
// is bytes, such as " the", which need not be valid UTF-8 on their own. In the others it is the token as the vocabulary
// spells it, such as "▁the", "<0x0A>" or "##ing".
func (t *Tokenizer) Token(id int) string {
	if id < 0 || id >= len(t.texts) {
		return ""
	}
	return t.texts[id]
}

// SpecialTokens returns the texts of all added tokens marked special, control tokens such as <|im_end|>, with their ids.
func (t *Tokenizer) SpecialTokens() map[string]int {
	m := maps.Clone(t.added)
	maps.DeleteFunc(m, func(_ string, id int) bool { return !t.special[id] })
	return m
}

// Decode returns the text that the ids stand for; ids that the file does not define (padding of the vocabulary) add
// nothing. With skipSpecial, special tokens add nothing either. A sequence that stops inside a multi-byte rune ends in
// U+FFFD, as often as the reference writes it: the result is always valid UTF-8. It is the text that went into Encode
// only for byte-level vocabularies without normalizer; sentencepiece's lose a leading blank, BERT's case and spacing.
func (t *Tokenizer) Decode(ids []int, skipSpecial bool) string {
	tokens := make([]string, 0, len(ids))
	for _, id := range ids {
		if text := t.Token(id); text != "" && !(skipSpecial && t.special[id]) {
			tokens = append(tokens, text)
		}
	}
	return t.decode(tokens)
}
