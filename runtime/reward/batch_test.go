package reward

import (
	"math"
	"math/rand/v2"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// bmasGraph is BMAS of P pairs at once, over a table [V, D] of unit rows: e [P, M] and f [P, N] are token ids, padded by any id; u [P, M]
// and v [P, N] weights that add up to 1 in each row, 0 for padding; hide_e [P, M, 1] and hide_f [P, 1, N] are 0, or -4 for padding, which
// no cosine outweighs. Output bmas [P].
func bmasGraph(g *graph.Graph) {
	in := func(name string, dims ...any) *graph.Value { return g.Input(name, graph.F32, dims...) }
	table := in("table", "V", "D")
	e := graph.Gather(table, g.Input("e", graph.I64, "P", "M")) // [P, M, D]
	f := graph.Gather(table, g.Input("f", graph.I64, "P", "N")) // [P, N, D]
	s := graph.MatMul(e, f, false, true, 1)                     // [P, M, N]
	forward := graph.ReduceMax(graph.Add(s, in("hide_f", "P", 1, "N")), 2)
	backward := graph.ReduceMax(graph.Add(s, in("hide_e", "P", "M", 1)), 1)
	mean := func(x, w *graph.Value, size string) *graph.Value {
		return graph.Sum(graph.Mul(graph.Reshape(x, "P", size), w), 1)
	}
	both := graph.Add(mean(forward, in("u", "P", "M"), "M"), mean(backward, in("v", "P", "N"), "N"))
	g.Output("bmas", graph.Clip(graph.Scale(graph.Reshape(both, "P"), 0.5), 0, 1))
}

// pairs are random texts over a random table, and what the graph is fed of them.
type pairs struct {
	e, f  [][][]float32
	feeds map[string]orttest.Value
}

func newPairs(vocabulary, width, count, size int, ragged bool) pairs {
	rng := rand.New(rand.NewPCG(1, 2))
	table := make([][]float32, vocabulary)
	var flat []float32
	for id := range table {
		x := make([]float32, width)
		for k := range x {
			x[k] = float32(rng.NormFloat64())
		}
		table[id] = unitRow(x)
		flat = append(flat, table[id]...)
	}
	side := func() (texts [][][]float32, ids []int64, weights, hide []float32) {
		for range count {
			n := size
			if ragged {
				n = 1 + rng.IntN(size)
			}
			var text [][]float32
			for i := range size {
				id := rng.IntN(vocabulary)
				ids = append(ids, int64(id))
				if i < n {
					text = append(text, table[id])
					weights, hide = append(weights, 1/float32(n)), append(hide, 0)
				} else {
					weights, hide = append(weights, 0), append(hide, -4)
				}
			}
			texts = append(texts, text)
		}
		return texts, ids, weights, hide
	}
	e, ei, ew, eh := side()
	f, fi, fw, fh := side()
	return pairs{e, f, map[string]orttest.Value{
		"table": orttest.F32(flat, vocabulary, width), "e": orttest.I64(ei, count, size), "f": orttest.I64(fi, count, size),
		"u": orttest.F32(ew, count, size), "v": orttest.F32(fw, count, size),
		"hide_e": orttest.F32(eh, count, size, 1), "hide_f": orttest.F32(fh, count, 1, size),
	}}
}

// TestBatchedBMAS: a batch in ONNX Runtime gives what the host gives. 1e-5 is some hundred roundings of float32; measured 2e-8.
func TestBatchedBMAS(t *testing.T) {
	p := newPairs(300, 128, 16, 24, true)
	got := orttest.NewRunner(t, "bmas", bmasGraph).Run(p.feeds)["bmas"].Floats()
	worst := 0.0
	for i := range p.e {
		worst = max(worst, math.Abs(float64(got[i])-Similarity(p.e[i], p.f[i])))
	}
	if worst > 1e-5 {
		t.Errorf("off by %g", worst)
	}
	t.Logf("off by at most %.1g", worst)
}

// BenchmarkGraphBMAS compares batches of 16 pairs of 64 tokens, a thread a batch, on all cores; the table stays bound.
func BenchmarkGraphBMAS(b *testing.B) {
	const count = 16
	p := newPairs(6400, 512, count, 64, false)
	engine := orttest.Open(b)
	g, err := graph.Build("bmas", bmasGraph)
	if err != nil {
		b.Fatal(err)
	}
	session, err := engine.NewSession(g, ort.SessionOptions{Level: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	b.RunParallel(func(pb *testing.PB) {
		binding, err := session.NewBinding()
		if err != nil {
			b.Error(err)
			return
		}
		defer binding.Close()
		for _, in := range g.Inputs() {
			v := p.feeds[in.Name()]
			x, err := engine.NewTensor(in.DType(), v.Shape...)
			if err != nil {
				b.Error(err)
				return
			}
			defer x.Free()
			switch data := v.Data.(type) {
			case []float32:
				copy(x.Float32(), data)
			case []int64:
				copy(x.Int64(), data)
			}
			if err := binding.Input(in.Name(), x); err != nil {
				b.Error(err)
			}
		}
		if err := binding.OutputAuto("bmas"); err != nil {
			b.Error(err)
		}
		for pb.Next() {
			if err := binding.Run(); err != nil {
				b.Error(err)
			}
		}
	})
	perSecond(b, count)
}
