package decoder

import (
	"math"

	"mixr/runtime/graph"
)

// Sample draws one token for each row by inverse CDF from softmax(logits / temperature): the first token whose cumulative
// probability reaches u. logits [G, V], or [1, V] to draw all rows from one distribution; u [G, 1] uniform in the open interval
// (0, 1); temperature [1]. Returns the token [G] int64 and its natural-log probability under the tempered distribution [G].
//
// The vocabulary is searched in two levels, first among blocks, then in the block found: a running sum over 150 000
// float32 would drop what is far below the sum so far (6e-8 of it), and is the slowest step of a small model besides.
// A token of probability 0 is never drawn.
func Sample(logits, u, temperature *graph.Value) (token, logp *graph.Value) {
	g := u.Dim(0)
	u.Want(g, 1)
	temperature.Want(1)
	if logits.Dim(0) != g { // one distribution for all rows
		logits = graph.Add(logits, graph.Scale(u, 0)) // [G, V]
	}
	logits.Want(g, -1)

	b := blockSize(logits.Dim(1))
	p := graph.Softmax(graph.Div(logits, temperature))
	blocks := graph.Reshape(p, 0, -1, b)              // [G, V/B, B]
	mass := graph.Sum(blocks, 2)                      // [G, V/B]
	total := graph.Reshape(graph.Sum(mass, 1), -1, 1) // [G, 1]
	target := graph.Mul(u, total)
	block, before := search(mass, target) // [G, 1]

	// The row of blocks that was found: GatherElements wants an index for each element of it.
	index := graph.Add(graph.Scale(graph.Slice(blocks, 1, 0, 1), 0), graph.Reshape(block, -1, 1, 1)) // [G, 1, B]
	within := graph.Reshape(graph.GatherElements(blocks, graph.Cast(index, graph.I64), 1), 0, -1)    // [G, B]
	place, _ := search(within, graph.Sub(target, before))

	token = graph.Reshape(graph.Cast(graph.Add(graph.Scale(block, float64(b)), place), graph.I64), -1)
	chosen := graph.GatherElements(within, graph.Cast(place, graph.I64), 1) // [G, 1]
	return token, graph.Reshape(graph.Log(chosen), -1)
}

// search finds, in each row of masses [G, n], the first place whose cumulative mass reaches the target [G, 1] > 0. It returns the place
// as float32 [G, 1] and the mass before it [G, 1]. A target that rounding has put above the whole mass counts as the whole.
func search(masses, target *graph.Value) (place, before *graph.Value) {
	cdf := graph.CumSum(masses, 1)
	target = graph.Min(target, graph.Slice(cdf, 1, -1, graph.End))
	below := graph.Cast(graph.Less(cdf, target), graph.F32) // [G, n], 1 before the place, 0 from it on
	column := func(x *graph.Value) *graph.Value { return graph.Reshape(x, -1, 1) }
	// Read off the running sum itself, so that the target exceeds it whatever the rounding.
	return column(graph.Sum(below, 1)), column(graph.ReduceMax(graph.Mul(below, cdf), 1))
}

// blockSize is the largest divisor of the vocabulary that is not above its square root; 1, a single level, if the size is not known.
func blockSize(vocabulary graph.Dim) int {
	v, ok := vocabulary.Int()
	if !ok {
		return 1
	}
	b := int(math.Sqrt(float64(v)))
	for v%b != 0 {
		b--
	}
	return b
}
