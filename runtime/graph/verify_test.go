package graph_test

import (
	"strings"
	"testing"

	"mixr/runtime/graph"
)

func TestVerify(t *testing.T) {
	build := func() (*graph.Graph, *graph.Value) {
		g := graph.New("g")
		x := g.Input("x", graph.F32, "N", 4)
		y := graph.Exp(graph.Neg(x))
		g.Output("y", y)
		return g, y
	}
	g, _ := build()
	if err := g.Verify(); err != nil {
		t.Errorf("a good graph: %v", err)
	}
	g.Swap(0, 1)
	if err := g.Verify(); err == nil || !strings.Contains(err.Error(), "node 0 (Exp) reads operand 0, Neg, before it is made") {
		t.Errorf("nodes out of order: %v", err)
	}
	g, y := build()
	y.SetShape(graph.Shape{graph.Const(4)})
	if err := g.Verify(); err == nil || !strings.Contains(err.Error(), "node 1 (Exp): result 0 is float32 [4], want float32 [N, 4]") {
		t.Errorf("wrong shape: %v", err)
	}
	if _, err := g.Marshal(); err == nil {
		t.Error("a wrong graph is serialised")
	}
}
