package reward

import (
	"fmt"
	"math"
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
	mean    []float32 // subtracted from every row; nil = nothing is
}

var _ Embedder = (*Embedding)(nil)

// NewEmbedding wraps table [V, width], row-major, without copying or changing it. The caller keeps it frozen: a table
// that trains with the policy lets the reward drift. special lists the ids to drop.
func NewEmbedding(encoder Encoder, table []float32, width int, special []int) (*Embedding, error) {
	if width < 1 || len(table) == 0 || len(table)%width != 0 {
		return nil, fmt.Errorf("embedding table: %d values are not rows of width %d", len(table), width)
	}
	e := &Embedding{encoder, table, width, map[int]bool{}, nil}
	for _, id := range special {
		e.special[id] = true
	}
	return e, nil
}

// Embed implements Embedder. An all-zero row stays zero and so resembles nothing.
func (e *Embedding) Embed(text string) ([][]float32, error) {
	_, rows, err := e.tokens(text)
	return rows, err
}

// tokens returns the ids of a text's tokens beside their rows.
func (e *Embedding) tokens(text string) (ids []int, rows [][]float32, err error) {
	seen := map[int][]float32{}
	for _, id := range e.encoder.Encode(text) {
		if e.special[id] {
			continue
		}
		if row, ok := seen[id]; ok { // one slice a token: cosines computes it once
			ids, rows = append(ids, id), append(rows, row)
			continue
		}
		if id < 0 || (id+1)*e.width > len(e.table) {
			return nil, nil, fmt.Errorf("embedding table: token id %d is outside its %d rows", id, len(e.table)/e.width)
		}
		row := e.table[id*e.width : (id+1)*e.width]
		if e.mean != nil {
			centred := make([]float32, e.width)
			for k, v := range row {
				centred[k] = v - e.mean[k]
			}
			row = centred
		}
		seen[id] = unitRow(row)
		ids, rows = append(ids, id), append(rows, seen[id])
	}
	return ids, rows, nil
}

// centred is e with the mean row of its table subtracted from every row.
func (e *Embedding) centred() *Embedding {
	sum := make([]float64, e.width)
	for i, v := range e.table {
		sum[i%e.width] += float64(v)
	}
	out := *e
	out.mean = make([]float32, e.width)
	for k, v := range sum {
		out.mean[k] = float32(v / float64(len(e.table)/e.width))
	}
	return &out
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
	forward, backward := directions(cosines(e, f), nil, nil)
	return min(1, max(0, (forward+backward)/2))
}

// directions returns mean_i max_j S_ij and mean_j max_i S_ij, weighted by u [m] and v [n]; nil = equal weights.
func directions(s [][]float64, u, v []float64) (forward, backward float64) {
	bestF := make([]float64, len(s[0]))
	for j := range bestF {
		bestF[j] = math.Inf(-1)
	}
	bestE := make([]float64, len(s))
	for i, row := range s {
		best := math.Inf(-1)
		for j, x := range row {
			best, bestF[j] = max(best, x), max(bestF[j], x)
		}
		bestE[i] = best
	}
	return weighted(bestE, u), weighted(bestF, v)
}

// weighted is the mean of x with weights w; nil or all 0 = equal weights.
func weighted(x, w []float64) float64 {
	var sum, total float64
	for i := range w {
		sum += float64(w[i] * x[i])
		total += w[i]
	}
	if total > 0 {
		return sum / total
	}
	sum = 0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}
