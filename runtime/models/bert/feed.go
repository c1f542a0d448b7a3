package bert

import (
	"errors"
	"fmt"

	"mixr/runtime/nn"
)

// Text is one input of the encoder: its tokens with the special ones, [CLS] text [SEP] or [CLS] text [SEP] text [SEP].
type Text struct {
	IDs   []int
	Types []int // of each token, 0 or 1 for the first or second text of a pair; nil: all 0
}

// Feed is what the inputs of In hold for a batch of N texts, padded on the right to the T tokens of the longest.
type Feed struct {
	Texts, Tokens int       // N, T
	IDs, Types    []int64   // [N, T]; 0 at padding
	Pos           []int64   // [T]
	Mask          []float32 // [N, 1, 1, T]
}

// Feed lays out a batch. It needs at least one text, and of each at least one token and at most max_position_embeddings.
func (c *Config) Feed(texts []Text) (*Feed, error) {
	if len(texts) == 0 {
		return nil, errors.New("bert: got no text, want at least one")
	}
	f := &Feed{Texts: len(texts)}
	for i, text := range texts {
		if err := c.check(text); err != nil {
			return nil, fmt.Errorf("bert: text %d: %w", i, err)
		}
		f.Tokens = max(f.Tokens, len(text.IDs))
	}
	f.IDs, f.Types = make([]int64, f.Texts*f.Tokens), make([]int64, f.Texts*f.Tokens)
	f.Mask = make([]float32, f.Texts*f.Tokens)
	for i, text := range texts {
		for t := range f.Tokens {
			at := i*f.Tokens + t
			if t >= len(text.IDs) {
				f.Mask[at] = nn.Hidden
				continue
			}
			f.IDs[at] = int64(text.IDs[t])
			if text.Types != nil {
				f.Types[at] = int64(text.Types[t])
			}
		}
	}
	for t := range f.Tokens {
		f.Pos = append(f.Pos, int64(t))
	}
	return f, nil
}

func (c *Config) check(text Text) error {
	if n := len(text.IDs); n == 0 || n > c.MaxPositions {
		return fmt.Errorf("got %d tokens, want 1 to %d (max_position_embeddings): cut it", n, c.MaxPositions)
	}
	if text.Types != nil && len(text.Types) != len(text.IDs) {
		return fmt.Errorf("got %d types for %d tokens", len(text.Types), len(text.IDs))
	}
	for t, id := range text.IDs {
		if id < 0 || id >= c.VocabSize {
			return fmt.Errorf("token %d: got id %d, want 0 to %d (vocab_size - 1): is the tokenizer this model's?", t, id, c.VocabSize-1)
		}
	}
	for t, kind := range text.Types {
		if kind < 0 || kind >= c.TypeVocabSize {
			return fmt.Errorf("token %d: got type %d, want 0 to %d (type_vocab_size - 1)", t, kind, c.TypeVocabSize-1)
		}
	}
	return nil
}
