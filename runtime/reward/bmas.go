package reward

import (
	"errors"
	"fmt"
	"math"

	"mixr/runtime/data"
)

// Embedder turns a text into one row per token.
type Embedder interface {
	// Embed returns unit-length rows [tokens][D] of the frozen input-embedding table, special tokens dropped; no rows for
	// a text without tokens.
	Embed(text string) ([][]float32, error)
}

// Encoder is the part of a tokenizer that an embedding needs.
type Encoder interface {
	Encode(text string) []int
}

// Embedding is the Embedder over a table of the initial policy.
type Embedding struct {
	encoder Encoder
	table   []float32
	width   int
	special map[int]bool
}

var _ Embedder = (*Embedding)(nil)

// NewEmbedding wraps table [V, width], row-major, without copying or changing it. The caller keeps it frozen: a table
// that trains with the policy lets the reward drift. special lists the ids to drop.
func NewEmbedding(encoder Encoder, table []float32, width int, special []int) (*Embedding, error) {
	if width < 1 || len(table) == 0 || len(table)%width != 0 {
		return nil, fmt.Errorf("embedding table: %d values are not rows of width %d", len(table), width)
	}
	e := &Embedding{encoder, table, width, map[int]bool{}}
	for _, id := range special {
		e.special[id] = true
	}
	return e, nil
}

// Embed implements Embedder. An all-zero row stays zero and so resembles nothing.
func (e *Embedding) Embed(text string) ([][]float32, error) {
	var rows [][]float32
	for _, id := range e.encoder.Encode(text) {
		if e.special[id] {
			continue
		}
		if id < 0 || (id+1)*e.width > len(e.table) {
			return nil, fmt.Errorf("embedding table: token id %d is outside its %d rows", id, len(e.table)/e.width)
		}
		rows = append(rows, unitRow(e.table[id*e.width:(id+1)*e.width]))
	}
	return rows, nil
}

func unitRow(x []float32) []float32 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v) // a product of two float32 is exact: fusing it into the sum changes no bit
	}
	out := make([]float32, len(x))
	if sum == 0 {
		return out
	}
	norm := math.Sqrt(sum)
	for i, v := range x {
		out[i] = float32(float64(v) / norm)
	}
	return out
}

// similarity is BMAS, bidirectional max-average similarity, against the best of the reference texts.
type similarity struct{ embedder Embedder }

func (s similarity) checkGold(ex data.Example) error {
	if len(ex.Answers) == 0 {
		return errors.New("no reference text")
	}
	for i, text := range ex.Answers {
		rows, err := s.embedder.Embed(text)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fmt.Errorf("reference text %d has no tokens", i)
		}
	}
	return nil
}

func (s similarity) score(ex data.Example, answer string, _ Frame) (verdict, error) {
	rows, err := s.embedder.Embed(answer)
	if err != nil {
		return verdict{}, err
	}
	if len(rows) == 0 {
		return verdict{note: "unparsed: answer without tokens"}, nil
	}
	v := verdict{parsed: true}
	for _, text := range ex.Answers {
		ref, err := s.embedder.Embed(text)
		if err != nil {
			return verdict{}, err
		}
		v.value = max(v.value, Similarity(rows, ref))
	}
	return v, nil
}

// Similarity is BMAS of two lists of unit rows: E [m][D] of the answer, F [n][D] of the reference. With S = E F',
//
//	BMAS = (mean_i max_j S_ij + mean_j max_i S_ij) / 2, clipped to [0, 1]
//
// and 0 if either list is empty. It is symmetric and does not see the order of rows: "a horse rides a man" and "a man
// rides a horse" score 1.
func Similarity(e, f [][]float32) float64 {
	if len(e) == 0 || len(f) == 0 {
		return 0
	}
	bestF := make([]float64, len(f))
	for j := range bestF {
		bestF[j] = math.Inf(-1)
	}
	var forward, backward float64
	for _, a := range e {
		best := math.Inf(-1)
		for j, b := range f {
			var dot float64
			for k := range a {
				dot += float64(a[k]) * float64(b[k]) // exact product, as in unitRow
			}
			best, bestF[j] = max(best, dot), max(bestF[j], dot)
		}
		forward += best
	}
	for _, b := range bestF {
		backward += b
	}
	score := (forward/float64(len(e)) + backward/float64(len(f))) / 2
	return min(1, max(0, score))
}
