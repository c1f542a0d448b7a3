package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// file is the part of tokenizer.json that decides ids. truncation and padding are not read: they shape batches, and
// transformers, too, leaves them out unless a call asks for them.
type file struct {
	Normalizer    *component   `json:"normalizer"`
	PreTokenizer  *component   `json:"pre_tokenizer"`
	PostProcessor *component   `json:"post_processor"`
	Decoder       *component   `json:"decoder"`
	AddedTokens   []addedToken `json:"added_tokens"`
	Model         struct {
		Type         string         `json:"type"`
		Dropout      *float64       `json:"dropout"`
		UnkToken     *string        `json:"unk_token"`
		Prefix       *string        `json:"continuing_subword_prefix"`
		Suffix       *string        `json:"end_of_word_suffix"`
		FuseUnk      bool           `json:"fuse_unk"`
		ByteFallback bool           `json:"byte_fallback"`
		IgnoreMerges bool           `json:"ignore_merges"`
		MaxRunes     *int           `json:"max_input_chars_per_word"`
		Vocab        map[string]int `json:"vocab"`
		Merges       []pair         `json:"merges"`
		Ranks        []int32        `json:"-"` // of the merges; nil: each one's place in the list
	} `json:"model"`
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

// component is a normalizer, pre-tokenizer, post-processor or decoder: a type and the fields that this type has.
type component struct {
	Type string
	body []byte
}

func (c *component) UnmarshalJSON(b []byte) error {
	c.body = bytes.Clone(b)
	var head struct {
		Type string `json:"type"`
	}
	err := json.Unmarshal(b, &head)
	c.Type = head.Type
	return err
}

// into decodes the fields of c. One that to does not have is an error: it could change ids.
func (c *component) into(to any) error {
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%s: %w", c.Type, err)
	}
	return nil
}

// String is c as the file has it, so that a reader can find it there.
func (c *component) String() string {
	if c == nil {
		return "null"
	}
	return string(c.body)
}

// parts returns the components of a Sequence, whose list has the name key; c alone if it is none; nil for null.
func (c *component) parts(key string) ([]*component, error) {
	if c == nil || c.Type != "Sequence" {
		if c == nil {
			return nil, nil
		}
		return []*component{c}, nil
	}
	var lists map[string]json.RawMessage
	if err := json.Unmarshal(c.body, &lists); err != nil {
		return nil, err
	}
	var parts []*component
	if err := json.Unmarshal(lists[key], &parts); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	for i, p := range parts {
		if p == nil || p.Type == "Sequence" {
			return nil, fmt.Errorf("%s[%d]: got %s, want a component that is no Sequence", key, i, p)
		}
	}
	return parts, nil
}

// Load reads the tokenizer of the model in dir: tokenizer.json; where that is absent, vocab.json and merges.txt, or
// tokenizer.model. It returns an error that names the file and the part of it that is missing, inconsistent or of a
// kind that this package does not reproduce exactly.
func Load(dir string) (*Tokenizer, error) {
	for _, form := range [...]struct {
		name string
		read func(path string) (*tables, error)
	}{
		{"tokenizer.json", readJSON},
		{"vocab.json", readVocabAndMerges},
		{"tokenizer.model", readSentencePiece},
	} {
		path := filepath.Join(dir, form.name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		t, err := form.read(path)
		if err != nil {
			return nil, fmt.Errorf("token: %s: %w", path, err)
		}
		return (&Tokenizer{tables: t}).Clone(), nil
	}
	return nil, fmt.Errorf("token: %s: has no tokenizer.json, vocab.json or tokenizer.model; transformers writes the first: "+
		"AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR): %w", dir, fs.ErrNotExist)
}

func readJSON(path string) (*tables, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(b)
}

func parse(b []byte) (*tables, error) {
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	if err := checkIDs(&f); err != nil {
		return nil, err
	}
	return build(&f)
}

// checkIDs: the reference does not take ids of added tokens from the list. A token that the model's vocabulary lacks gets
// the next free one, and a file that says otherwise would not mean the same everywhere.
func checkIDs(f *file) error {
	next := len(f.Model.Vocab)
	for _, a := range f.AddedTokens {
		want, ok := f.Model.Vocab[a.Content]
		if !ok {
			want = next
			next++
		}
		if a.ID != want {
			return fmt.Errorf("added_tokens: %q: got id %d, want %d, which the model's vocabulary has for it or is the next free",
				a.Content, a.ID, want)
		}
	}
	return nil
}

// build turns the file into tables.
func build(f *file) (*tables, error) {
	t := &tables{unk: -1}
	for _, set := range [...]func(f *file) error{
		t.setNormalizer, t.setPreTokenizer, t.setModel, t.setVocab, t.setMerges, t.setDecoder, t.setTemplate, t.setAdded,
	} {
		if err := set(f); err != nil {
			return nil, err
		}
	}
	return t, nil
}
