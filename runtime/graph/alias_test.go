package graph_test

import (
	"strings"
	"testing"

	"mixr/runtime/graph"
)

func TestCheckAlias(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(g *graph.Graph, x *graph.Value)
		want  string // part of the error; "" if safe
	}{
		{"element-wise", func(g *graph.Graph, x *graph.Value) { g.Output("y", graph.Sub(x, g.Input("d", graph.F32, "N", 4))) }, ""},
		{"every reader is an ancestor", func(g *graph.Graph, x *graph.Value) { // clipping by the norm, as an optimizer does
			g.Output("y", graph.Sub(x, graph.Mul(x, graph.Sqrt(graph.SumSquares(x)))))
		}, ""},
		{"a reader beside the writer", func(g *graph.Graph, x *graph.Value) {
			g.Output("sum", graph.SumAll(graph.Exp(x)))
			g.Output("y", graph.Neg(x))
		}, "Exp (Exp) reads the input and may run after Neg"},
		{"a reader of a view beside the writer", func(g *graph.Graph, x *graph.Value) {
			flat := graph.Reshape(x, -1)
			g.Output("y", graph.Add(x, graph.Reshape(graph.Neg(flat), "N", 4)))
			g.Output("sum", graph.Exp(flat))
		}, "sum (Exp) reads the input and may run after Add"},
		{"an unused reader", func(g *graph.Graph, x *graph.Value) { graph.Exp(x); g.Output("y", graph.Neg(x)) }, ""},
		{"a product", func(g *graph.Graph, x *graph.Value) {
			g.Output("y", graph.Linear(x, g.Input("w", graph.F32, 4, 4), nil))
		}, "Gemm does not work in place"},
		{"another shape", func(g *graph.Graph, x *graph.Value) { g.Output("y", graph.Mul(x, g.Input("z", graph.F32, "T", 1, 1))) },
			"they are float32 [N, 4] and float32 [T, N, 4]"},
		{"no such output", func(g *graph.Graph, x *graph.Value) { g.Output("z", graph.Neg(x)) }, "no such input or output"},
	} {
		g, err := graph.Build(c.name, func(g *graph.Graph) { c.build(g, g.Input("x", graph.F32, "N", 4)) })
		if err != nil {
			t.Fatal(err)
		}
		checkAlias(t, g, c.want)
	}
}

func TestCheckAliases(t *testing.T) {
	g, err := graph.Build("two", func(g *graph.Graph) {
		x, z := g.Input("x", graph.F32, "N"), g.Input("z", graph.F32, "N")
		g.Output("a", graph.Neg(x))
		g.Output("b", graph.Neg(z))
		g.Output("late", graph.Exp(z))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.CheckAliases(map[string]string{"a": "x"}); err != nil {
		t.Error(err)
	}
	err = g.CheckAliases(map[string]string{"a": "x", "b": "z"})
	if err == nil || !strings.Contains(err.Error(), "output b cannot share the buffer of input z: late (Exp) reads the input") {
		t.Errorf("got %v, want an error that names the second pair", err)
	}
}

func TestCheckAliasOfCache(t *testing.T) {
	cache := func(f func(g *graph.Graph, x, row, at *graph.Value)) *graph.Graph {
		g, err := graph.Build("cache", func(g *graph.Graph) {
			f(g, g.Input("x", graph.F32, "G", 2, "C", 3), g.Input("row", graph.F32, "G", 2, 1, 3), g.Input("at", graph.I64, "G"))
		})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	// Attention reads the updated cache, not the old one.
	checkAlias(t, cache(func(g *graph.Graph, x, row, at *graph.Value) {
		y := graph.TensorScatter(x, row, at)
		g.Output("y", y)
		g.Output("scores", graph.MatMul(row, y, false, true, 1))
	}), "")
	checkAlias(t, cache(func(g *graph.Graph, x, row, at *graph.Value) {
		g.Output("y", graph.TensorScatter(x, row, at))
		g.Output("scores", graph.MatMul(row, x, false, true, 1))
	}), "reads the input and may run after TensorScatter")
	checkAlias(t, cache(func(g *graph.Graph, x, _, at *graph.Value) {
		g.Output("y", graph.TensorScatter(graph.Neg(x), graph.Slice(x, 2, 0, 1), at))
	}), "")
}

func checkAlias(t *testing.T, g *graph.Graph, want string) {
	t.Helper()
	err := g.CheckAlias("x", "y")
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: got %v, want %q", g.Name(), err, want)
	}
}
