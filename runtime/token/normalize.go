package token

import (
	"errors"
	"fmt"
	"strings"
)

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

// pattern is what Split and Replace look for: one of the two.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func (p pattern) literal() (string, error) {
	if p.String == nil || *p.String == "" {
		return "", errors.New("a Replace without a pattern that is a String")
	}
	return *p.String, nil
}
