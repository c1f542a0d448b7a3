package ort_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// layer is the graph y = softmax(x w^T), z = 2x.
func layer(t *testing.T) *graph.Graph {
	return build(t, "layer", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N", 64)
		g.Output("y", graph.Softmax(graph.Linear(x, g.Input("w", graph.F32, 48, 64), nil)))
		g.Output("z", graph.Add(x, x))
	})
}

func TestWatch(t *testing.T) {
	e := orttest.Open(t)
	s, b := bound(t, e, layer(t), ort.SessionOptions{})
	x, w := tensor(t, e, graph.F32, 2000, 64), tensor(t, e, graph.F32, 48, 64)
	fill(x, 1)
	check(t, b.Input("x", x))
	check(t, b.Input("w", w))
	check(t, b.OutputAuto("y"))
	check(t, b.Run())
	var runs []ort.Run
	s.Watch(func(r ort.Run) { runs = append(runs, r) })
	check(t, b.Run())
	check(t, b.Input("w", tensor(t, e, graph.F32, 48, 64)))
	check(t, b.Run())
	s.Watch(nil)
	check(t, b.Run())
	if len(runs) != 2 {
		t.Fatalf("%d runs were watched, want 2", len(runs))
	}
	for _, r := range runs {
		if r.Graph != "layer" || r.Wall <= 0 || r.CPU <= 0 || r.CPU > 2*r.Wall {
			t.Errorf("run %+v", r)
		}
	}
}

// event is what a trace says of a node or a run.
type event struct {
	Cat, Name string
	Dur       int64
	Args      struct {
		Op     string            `json:"op_name"`
		Inputs []json.RawMessage `json:"input_type_shape"`
	}
}

func events(t *testing.T, file string) (nodes []string, runs int) {
	t.Helper()
	text, err := os.ReadFile(file)
	check(t, err)
	var all []event
	check(t, json.Unmarshal(text, &all))
	for _, e := range all {
		switch {
		case e.Cat == "Node" && strings.HasSuffix(e.Name, "_kernel_time"):
			nodes = append(nodes, e.Args.Op)
		case e.Cat == "Session" && e.Name == "model_run":
			runs++
		}
	}
	return nodes, runs
}

// TestTrace: outputs of traced runs have the bits of others, whether the caller or the library allocates them and in place, from many
// goroutines; and the file says what was run.
func TestTrace(t *testing.T) {
	e := orttest.Open(t)
	g := layer(t)
	s, b := bound(t, e, g, ort.SessionOptions{Level: 1})
	w := tensor(t, e, graph.F32, 48, 64)
	fill(w, 1)
	input := func(b *ort.Binding, rows int, seed uint64) *ort.Tensor {
		x := tensor(t, e, graph.F32, rows, 64)
		fill(x, seed)
		check(t, b.Input("x", x))
		check(t, b.Input("w", w))
		check(t, b.OutputAuto("y"))
		check(t, b.Output("z", x))
		return x
	}
	run := func(b *ort.Binding) []float32 {
		check(t, b.Run())
		out, err := b.Outputs()
		check(t, err)
		defer out["y"].Free()
		return slices.Clone(out["y"].Float32())
	}
	const rows = 3
	x := input(b, rows, 7)
	var want [][]float32
	for range 4 {
		want = append(want, run(b), slices.Clone(x.Float32()))
	}
	file := filepath.Join(t.TempDir(), "trace")
	check(t, s.Trace(g, file, 2))
	wantError(t, s.Trace(g, file, 1), "traced already")
	fill(x, 7)
	for i := range 4 {
		if !slices.Equal(run(b), want[2*i]) || !slices.Equal(x.Float32(), want[2*i+1]) {
			t.Errorf("run %d: the bits of the traced session differ", i)
		}
	}
	path, err := s.EndTrace()
	check(t, err)
	nodes, runs := events(t, path)
	slices.Sort(nodes)
	if runs != 2 || len(nodes) != 6 || nodes[0] != "Add" || nodes[5] != "Softmax" {
		t.Errorf("%d runs, nodes %q: want 2 runs of 3 nodes", runs, nodes)
	}

	// Many bindings at once, and a second trace of the session.
	check(t, s.Trace(g, file+"2", 1))
	var wait sync.WaitGroup
	for range 4 {
		other, err := s.NewBinding()
		check(t, err)
		y := input(other, rows, 7)
		wait.Go(func() {
			for i := range 4 {
				if !slices.Equal(run(other), want[2*i]) || !slices.Equal(y.Float32(), want[2*i+1]) {
					t.Errorf("run %d beside others: the bits of the traced session differ", i)
				}
			}
			check(t, other.Close())
		})
	}
	wait.Wait()
	path, err = s.EndTrace()
	check(t, err)
	if nodes, runs := events(t, path); runs != 16 || len(nodes) != 48 {
		t.Errorf("%d runs, %d nodes: want 16 and 48", runs, len(nodes))
	}
}

// A binding whose tensor was freed runs untraced, and a failed traced run leaves the binding usable.
func TestTraceOddBindings(t *testing.T) {
	e := orttest.Open(t)
	g := build(t, "pair", func(g *graph.Graph) {
		g.Output("y", graph.Add(g.Input("a", graph.F32, "N", 3), g.Input("b", graph.F32, "N", 3)))
	})
	s, b := bound(t, e, g, ort.SessionOptions{})
	check(t, s.Trace(g, filepath.Join(t.TempDir(), "trace"), 1))
	x := tensor(t, e, graph.F32, 2, 3)
	check(t, b.Input("a", x))
	check(t, b.Input("b", tensor(t, e, graph.F32, 4, 3)))
	check(t, b.OutputAuto("y"))
	wantError(t, b.Run(), "run pair", "broadcast")
	freed := tensor(t, e, graph.F32, 2, 3)
	check(t, b.Input("b", freed))
	freed.Free()
	check(t, b.Run())
	check(t, b.Input("b", x))
	check(t, b.Run()) // drops the outputs of the run before
	_, err := s.EndTrace()
	wantError(t, err, "pair", "outputs of 1 runs are not taken")
	out, err := b.Outputs()
	check(t, err)
	out["y"].Free()
	_, err = s.EndTrace()
	check(t, err)

	// Where the caller has bound all outputs there is nothing to take.
	check(t, s.Trace(g, filepath.Join(t.TempDir(), "trace"), 1))
	check(t, b.Output("y", tensor(t, e, graph.F32, 2, 3)))
	check(t, b.Run())
	_, err = s.EndTrace()
	check(t, err)
}

func TestTraceErrors(t *testing.T) {
	e := orttest.Open(t)
	s := session(t, e, double(t))
	_, err := s.EndTrace()
	wantError(t, err, "double", "not traced")
	wantError(t, s.Trace(layer(t), "x", 1), "double", "got graph layer")
	wantError(t, s.Trace(double(t), "x", 0), "stride: got 0")
	file := filepath.Join(t.TempDir(), "trace")
	check(t, s.Trace(double(t), file, 1))
	check(t, s.Close()) // ends the trace
	if found, _ := filepath.Glob(file + "*"); len(found) != 1 {
		t.Errorf("files %q, want one", found)
	}
	wantError(t, s.Trace(double(t), file, 1), "closed")
	_, _, err = s.Arena()
	wantError(t, err, "closed")
}

func TestArena(t *testing.T) {
	e := orttest.Open(t)
	s, b := bound(t, e, layer(t), ort.SessionOptions{})
	const rows = 40_000 // 10 MB of x
	check(t, b.Input("x", tensor(t, e, graph.F32, rows, 64)))
	check(t, b.Input("w", tensor(t, e, graph.F32, 48, 64)))
	check(t, b.OutputAuto("y"))
	check(t, b.Run())
	held, used, err := s.Arena()
	check(t, err)
	if held < rows*48*4 || used < 0 || used > held {
		t.Errorf("arena: %d held, %d used; the run needed %d for y", held, used, rows*48*4)
	}
}
