package token

import (
	"fmt"
	"strings"
)

// setPreTokenizer reads what splits a text into words.
func (t *tables) setPreTokenizer(f *file) error {
	parts, err := f.PreTokenizer.parts("pretokenizers")
	if err != nil {
		return fmt.Errorf("pre_tokenizer: %w", err)
	}
	t.scan = wholeText
	for _, c := range parts {
		if t.byteLevel || t.prepare != nil {
			return fmt.Errorf("pre_tokenizer: got %s after one that ends the splitting", c)
		}
		if err := t.addPreTokenizer(c); err != nil {
			return fmt.Errorf("pre_tokenizer: %w", err)
		}
	}
	return nil
}

func (t *tables) addPreTokenizer(c *component) error {
	switch c.Type {
	case "ByteLevel":
		b := struct {
			Type           string
			AddPrefixSpace bool `json:"add_prefix_space"`
			TrimOffsets    bool `json:"trim_offsets"`
			UseRegex       bool `json:"use_regex"`
		}{UseRegex: true}
		if err := c.into(&b); err != nil {
			return err
		}
		if b.AddPrefixSpace {
			return fmt.Errorf("got %s, want add_prefix_space false", c)
		}
		if t.byteLevel = true; b.UseRegex {
			if t.split {
				return fmt.Errorf("got %s after a Split, want use_regex false", c)
			}
			t.split, t.scan = true, gpt2Word
		}
		return nil
	case "Split":
		var s struct {
			Type     string
			Pattern  pattern
			Behavior string
			Invert   bool
		}
		if err := c.into(&s); err != nil {
			return err
		}
		// The patterns match every rune, so the words are the matches, isolated, or what is left when all else is removed.
		matches := s.Behavior == "Isolated" && !s.Invert || s.Behavior == "Removed" && s.Invert
		if s.Pattern.Regex == nil || splits[*s.Pattern.Regex] == nil || !matches || t.split || t.digits {
			return fmt.Errorf("got %s, want one Split with the pattern of Qwen2 or Llama 3", c)
		}
		t.split, t.scan = true, splits[*s.Pattern.Regex]
		return nil
	case "Digits":
		var d struct {
			Type       string
			Individual bool `json:"individual_digits"`
		}
		if err := c.into(&d); err != nil {
			return err
		}
		if !d.Individual || t.split {
			return fmt.Errorf("got %s, want individual_digits true, before all others", c)
		}
		t.digits = true
		return nil
	case "Metaspace":
		return t.setMetaspace(c)
	case "BertPreTokenizer":
		t.split, t.scan = true, bertWord
		return c.into(&struct{ Type string }{})
	}
	return fmt.Errorf("got %s, want ByteLevel, Split, Digits, Metaspace, BertPreTokenizer, a Sequence of them, or null", c)
}

// metaspace is the pre-tokenizer, and the decoder that undoes it.
type metaspace struct {
	Type           string
	Replacement    string
	StrRep         string `json:"str_rep"` // the same again, in older files
	PrependScheme  string `json:"prepend_scheme"`
	AddPrefixSpace *bool  `json:"add_prefix_space"` // false: never, in older files
	Split          *bool  // absent means true
}

func readMetaspace(c *component) (m metaspace, err error) {
	if err := c.into(&m); err != nil {
		return m, err
	}
	if m.PrependScheme == "" {
		m.PrependScheme = "always"
	}
	if m.AddPrefixSpace != nil && !*m.AddPrefixSpace {
		m.PrependScheme = "never"
	}
	known := m.PrependScheme == "always" || m.PrependScheme == "first" || m.PrependScheme == "never"
	if m.Replacement != blankSign || !known {
		return m, fmt.Errorf("got %s, want replacement %q and prepend_scheme always, first or never", c, blankSign)
	}
	return m, nil
}

func (t *tables) setMetaspace(c *component) error {
	m, err := readMetaspace(c)
	if err != nil {
		return err
	}
	if t.split || t.digits {
		return fmt.Errorf("got %s after another", c)
	}
	if t.normalize != nil && m.PrependScheme == "first" {
		return fmt.Errorf("got %s with a normalizer, want one of them", c)
	}
	t.prepare = func(s string, first bool) string {
		s = strings.ReplaceAll(s, " ", blankSign)
		prepend := m.PrependScheme == "always" || m.PrependScheme == "first" && first
		if prepend && !strings.HasPrefix(s, blankSign) {
			s = blankSign + s
		}
		return s
	}
	if m.Split == nil || *m.Split {
		t.split, t.scan = true, metaspaceWord
	}
	return nil
}
