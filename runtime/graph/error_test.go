package graph_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"mixr/runtime/graph"
)

// An error names the operation, this file and line, the operands with their shapes, and the rule broken.
func TestErrorText(t *testing.T) {
	var line int
	_, err := graph.Build("model", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N", "T", 2048)
		w := g.Input("q_proj.weight", graph.F32, 256, 1536)
		_, _, line, _ = runtime.Caller(0)
		graph.MatMul(x, w, false, true, 1)
	})
	want := fmt.Sprintf("build model: graph: MatMul at error_test.go:%d: x [N, T, 2048], q_proj.weight [256, 1536]: inner dims differ: 2048 and 1536", line+1)
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	var e *graph.Error
	if !errors.As(err, &e) || e.Op != "MatMul" || len(e.Operands) != 2 || e.Operands[0].Name != "x" {
		t.Errorf("got %#v", e)
	}
}

func TestErrors(t *testing.T) {
	for want, f := range map[string]func(g *graph.Graph, x, ids *graph.Value){
		"x [N, T, 6], y [S, 6]: shapes do not broadcast": func(g *graph.Graph, x, _ *graph.Value) {
			graph.Add(x, g.Input("y", graph.F32, "S", 6))
		},
		"ids int64 [N, T]: want operands of one numeric type": func(_ *graph.Graph, x, ids *graph.Value) { graph.Mul(x, ids) },
		"Linear at": func(_ *graph.Graph, x, _ *graph.Value) { graph.Linear(x, x, nil) },
		"want a bias [4]": func(g *graph.Graph, x, _ *graph.Value) {
			graph.Linear(x, g.Input("w", graph.F32, 4, 6), g.Input("b", graph.F32, 6))
		},
		"operand 1 is nil":              func(_ *graph.Graph, x, _ *graph.Value) { graph.Add(x, nil) },
		"operand 1 is of another graph": func(_ *graph.Graph, x, _ *graph.Value) { graph.Add(x, graph.New("other").Floats(nil, 1)) },
		"cannot infer dim 1: 6*N*T elements are not a multiple of 4*N": func(_ *graph.Graph, x, _ *graph.Value) { graph.Reshape(x, 0, -1, 4) },
		"dims 0 and 1 are both -1":                                     func(_ *graph.Graph, x, _ *graph.Value) { graph.Reshape(x, -1, -1) },
		"6*N*T elements cannot take shape [N, 6]":                      func(_ *graph.Graph, x, _ *graph.Value) { graph.Reshape(x, 0, 6) },
		"dim 3 is 0, copy":                                             func(_ *graph.Graph, x, _ *graph.Value) { graph.Reshape(x, 0, 0, 6, 0) },
		"dim 0 is a float64":                                           func(_ *graph.Graph, x, _ *graph.Value) { graph.Reshape(x, 1.0) },
		`dim "N T*"`:                                                   func(g *graph.Graph, _, _ *graph.Value) { g.Input("y", graph.F32, "N T*") },
		"want [N, 7, 6]":                                               func(_ *graph.Graph, x, _ *graph.Value) { x.Want(-1, 7, 6) },
		"there is no dim 3 in [N, T, 6]":                               func(_ *graph.Graph, x, _ *graph.Value) { graph.Sum(x, 3) },
		"name one twice":                                               func(_ *graph.Graph, x, _ *graph.Value) { graph.Sum(x, 2, -1) },
		"T, is not known: divide Sum by a count":                       func(_ *graph.Graph, x, _ *graph.Value) { graph.Mean(x, 1) },
		"is not an order of the 3 dims":                                func(_ *graph.Graph, x, _ *graph.Value) { graph.Transpose(x, 0, 1, 1) },
		"dims differ outside dim 0: T and S":                           func(g *graph.Graph, x, _ *graph.Value) { graph.Concat(0, x, g.Input("y", graph.F32, "N", "S", 6)) },
		"no definite range 1 to 9223372036854775807":                   func(_ *graph.Graph, x, _ *graph.Value) { graph.Slice(x, 1, 1, graph.End) },
		"want int64 indices":                                           func(_ *graph.Graph, x, _ *graph.Value) { graph.Gather(x, x) },
		"2 heads of width E make 6": func(g *graph.Graph, x, ids *graph.Value) {
			t := g.Input("t", graph.F32, "N", 3)
			graph.RoPE(x, ids, t, t, 2)
		},
		"want x [..., D] and a gain [D]": func(g *graph.Graph, x, _ *graph.Value) { graph.RMSNorm(x, g.Input("gain", graph.F32, 5), 1e-6) },
		"want a float32 gain and bias [6]": func(g *graph.Graph, x, _ *graph.Value) {
			graph.LayerNorm(x, g.Input("gain", graph.F32, 6), g.Input("bias", graph.F32, 5), 1e-6)
		},
		"the width T must be a number": func(g *graph.Graph, _, _ *graph.Value) {
			graph.LayerNorm(g.Input("y", graph.F32, "N", "T"), g.Input("gain", graph.F32, "T"), nil, 1e-6)
		},
		"want lo <= hi":                     func(_ *graph.Graph, x, _ *graph.Value) { graph.Clip(x, 1, 0) },
		"shape [2] needs 2 elements, got 1": func(g *graph.Graph, _, _ *graph.Value) { g.Floats([]int{2}, 1) },
		"the name is taken by an input":     func(g *graph.Graph, x, _ *graph.Value) { g.Output("x", graph.Neg(x)) },
		"Input x at error_test.go":          func(g *graph.Graph, _, _ *graph.Value) { g.Input("x", graph.F32) },
		"no input has a dim K": func(g *graph.Graph, x, _ *graph.Value) {
			part := graph.SplitAt(x, 1, g.Input("cut", graph.I64, 2), "K", "L")[0]
			graph.Reshape(graph.Reshape(part, -1), "N", "K", 2, 3)
		},
	} {
		_, err := graph.Build("g", func(g *graph.Graph) {
			f(g, g.Input("x", graph.F32, "N", "T", 6), g.Input("ids", graph.I64, "N", "T"))
		})
		var e *graph.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), " at error_test.go:") {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// Build returns *Error and nothing else; a bug elsewhere must not look like a wrong shape.
func TestBuildPassesOtherPanics(t *testing.T) {
	defer func() {
		if r := recover(); r != "bug" {
			t.Errorf("recovered %v", r)
		}
	}()
	graph.Build("g", func(*graph.Graph) { panic("bug") })
}
