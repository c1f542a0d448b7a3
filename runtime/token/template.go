package token

import "fmt"

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
	return nil, nil, fmt.Errorf("got %s, want ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing, a Sequence or null",
		c)
}
