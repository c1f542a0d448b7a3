package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort/orttest"
)

// Attention by branches is attention over the whole row with a mask, in value and gradient: a stem of 5 tokens, branches of 3, none and
// 1 tokens in windows of 4 places.
func TestBranchesEqualAMaskedRow(t *testing.T) {
	const stem, tokens, windows, places = 5, 9, 5, 4
	heads := Heads{Query: 4, KV: 2, Width: 4}
	r := orttest.NewRunner(t, "branches", func(g *graph.Graph) {
		q := g.Input("q", graph.F32, 1, "T", heads.Query*heads.Width)
		k, v := g.Input("k", graph.F32, 1, "T", heads.KV*heads.Width), g.Input("v", graph.F32, 1, "T", heads.KV*heads.Width)
		b := Branches{
			Index: g.Input("index", graph.I64, "W", "Q"), Place: g.Input("place", graph.I64, "T"),
			Stem: g.Input("stem", graph.I64, "P"), Seat: g.Input("seat", graph.I64, "T"),
			Mask: g.Input("branch_mask", graph.F32, "W", 1, "Q", "P+Q"),
		}
		weight := g.Input("weight", graph.F32, 1, "T", heads.Query*heads.Width)
		for name, o := range map[string]*graph.Value{
			"branches": b.Attend(heads, q, k, v, heads.Mask(b.Mask)),
			"masked": heads.Merge(heads.Attend(heads.Queries(q), heads.Keys(k), heads.Keys(v),
				heads.Mask(g.Input("mask", graph.F32, 1, 1, "T", "T")))),
		} {
			g.Output(name, o)
			for i, d := range graph.Gradients(graph.SumAll(graph.Mul(o, weight)), q, k, v) {
				g.Output(name+string("qkv"[i]), d)
			}
		}
	})
	hidden := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = Hidden
		}
		return x
	}
	index, place, seat := make([]int64, windows*places), make([]int64, tokens), make([]int64, tokens)
	mask, whole := hidden(windows*places*(stem+places)), hidden(tokens*tokens)
	for i := range windows * places { // places that are left over see the first key
		mask[i*(stem+places)] = 0
	}
	// Of each token: its window, its place there, how much of the stem it sees and where its branch begins.
	for i, token := range [tokens][4]int{
		{3, 0, 1, 0}, {3, 1, 2, 0}, {3, 2, 3, 0}, {3, 3, 4, 0}, {4, 0, 5, 0}, // the stem
		{0, 0, stem, 5}, {0, 1, stem, 5}, {0, 2, stem, 5}, {2, 0, stem, 8},
	} {
		at := token[0]*places + token[1]
		index[at], place[i] = int64(i), int64(at)
		row := mask[at*(stem+places):][:stem+places]
		clear(row[:token[2]])
		clear(whole[i*tokens:][:token[2]])
		if i < stem {
			seat[i] = int64(i)
			continue
		}
		clear(row[stem:][:token[1]+1])
		clear(whole[i*tokens+token[3]:][:token[1]+1])
	}
	rng := rand.New(rand.NewPCG(1, 1))
	random := func(width int) orttest.Value {
		x := make([]float32, tokens*width)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return orttest.F32(x, 1, tokens, width)
	}
	out := r.Run(map[string]orttest.Value{
		"q": random(heads.Query * heads.Width), "k": random(heads.KV * heads.Width), "v": random(heads.KV * heads.Width),
		"weight": random(heads.Query * heads.Width), "index": orttest.I64(index, windows, places), "place": orttest.I64(place, tokens),
		"stem": orttest.I64([]int64{0, 1, 2, 3, 4}, stem), "seat": orttest.I64(seat, tokens),
		"branch_mask": orttest.F32(mask, windows, 1, places, stem+places), "mask": orttest.F32(whole, 1, 1, tokens, tokens),
	})
	for _, part := range []string{"", "q", "k", "v"} {
		got, want := out["branches"+part].Floats(), out["masked"+part].Floats()
		for i := range want {
			// Sums of at most nine products of numbers near 1, in another order.
			if d := math.Abs(float64(got[i] - want[i])); !(d < 1e-5) {
				t.Fatalf("%q element %d: got %g, want %g", part, i, got[i], want[i])
			}
		}
	}
}
