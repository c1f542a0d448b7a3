package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"mixr/runtime/graph"
)

// Two sequences behind one another, in windows of their own with a place left over, attend as under a mask over the whole row, and the
// gradient is the same.
func TestWindowsWithoutStem(t *testing.T) {
	heads := Heads{Query: 4, KV: 2, Width: 4}
	const tokens, places = 7, 4
	lengths := []int{3, 4}
	whole, window := make([]float32, tokens*tokens), make([]float32, len(lengths)*places*places)
	for _, mask := range [][]float32{whole, window} {
		for i := range mask {
			mask[i] = Hidden
		}
	}
	index, place := make([]int64, len(lengths)*places), []int64{}
	start := 0
	for w, n := range lengths {
		for i := range n {
			index[w*places+i] = int64(start + i)
			place = append(place, int64(w*places+i))
			for j := range i + 1 {
				whole[(start+i)*tokens+start+j] = 0
				window[(w*places+i)*places+j] = 0
			}
		}
		start += n
	}
	build := func(windows bool) *graph.Graph {
		g, err := graph.Build("attention", func(g *graph.Graph) {
			x := g.Input("x", graph.F32, 1, tokens, 4*4)
			q, k, v := x, graph.Slice(x, 2, 0, 8), graph.Slice(x, 2, 8, 16)
			var o *graph.Value
			if windows {
				b := Branches{
					Index: g.Ints([]int{len(lengths), places}, index...), Place: g.Ints([]int{tokens}, place...),
					Mask: g.Floats([]int{len(lengths), 1, places, places}, window...),
				}
				o = b.Attend(heads, q, k, v, heads.Mask(b.Mask))
			} else {
				mask := heads.Mask(g.Floats([]int{1, 1, tokens, tokens}, whole...))
				o = heads.Merge(heads.Attend(heads.Queries(q), heads.Keys(k), heads.Keys(v), mask))
			}
			loss := graph.SumSquares(o)
			g.Output("dx", graph.Gradients(loss, x)[0])
		})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	rng := rand.New(rand.NewPCG(7, 7))
	x := make([]float32, tokens*16)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	in := map[string]feed{"x": {x, []int{1, tokens, 16}}}
	got, want := run(t, build(true), in), run(t, build(false), in)
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-5 { // sums of some ten terms of up to 10
			t.Errorf("element %d of the gradient: %g in windows, %g under a mask", i, got[i], want[i])
		}
	}
	if len(got) != tokens*16 {
		t.Errorf("%d elements", len(got))
	}
}
