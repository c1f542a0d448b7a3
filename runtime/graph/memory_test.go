package graph_test

import (
	"strings"
	"testing"

	"mixr/runtime/graph"
)

// kib is a number of float32 that fill so many KiB.
func kib(n int) int { return n << 8 }

// A chain of element-wise nodes needs one buffer, a branch that is read later needs its own, views none, and bound outputs none.
func TestArenaFollowsTheLifeOfValues(t *testing.T) {
	for name, c := range map[string]struct {
		build func(g *graph.Graph, x *graph.Value)
		want  int64 // KiB
	}{
		"chain": {func(g *graph.Graph, x *graph.Value) {
			g.Output("o.y", graph.Exp(graph.Neg(graph.Exp(graph.Neg(x))))) // the last one goes to the caller's tensor
		}, 4},
		"output": {func(g *graph.Graph, x *graph.Value) {
			g.Output("y", graph.Exp(graph.Neg(x))) // an output is never written over an operand
		}, 8},
		"branch": {func(g *graph.Graph, x *graph.Value) {
			a := graph.Neg(x)
			g.Output("o.y", graph.Add(graph.Softmax(a), a))
		}, 8},
		"view": {func(g *graph.Graph, x *graph.Value) {
			g.Output("o.y", graph.Exp(graph.Reshape(graph.Neg(x), -1)))
		}, 4},
		"input's view": {func(g *graph.Graph, x *graph.Value) {
			g.Output("o.y", graph.Exp(graph.Reshape(x, -1)))
		}, 0},
	} {
		g, err := graph.Build(name, func(g *graph.Graph) { c.build(g, g.Input("x", graph.F32, "N", kib(1))) })
		if err != nil {
			t.Fatal(err)
		}
		var a graph.Arena
		held, err := a.Run(g, map[string]int{"N": 4}, func(output string) bool { return strings.HasPrefix(output, "o.") })
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Total(); got != c.want<<10 {
			t.Errorf("%s: %d bytes, want %d KiB", name, got, c.want)
		}
		a.Release(held)
		if _, err := a.Run(g, map[string]int{"N": 4}, nil); err != nil || a.Total() > max(c.want+4, 4)<<10 {
			t.Errorf("%s: a second run needs %d bytes in all: memory was not given back (%v)", name, a.Total(), err)
		}
	}
}

// What is held between runs stays, what is released is joined with its neighbours and serves again.
func TestArenaHoldsAndReuses(t *testing.T) {
	g, err := graph.Build("two", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N", kib(1))
		g.Output("a", graph.Neg(x))
		g.Output("b", graph.Exp(x))
	})
	if err != nil {
		t.Fatal(err)
	}
	var a graph.Arena
	run := func(n int) graph.Held {
		h, err := a.Run(g, map[string]int{"N": n}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	want := func(what string, kib int64) {
		t.Helper()
		if a.Total() != kib<<10 {
			t.Errorf("%s: %d bytes, want %d KiB", what, a.Total(), kib)
		}
	}
	first := run(100)
	want("two outputs of 100 KiB", 200)
	second := run(100)
	want("two more while they are held", 400)
	a.Release(first, "a")
	a.Release(first)
	a.Release(second)
	want("all released: nothing goes back to the system", 400)
	a.Release(run(200))
	want("two of 200 KiB fit where four of 100 were", 400)
}

func TestArenaWantsEverySymbol(t *testing.T) {
	g, err := graph.Build("g", func(g *graph.Graph) { g.Output("y", graph.Neg(g.Input("x", graph.F32, "N", "4*(M+T)"))) })
	if err != nil {
		t.Fatal(err)
	}
	var a graph.Arena
	if _, err := a.Run(g, map[string]int{"N": 2, "M": 3}, nil); err == nil || !strings.Contains(err.Error(), "T") {
		t.Errorf("got %v, want an error that names T", err)
	}
	sizes := map[string]int{"N": 64, "M": 3, "T": 5}
	if _, err := a.Run(g, sizes, nil); err != nil || a.Total() != 64*32*4 {
		t.Errorf("%d bytes, %v", a.Total(), err)
	}
}

// Sizes reads symbols off shapes, through factors.
func TestSizesOfInputs(t *testing.T) {
	g, err := graph.Build("g", func(g *graph.Graph) {
		g.Output("y", graph.Neg(g.Input("x", graph.F32, "N", "4*M", 7)))
	})
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{"N": 1}
	g.Sizes(sizes, "x", []int{2, 12, 7})
	g.Sizes(sizes, "unknown", []int{2})
	if sizes["N"] != 2 || sizes["M"] != 3 || len(sizes) != 2 {
		t.Errorf("got %v", sizes)
	}
}
