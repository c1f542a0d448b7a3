package graph_test

import (
	"math"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
)

func buildErr(f func(g *graph.Graph, x *graph.Value)) string {
	_, err := graph.Build("g", func(g *graph.Graph) { f(g, g.Input("x", graph.F32, "N", 4)) })
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func TestGradientsRefuses(t *testing.T) {
	for want, f := range map[string]func(g *graph.Graph, x *graph.Value){
		"want a loss of one": func(_ *graph.Graph, x *graph.Value) { graph.Gradients(x, x) },
		"does not depend on y": func(g *graph.Graph, x *graph.Value) {
			graph.Gradients(graph.SumAll(x), x, g.Input("y", graph.F32, "N", 4))
		},
		"does not depend on x": func(_ *graph.Graph, x *graph.Value) {
			graph.Gradients(graph.SumAll(graph.StopGradient(x)), x)
		},
		// A gradient that exists must not be dropped in silence.
		"CumSum at gradient_test.go": func(_ *graph.Graph, x *graph.Value) {
			graph.Gradients(graph.SumAll(graph.Add(x, graph.CumSum(x, 1))), x)
		},
		"operand 3 has no gradient rule": func(g *graph.Graph, x *graph.Value) {
			at := g.Input("temperature", graph.F32, 1)
			logp, _ := graph.LogProb(x, x, g.Input("target", graph.I64, "N"), at)
			graph.Gradients(graph.SumAll(logp), at)
		},
		"ReduceMax at": func(_ *graph.Graph, x *graph.Value) { graph.Gradients(graph.SumAll(graph.ReduceMax(x, 1)), x) },
	} {
		if got := buildErr(f); !strings.Contains(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A rule that returns a gradient of the wrong shape is caught where it is added up, naming the forward call.
func TestGradientShapeIsChecked(t *testing.T) {
	defer graph.SetRule("Neg", func(d *graph.Value) []*graph.Value { return []*graph.Value{graph.Sum(d, 1)} })()
	got := buildErr(func(_ *graph.Graph, x *graph.Value) { graph.Gradients(graph.SumAll(graph.Neg(x)), x) })
	if want := "x [N, 4]: gradient of operand 0 is float32 [N], want float32 [N, 4]"; !strings.Contains(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A value used several times gets the sum of its gradients; comparisons and stopped paths add nothing.
func TestGradientsAddUp(t *testing.T) {
	g, err := graph.Build("sum of uses", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N")
		y := graph.Add(graph.Mul(x, x), graph.Mul(graph.StopGradient(x), x)) // 2x^2, of which half is stopped once
		y = graph.Add(y, graph.Cast(graph.Less(x, graph.Neg(x)), graph.F32))
		g.Output("d", graph.Gradients(graph.SumAll(y), x)[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, g, ort.SessionOptions{})
	copy(m.in["x"].Float32(), []float32{2, -3})
	if d := m.run()["d"]; d[0] != 6 || d[1] != -9 {
		t.Errorf("gradient %v, want [6 -9]", d)
	}
}

// Rows named many times by several threads add up exactly, every time: the sum of ones is a count. ScatterND(add), which
// is not used, is a data race here.
func TestRepeatedRowsAddUpExactly(t *testing.T) {
	const rows, width, reads = 7, 64, 2048
	idx, count := make([]int64, reads), make([]float64, rows)
	for i := range idx {
		idx[i] = int64(i * i % rows)
		count[idx[i]]++
	}
	g, err := graph.Build("counts", func(g *graph.Graph) {
		table := g.Input("table", graph.F32, rows, width)
		g.Output("d", graph.Gradients(graph.SumAll(graph.Gather(table, g.Ints([]int{reads}, idx...))), table)[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, g, ort.SessionOptions{Threads: threads})
	for range 20 {
		for i, d := range m.run()["d"] {
			if d != count[i/width] {
				t.Fatalf("row %d has gradient %v, want %v", i/width, d, count[i/width])
			}
		}
	}
}

// The gradient of a gradient goes through the same rules: d2/dx2 of sum(x^3) is 6x.
func TestSecondGradient(t *testing.T) {
	g, err := graph.Build("second", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N")
		d := graph.Gradients(graph.SumAll(graph.Mul(x, graph.Mul(x, x))), x)[0]
		g.Output("dd", graph.Gradients(graph.SumAll(d), x)[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, g, ort.SessionOptions{})
	copy(m.in["x"].Float32(), []float32{2, -3})
	if d := m.run()["dd"]; d[0] != 12 || d[1] != -18 {
		t.Errorf("second gradient %v, want [12 -18]", d)
	}
}

// Values made once are known by identity: a name may pass from a value to another by Output.
func TestOutputDoesNotConfuseShapes(t *testing.T) {
	g, err := graph.Build("renamed", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N", "T")
		a := graph.Neg(x)
		g.Output("da", graph.Gradients(graph.SumAll(a), x)[0])
		g.Output("a", a) // gives up the name Neg
		b := graph.Neg(graph.Sum(x, 0))
		g.Output("db", graph.Gradients(graph.SumAll(b), x)[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	if out := load(t, g, ort.SessionOptions{}).run(); len(out["da"]) != 6 || len(out["db"]) != 6 {
		t.Errorf("got %v", out)
	}
}

// Ties and bounds follow the documented convention: Min and Max give the gradient to the first operand, Clip passes it
// at the bounds.
func TestTies(t *testing.T) {
	g, err := graph.Build("ties", func(g *graph.Graph) {
		a, b := g.Input("a", graph.F32, 2), g.Input("b", graph.F32, 2)
		for name, y := range map[string]*graph.Value{"min": graph.Min(a, b), "max": graph.Max(a, b)} {
			d := graph.Gradients(graph.SumAll(y), a, b)
			g.Output(name+"/a", d[0])
			g.Output(name+"/b", d[1])
		}
		g.Output("clip", graph.Gradients(graph.SumAll(graph.Clip(a, 1, 2)), a)[0])
	})
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, g, ort.SessionOptions{})
	copy(m.in["a"].Float32(), []float32{1, 2})
	copy(m.in["b"].Float32(), []float32{1, 2})
	for name, d := range m.run() {
		want := truth(!strings.HasSuffix(name, "/b"))
		if d[0] != want || d[1] != want {
			t.Errorf("%s: gradient %v, want %v at a tie", name, d, want)
		}
	}
}

// Logits of hundreds, as untrained heads and low temperatures give, neither overflow nor underflow.
func TestLogProbExtremes(t *testing.T) {
	g, err := graph.Build("extremes", func(g *graph.Graph) {
		h, head := g.Input("h", graph.F32, 2, 1), g.Input("head", graph.F32, 3, 1)
		logp, entropy := graph.LogProb(h, head, g.Ints([]int{2}, 0, 2), g.Floats([]int{1}, 0.01))
		d := graph.Gradients(graph.SumAll(graph.Add(logp, entropy)), h, head)
		g.Output("logp", logp)
		g.Output("entropy", entropy)
		g.Output("dh", d[0])
		g.Output("dhead", d[1])
	})
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, g, ort.SessionOptions{})
	copy(m.in["h"].Float32(), []float32{2, 2})
	copy(m.in["head"].Float32(), []float32{-1, 0, 1}) // logits -200, 0, 200
	out := m.run()
	if l := out["logp"]; l[0] != -400 || l[1] != 0 {
		t.Errorf("logp %v, want [-400 0]", l)
	}
	for name, v := range out {
		for _, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Errorf("%s is %v", name, v)
			}
		}
	}
}

// A graph cut in two: the gradient of the second part's input, carried back through the first by Backward, is the whole's.
func TestBackwardCarriesOn(t *testing.T) {
	first := func(x *graph.Value) *graph.Value { return graph.Mul(graph.Exp(x), x) }
	second := func(y *graph.Value) *graph.Value { return graph.SumAll(graph.Sigmoid(y)) }
	build := func(name string, f func(g *graph.Graph)) *machine {
		g, err := graph.Build(name, f)
		if err != nil {
			t.Fatal(err)
		}
		m := load(t, g, ort.SessionOptions{})
		for in, x := range m.in {
			noise(uint64(len(in)), x.Float32())
		}
		return m
	}
	input := func(g *graph.Graph, name string) *graph.Value { return g.Input(name, graph.F32, 3, 4) }
	want := build("whole", func(g *graph.Graph) {
		x := input(g, "x")
		g.Output("dx", graph.Gradients(second(first(x)), x)[0])
	}).run()["dx"]
	top := build("top", func(g *graph.Graph) {
		y := first(input(g, "x"))
		g.Output("dy", graph.Gradients(second(y), y)[0])
	}).run()["dy"]
	bottom := build("bottom", func(g *graph.Graph) {
		x := input(g, "x")
		g.Output("dx", graph.Backward(first(x), input(g, "dy"), x)[0])
	})
	for i, v := range top {
		bottom.in["dy"].Float32()[i] = float32(v)
	}
	for i, got := range bottom.run()["dx"] {
		if got != want[i] {
			t.Errorf("element %d: %g in two parts, %g in one", i, got, want[i])
		}
	}
}
