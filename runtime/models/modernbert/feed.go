package modernbert

import (
	"errors"
	"fmt"
	"slices"

	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

// Feed is what the inputs of In hold for a batch of N texts, padded on the right to the T tokens of the longest.
type Feed struct {
	Texts, Tokens        int       // N, T
	IDs                  []int64   // [N, T]; 0 at padding
	Pos                  []int64   // [N, T]
	GlobalCos, GlobalSin []float32 // [T, E/2]
	LocalCos, LocalSin   []float32 // [T, E/2]
	Mask                 []float32 // [N, 1, 1, T]
	Window               []float32 // [1, 1, T, T]
}

// Feed lays out a batch of token ids, the special ones included. It needs at least one text, and of each at least one token and at
// most max_position_embeddings.
func (c *Config) Feed(texts [][]int) (*Feed, error) {
	if len(texts) == 0 {
		return nil, errors.New("modernbert: got no text, want at least one")
	}
	lengths := make([]int, len(texts))
	for i, ids := range texts {
		if err := c.check(ids); err != nil {
			return nil, fmt.Errorf("modernbert: text %d: %w", i, err)
		}
		lengths[i] = len(ids)
	}
	f := &Feed{Texts: len(texts), Tokens: slices.Max(lengths)}
	f.IDs, f.Pos = make([]int64, f.Texts*f.Tokens), make([]int64, f.Texts*f.Tokens)
	for i, ids := range texts {
		for t := range f.Tokens {
			f.Pos[i*f.Tokens+t] = int64(t)
		}
		for t, id := range ids {
			f.IDs[i*f.Tokens+t] = int64(id)
		}
	}
	f.Mask, f.Window = c.masks(lengths)
	f.GlobalCos, f.GlobalSin = c.rope(c.GlobalTheta, f.Tokens)
	f.LocalCos, f.LocalSin = c.rope(c.LocalTheta, f.Tokens)
	return f, nil
}

// masks returns the additive masks of texts of these lengths, T the longest, padded on the right: mask [N, 1, 1, T] hides padding from
// every layer, and window [1, 1, T, T] hides from the local layers what is more than Window tokens away. A local layer adds both.
func (c *Config) masks(lengths []int) (mask, window []float32) {
	tokens := slices.Max(lengths)
	mask, window = make([]float32, len(lengths)*tokens), make([]float32, tokens*tokens)
	for i, n := range lengths {
		for t := n; t < tokens; t++ {
			mask[i*tokens+t] = nn.Hidden
		}
	}
	for q := range tokens {
		for k := range tokens {
			if max(q-k, k-q) > c.Window {
				window[q*tokens+k] = nn.Hidden
			}
		}
	}
	return mask, window
}

// rope returns cos and sin, each [T, E/2], of positions 0 to T-1.
func (c *Config) rope(theta float64, tokens int) (cos, sin []float32) {
	frequency := decoder.Frequencies(theta, c.heads().Width/2)
	for t := range tokens {
		for _, f := range frequency {
			cosine, sine := decoder.Angle(t, f)
			cos, sin = append(cos, cosine), append(sin, sine)
		}
	}
	return cos, sin
}

func (c *Config) check(ids []int) error {
	if n := len(ids); n == 0 || n > c.MaxPositions {
		return fmt.Errorf("got %d tokens, want 1 to %d (max_position_embeddings): cut it", n, c.MaxPositions)
	}
	for t, id := range ids {
		if id < 0 || id >= c.VocabSize {
			return fmt.Errorf("token %d: got id %d, want 0 to %d (vocab_size - 1): is the tokenizer this model's?", t, id, c.VocabSize-1)
		}
	}
	return nil
}
