package nn

import (
	"math"
	"math/rand/v2"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// Grouped attention in the layout of Heads against the definition, head by head, with a mask that differs by row and query.
func TestAttendIsTheDefinition(t *testing.T) {
	const n, tokens, keys = 2, 3, 5
	heads := Heads{Query: 6, KV: 2, Width: 4}
	h, e := heads.Query, heads.Width
	g, err := graph.Build("attention", func(g *graph.Graph) {
		q := g.Input("q", graph.F32, "N", "T", h*e)
		k := g.Input("k", graph.F32, "N", "S", heads.KV*e)
		v := g.Input("v", graph.F32, "N", "S", heads.KV*e)
		mask := heads.Mask(g.Input("mask", graph.F32, "N", 1, "T", "S"))
		o := heads.Attend(heads.Queries(q), heads.Keys(k), heads.Keys(v), mask)
		g.Output("o", heads.Merge(o).Want("N", "T", h*e))
	})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	random := func(size int) []float32 {
		x := make([]float32, size)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	q, k, v := random(n*tokens*h*e), random(n*keys*heads.KV*e), random(n*keys*heads.KV*e)
	mask := make([]float32, n*tokens*keys)
	for i := range mask {
		if i%keys > 0 && rng.IntN(3) == 0 { // key 0 stays visible
			mask[i] = Hidden
		}
	}
	got := run(t, g, map[string]feed{
		"q": {q, []int{n, tokens, h * e}}, "mask": {mask, []int{n, 1, tokens, keys}},
		"k": {k, []int{n, keys, heads.KV * e}}, "v": {v, []int{n, keys, heads.KV * e}},
	})
	for row := range n {
		for i := range tokens {
			for head := range h {
				kv := head / heads.Group()
				var weights [keys]float64
				sum := 0.0
				for j := range keys {
					score := float64(mask[(row*tokens+i)*keys+j])
					for d := range e {
						score += float64(q[((row*tokens+i)*h+head)*e+d]) * float64(k[((row*keys+j)*heads.KV+kv)*e+d]) / math.Sqrt(float64(e))
					}
					weights[j] = math.Exp(score)
					sum += weights[j]
				}
				for d := range e {
					want := 0.0
					for j := range keys {
						want += weights[j] / sum * float64(v[((row*keys+j)*heads.KV+kv)*e+d])
					}
					at := ((row*tokens+i)*h+head)*e + d
					if diff := math.Abs(float64(got[at]) - want); !(diff < 1e-6) {
						t.Fatalf("row %d, token %d, head %d, column %d: got %g, want %g", row, i, head, d, got[at], want)
					}
				}
			}
		}
	}
}

// Without a mask every key is visible, as with a mask of zeros.
func TestAttendWithoutMask(t *testing.T) {
	heads := Heads{Query: 2, KV: 2, Width: 2}
	build := func(masked bool) *graph.Graph {
		g, err := graph.Build("attention", func(g *graph.Graph) {
			x := heads.Keys(g.Input("x", graph.F32, "N", "T", 4))
			var mask *graph.Value
			if masked {
				mask = g.Floats([]int{1, 1, 1, 1}, 0)
			}
			g.Output("o", heads.Merge(heads.Attend(x, x, x, mask)))
		})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	x := map[string]feed{"x": {[]float32{1, 2, -3, 0.5, 0, 1, 2, -2, 0.25, -1, 1, 3}, []int{1, 3, 4}}}
	got, want := run(t, build(false), x), run(t, build(true), x)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("element %d: %g without a mask, %g with zeros", i, got[i], want[i])
		}
	}
}

type feed struct {
	data  []float32
	shape []int
}

// run returns the only output of g.
func run(t *testing.T, g *graph.Graph, feeds map[string]feed) []float32 {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	engine := orttest.Open(t)
	s, err := engine.NewSession(g, ort.SessionOptions{})
	check(err)
	defer s.Close()
	b, err := s.NewBinding()
	check(err)
	defer b.Close()
	for name, f := range feeds {
		x, err := engine.NewTensor(graph.F32, f.shape...)
		check(err)
		defer x.Free()
		copy(x.Float32(), f.data)
		check(b.Input(name, x))
	}
	name := g.Outputs()[0].Name
	check(b.OutputAuto(name))
	check(b.Run())
	outs, err := b.Outputs()
	check(err)
	defer outs[name].Free()
	return append([]float32(nil), outs[name].Float32()...)
}
