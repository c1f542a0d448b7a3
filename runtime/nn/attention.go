package nn

import (
	"math"

	"mixr/runtime/graph"
)

// Heads describes grouped-query attention (arXiv 2305.13245): Query heads share KV heads, the first Query/KV of them the first one.
// Plain multi-head attention has Query == KV.
//
// The queries that share a key head stand beside each other along the token dim, [N, K, h*T, E] with h = H/K, so that keys and
// values are never repeated.
type Heads struct {
	Query, KV int
	Width     int // E, of one head
}

// Group is h = H/K, the number of query heads that share a key head.
func (h Heads) Group() int { return h.Query / h.KV }

// Queries lays out queries [N, T, H*E] as [N, K, h*T, E].
func (h Heads) Queries(q *graph.Value) *graph.Value {
	q = graph.Reshape(q, 0, 0, h.KV, h.Group(), h.Width) // [N, T, K, h, E]
	q = graph.Transpose(q, 0, 2, 3, 1, 4)                // [N, K, h, T, E]
	return graph.Reshape(q, 0, 0, -1, h.Width)           // [N, K, h*T, E]
}

// Keys lays out keys or values [N, S, K*E] as [N, K, S, E].
func (h Heads) Keys(k *graph.Value) *graph.Value {
	return graph.Transpose(graph.Reshape(k, 0, 0, h.KV, h.Width), 0, 2, 1, 3)
}

// Merge undoes Queries: [N, K, h*T, E] to [N, T, H*E].
func (h Heads) Merge(o *graph.Value) *graph.Value {
	o = graph.Reshape(o, 0, 0, h.Group(), -1, h.Width) // [N, K, h, T, E]
	o = graph.Transpose(o, 0, 3, 1, 2, 4)              // [N, T, K, h, E]
	return graph.Reshape(o, 0, 0, h.Query*h.Width)     // [N, T, H*E]
}

// Mask repeats an additive mask [N, 1, T, S] for the h query heads of a group: [N, 1, h*T, S]. Once a graph, not once a layer.
func (h Heads) Mask(mask *graph.Value) *graph.Value {
	if h.Group() == 1 {
		return mask
	}
	copies := make([]*graph.Value, h.Group())
	for i := range copies {
		copies[i] = mask
	}
	return graph.Concat(2, copies...)
}

// Attend is softmax(q k' / sqrt(E) + mask) v in the layout of Heads. q [N, K, Q, E]; k, v [N, K, S, E]; mask is additive
// (0 = visible, Hidden = not) and broadcasts to [N, K, Q, S]; nil: everything is visible. Returns [N, K, Q, E].
func (h Heads) Attend(q, k, v, mask *graph.Value) *graph.Value {
	scores := h.Scores(q, k) // [N, K, Q, S]
	if mask != nil {
		scores = graph.Add(scores, mask)
	}
	return graph.MatMul(graph.Softmax(scores), v, false, false, 1)
}

// Branches says which tokens see which where rows hold a stem and branches that see the stem and themselves: a prompt and its
// completions. Queries are laid out in W windows of Q places: a branch in each, and the stem in others, cut to their length. The keys of
// a window are the P tokens of the stem and its own Q. So a score is computed of few pairs that do not see each other. In a mask over
// whole rows these are all but 1/branches of the pairs of branches, and cost grows with the square of their number.
type Branches struct {
	Index *graph.Value // [W, Q] int64, the token at each place, counted over all rows; any token at places that are left over
	Place *graph.Value // [N*T] int64, the place of each token, counted over all windows
	Stem  *graph.Value // [P] int64, the tokens of the stem; nil, with P = 0, for windows that share nothing
	Seat  *graph.Value // [N*T] int64, the place in Stem of each of its tokens; any for others; nil without a stem
	Mask  *graph.Value // [W, 1, Q, P+Q] additive; every query must see a key
}

// Attend is attention of queries [N, T, H*E] to keys and values [N, T, K*E]. mask is Heads.Mask of b.Mask. Returns [N, T, H*E].
func (b Branches) Attend(h Heads, q, k, v, mask *graph.Value) *graph.Value {
	flat := func(x *graph.Value) *graph.Value { return graph.Reshape(x, -1, x.Dim(2)) }
	windows := func(x *graph.Value) *graph.Value { return graph.Permute(flat(x), b.Index, b.Place) } // [W, Q, ...]
	keys := func(k *graph.Value) *graph.Value {                                                      // [W, K, P+Q, E]
		if b.Stem == nil {
			return h.Keys(windows(k))
		}
		stem := graph.Reshape(graph.Permute(flat(k), b.Stem, b.Seat), 1, -1, k.Dim(2)) // [1, P, K*E]
		stem = graph.ExpandTo(h.Keys(stem), b.Index.Dim(0), h.KV, b.Stem.Dim(0), h.Width)
		return graph.Concat(2, stem, h.Keys(windows(k)))
	}
	o := h.Merge(h.Attend(h.Queries(windows(q)), keys(k), keys(v), mask)) // [W, Q, H*E]
	o = graph.Permute(flat(o), b.Place, graph.Reshape(b.Index, -1))       // [N*T, H*E]
	return graph.Reshape(o, q.Dim(0), q.Dim(1), q.Dim(2))
}

// Scores is q k' / sqrt(E): [N, K, Q, E] and [N, K, S, E] to [N, K, Q, S].
func (h Heads) Scores(q, k *graph.Value) *graph.Value {
	return graph.MatMul(q, k, false, true, 1/math.Sqrt(float64(h.Width)))
}

// Hidden is the value of an additive mask where a key must not be seen. In float32 the exponential of a hidden score is
// exactly 0 as long as the row has one visible key, so that hidden keys change no bit of values or gradients; and a row that
// sees nothing (padding) gets the uniform average instead of a NaN, as -Inf would give.
const Hidden = -1e9
