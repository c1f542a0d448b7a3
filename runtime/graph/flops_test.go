package graph_test

import (
	"testing"

	"mixr/runtime/graph"
)

// Every product counts 2 M K P, in batches and with operands transposed; what no output needs does not count.
func TestFlops(t *testing.T) {
	g, err := graph.Build("products", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N", "T", 3)
		w := g.Input("w", graph.F32, 5, 3)
		y := graph.Linear(x, w, nil)                    // N*T*5*3
		scores := graph.MatMul(y, y, false, true, 1)    // N*T*T*5
		own := graph.MatMul(w, w, true, false, 1)       // 3*3*5
		graph.MatMul(scores, scores, false, false, 0.5) // unused
		g.Output("scores", scores)
		g.Output("own", own)
	})
	if err != nil {
		t.Fatal(err)
	}
	const n, tokens = 2, 7
	got, err := g.Flops(map[string]int{"N": n, "T": tokens})
	if want := int64(2 * (n*tokens*5*3 + n*tokens*tokens*5 + 3*3*5)); err != nil || got != want {
		t.Errorf("got %d, %v; want %d", got, err, want)
	}
	if _, err := g.Flops(nil); err == nil {
		t.Error("sizes are missing, and no error says so")
	}
}
