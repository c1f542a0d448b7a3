package token

import (
	"errors"
	"fmt"
	"strings"
)

// pattern is what Split and Replace look for: one of the two.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func (p pattern) literal() (string, error) {
	if p.String == nil || *p.String == "" {
		return "", errors.New("Replace: want a pattern that is a String")
	}
	return *p.String, nil
}

// setNormalizer reads what rewrites a text before it is split into words.
func (t *tables) setNormalizer(f *file) error {
	parts, err := f.Normalizer.parts("normalizers")
	if err != nil {
		return fmt.Errorf("normalizer: %w", err)
	}
	var steps []func(s string) string
	for _, c := range parts {
		step, err := normalizer(c)
		if err != nil {
			return fmt.Errorf("normalizer: %w", err)
		}
		steps = append(steps, step)
	}
	switch len(steps) {
	case 0:
	case 1:
		t.normalize = steps[0]
	default:
		t.normalize = func(s string) string {
			for _, step := range steps {
				s = step(s)
			}
			return s
		}
	}
	return nil
}

func normalizer(c *component) (func(s string) string, error) {
	switch c.Type {
	case "NFC":
		return nfc, c.into(&struct{ Type string }{})
	case "Prepend":
		var p struct{ Type, Prepend string }
		err := c.into(&p)
		return func(s string) string {
			if s == "" {
				return ""
			}
			return p.Prepend + s
		}, err
	case "Replace":
		var r struct {
			Type    string
			Pattern pattern
			Content string
		}
		if err := c.into(&r); err != nil {
			return nil, err
		}
		from, err := r.Pattern.literal()
		return func(s string) string { return strings.ReplaceAll(s, from, r.Content) }, err
	case "BertNormalizer":
		return newBert(c)
	}
	return nil, fmt.Errorf("got %s, want NFC, Prepend, Replace, BertNormalizer, a Sequence of them, or null", c)
}

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

// setDecoder reads what makes a text of tokens.
func (t *tables) setDecoder(f *file) error {
	parts, err := f.Decoder.parts("decoders")
	if err != nil {
		return fmt.Errorf("decoder: %w", err)
	}
	if t.byteLevel {
		if len(parts) != 1 || parts[0].Type != "ByteLevel" {
			return fmt.Errorf("decoder: got %s, want ByteLevel, as the pre_tokenizer is", f.Decoder)
		}
		t.decode = joinBytes
		return nil
	}
	if len(parts) == 0 {
		return errors.New("decoder: got null, want one")
	}
	var steps []func(tokens []string) []string
	for _, c := range parts {
		step, err := decoder(c)
		if err != nil {
			return fmt.Errorf("decoder: %w", err)
		}
		steps = append(steps, step)
	}
	t.decode = chain(steps)
	return nil
}

func decoder(c *component) (func(tokens []string) []string, error) {
	switch c.Type {
	case "Replace":
		var r struct {
			Type    string
			Pattern pattern
			Content string
		}
		if err := c.into(&r); err != nil {
			return nil, err
		}
		from, err := r.Pattern.literal()
		return replace(from, r.Content), err
	case "ByteFallback":
		return fallback, c.into(&struct{ Type string }{})
	case "Fuse":
		return fuse, c.into(&struct{ Type string }{})
	case "Strip":
		var s struct {
			Type, Content string
			Start, Stop   int
		}
		err := c.into(&s)
		return strip(s.Content, s.Start, s.Stop), err
	case "Metaspace":
		m, err := readMetaspace(c)
		return metaspaces(m.Replacement, m.PrependScheme != "never"), err
	case "WordPiece":
		var w struct {
			Type, Prefix string
			Cleanup      bool
		}
		err := c.into(&w)
		return wordPiece(w.Prefix, w.Cleanup), err
	}
	return nil, fmt.Errorf("got %s, want ByteLevel, WordPiece, Metaspace, Replace, ByteFallback, Fuse, Strip or a Sequence", c)
}

// setTemplate reads the tokens that the post-processor puts around a text.
func (t *tables) setTemplate(f *file) error {
	parts, err := f.PostProcessor.parts("processors")
	if err != nil {
		return fmt.Errorf("post_processor: %w", err)
	}
	for _, c := range parts {
		before, after, err := template(c)
		if err != nil {
			return fmt.Errorf("post_processor: %w", err)
		}
		t.before, t.after = append(before, t.before...), append(t.after, after...)
	}
	return nil
}

func template(c *component) (before, after []int, err error) {
	switch c.Type {
	case "ByteLevel": // changes offsets only
		return nil, nil, nil
	case "BertProcessing", "RobertaProcessing":
		var p struct {
			Type           string
			Sep, Cls       [2]any
			TrimOffsets    bool `json:"trim_offsets"`
			AddPrefixSpace bool `json:"add_prefix_space"`
		}
		if err := c.into(&p); err != nil {
			return nil, nil, err
		}
		cls, okCls := p.Cls[1].(float64)
		sep, okSep := p.Sep[1].(float64)
		if !okCls || !okSep {
			return nil, nil, fmt.Errorf("got %s, want cls and sep as [token, id]", c)
		}
		return []int{int(cls)}, []int{int(sep)}, nil
	case "TemplateProcessing":
		var p struct {
			Type   string
			Single []struct {
				SpecialToken, Sequence *struct {
					ID     string
					TypeID int `json:"type_id"`
				}
			}
			Pair    any
			Special map[string]struct {
				ID     string
				IDs    []int
				Tokens []string
			} `json:"special_tokens"`
		}
		if err := c.into(&p); err != nil {
			return nil, nil, err
		}
		side, sequences := &before, 0
		for _, piece := range p.Single {
			switch {
			case piece.Sequence != nil && piece.Sequence.ID == "A":
				side = &after
				sequences++
			case piece.SpecialToken != nil && p.Special[piece.SpecialToken.ID].IDs != nil:
				*side = append(*side, p.Special[piece.SpecialToken.ID].IDs...)
			default:
				return nil, nil, fmt.Errorf("got %s: single has a piece that is no sequence A and no token of special_tokens", c)
			}
		}
		if sequences != 1 {
			return nil, nil, fmt.Errorf("got %s: single has sequence A %d times, want once", c, sequences)
		}
		return before, after, nil
	}
	return nil, nil, fmt.Errorf("got %s, want ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing, a Sequence or null", c)
}
