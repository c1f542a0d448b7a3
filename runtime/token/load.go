package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// file is the part of tokenizer.json that decides ids. Fields left out here (decoder offsets, versions) do not.
type file struct {
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	Normalizer    *component      `json:"normalizer"`
	PreTokenizer  *component      `json:"pre_tokenizer"`
	PostProcessor *component      `json:"post_processor"`
	Decoder       *component      `json:"decoder"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Model         struct {
		Type         string            `json:"type"`
		Dropout      *float64          `json:"dropout"`
		UnkToken     *string           `json:"unk_token"`
		Prefix       *string           `json:"continuing_subword_prefix"`
		Suffix       *string           `json:"end_of_word_suffix"`
		ByteFallback bool              `json:"byte_fallback"`
		IgnoreMerges bool              `json:"ignore_merges"`
		Vocab        map[string]int    `json:"vocab"`
		Merges       []json.RawMessage `json:"merges"`
	} `json:"model"`
}

type component struct {
	Type           string `json:"type"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	UseRegex       *bool  `json:"use_regex"` // absent means true
	Behavior       string `json:"behavior"`
	Invert         bool   `json:"invert"`
	Pattern        struct {
		Regex string `json:"Regex"`
	} `json:"pattern"`
	Pretokenizers []component `json:"pretokenizers"`
}

type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// Load reads tokenizer.json in dir. It returns an error that names the file and the part of it that is missing,
// inconsistent or of a kind that this package does not reproduce exactly.
func Load(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, "tokenizer.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	t, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("token: %s: %w", path, err)
	}
	return t, nil
}

func parse(b []byte) (*Tokenizer, error) {
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	t := &tables{}
	if err := t.setPipeline(&f); err != nil {
		return nil, err
	}
	if err := t.setVocab(&f); err != nil {
		return nil, err
	}
	if err := t.setMerges(&f); err != nil {
		return nil, err
	}
	if err := t.setAdded(&f); err != nil {
		return nil, err
	}
	return (&Tokenizer{tables: t}).Clone(), nil
}

// qwen2Pattern is the split of Qwen2 and Qwen2.5, which qwen2Word implements. It is compared as text: a pattern that
// differs in one character is another tokenizer.
const qwen2Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// setPipeline chooses the scanner and refuses every setting that changes ids in a way not implemented here.
func (t *tables) setPipeline(f *file) error {
	m := &f.Model
	switch {
	case isSet(f.Truncation):
		return errors.New("truncation: got a setting, want null")
	case isSet(f.Padding):
		return errors.New("padding: got a setting, want null")
	case m.Type != "BPE":
		return fmt.Errorf("model.type: got %q, want \"BPE\"", m.Type)
	case m.Dropout != nil && *m.Dropout != 0:
		return fmt.Errorf("model.dropout: got %g, want null", *m.Dropout)
	case m.UnkToken != nil:
		return fmt.Errorf("model.unk_token: got %q, want null (every byte has a token)", *m.UnkToken)
	case m.Prefix != nil && *m.Prefix != "":
		return fmt.Errorf("model.continuing_subword_prefix: got %q, want none", *m.Prefix)
	case m.Suffix != nil && *m.Suffix != "":
		return fmt.Errorf("model.end_of_word_suffix: got %q, want none", *m.Suffix)
	case m.ByteFallback:
		return errors.New("model.byte_fallback: got true, want false")
	case m.IgnoreMerges:
		return errors.New("model.ignore_merges: got true, want false")
	case f.PostProcessor != nil && f.PostProcessor.Type != "ByteLevel":
		return fmt.Errorf("post_processor: got %s, want ByteLevel or null (no tokens are added around the text)", f.PostProcessor.Type)
	case f.Decoder == nil || f.Decoder.Type != "ByteLevel":
		return fmt.Errorf("decoder: got %s, want ByteLevel", name(f.Decoder))
	}
	switch {
	case f.Normalizer == nil:
	case f.Normalizer.Type == "NFC":
		t.nfc = true
	default:
		return fmt.Errorf("normalizer: got %s, want NFC or null", f.Normalizer.Type)
	}
	switch p := f.PreTokenizer; {
	case p != nil && p.Type == "ByteLevel" && p.regex() && !p.AddPrefixSpace:
		t.scan = gpt2Word
	case p.isQwen2():
		t.scan = qwen2Word
	default:
		return fmt.Errorf("pre_tokenizer: got %s, want ByteLevel with use_regex and without add_prefix_space (GPT-2), "+
			"or a Sequence of Qwen2's Split and ByteLevel", describe(p))
	}
	return nil
}

func (c *component) regex() bool { return c.UseRegex == nil || *c.UseRegex }

func (c *component) isQwen2() bool {
	if c == nil || c.Type != "Sequence" || len(c.Pretokenizers) != 2 {
		return false
	}
	split, bytes := &c.Pretokenizers[0], &c.Pretokenizers[1]
	return split.Type == "Split" && split.Pattern.Regex == qwen2Pattern && split.Behavior == "Isolated" && !split.Invert &&
		bytes.Type == "ByteLevel" && !bytes.regex() && !bytes.AddPrefixSpace
}

// describe names a pre-tokenizer so that a reader can find it in the file.
func describe(c *component) string {
	switch {
	case c == nil:
		return "null"
	case c.Type == "Sequence":
		var parts []string
		for i := range c.Pretokenizers {
			parts = append(parts, describe(&c.Pretokenizers[i]))
		}
		return "Sequence(" + strings.Join(parts, ", ") + ")"
	case c.Type == "Split":
		return fmt.Sprintf("Split(%q, %s, invert %t)", c.Pattern.Regex, c.Behavior, c.Invert)
	case c.Type == "ByteLevel":
		return fmt.Sprintf("ByteLevel(add_prefix_space %t, use_regex %t)", c.AddPrefixSpace, c.regex())
	}
	return name(c)
}

func name(c *component) string {
	if c == nil {
		return "null"
	}
	return c.Type
}

func isSet(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
