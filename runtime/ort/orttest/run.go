package orttest

import (
	"slices"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
)

// Value is a tensor to feed or one that came back. Data is []float32, []int64 or []bool.
type Value struct {
	Shape []int
	Data  any
}

// F32 is a float32 tensor.
func F32(data []float32, shape ...int) Value { return Value{shape, data} }

// I64 is an int64 tensor.
func I64(data []int64, shape ...int) Value { return Value{shape, data} }

// Floats returns the data of a float32 tensor.
func (v Value) Floats() []float32 { return v.Data.([]float32) }

// Runner is a session that a test runs again and again.
type Runner struct {
	t       testing.TB
	engine  *ort.Engine
	graph   *graph.Graph
	session *ort.Session
}

// NewRunner builds a graph and opens a session on it, which the test's end closes.
func NewRunner(t testing.TB, name string, build func(g *graph.Graph)) *Runner {
	t.Helper()
	g, err := graph.Build(name, build)
	if err != nil {
		t.Fatal(err)
	}
	e := Open(t)
	s, err := e.NewSession(g, ort.SessionOptions{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Runner{t, e, g, s}
}

// Run feeds every input by name and returns copies of all outputs. What the graph does not read may be among the feeds.
func (r *Runner) Run(feeds map[string]Value) map[string]Value {
	t := r.t
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := r.session.NewBinding()
	check(err)
	defer b.Close()
	for _, in := range r.graph.Inputs() {
		v, ok := feeds[in.Name()]
		if !ok {
			t.Fatalf("%s: input %s is not fed", r.graph.Name(), in.Name())
		}
		x, err := r.engine.NewTensor(in.DType(), v.Shape...)
		check(err)
		defer x.Free()
		n := 0
		switch data := v.Data.(type) {
		case []float32:
			n = copy(x.Float32(), data)
		case []int64:
			n = copy(x.Int64(), data)
		case []bool:
			n = copy(x.Bool(), data)
		}
		if n != x.Len() {
			t.Fatalf("%s: input %s %v got %d elements", r.graph.Name(), in.Name(), v.Shape, n)
		}
		check(b.Input(in.Name(), x))
	}
	for _, o := range r.graph.Outputs() {
		check(b.OutputAuto(o.Name))
	}
	check(b.Run())
	outs, err := b.Outputs()
	check(err)
	got := map[string]Value{}
	for name, x := range outs {
		switch x.DType() {
		case graph.F32:
			got[name] = F32(slices.Clone(x.Float32()), x.Shape()...)
		case graph.I64:
			got[name] = I64(slices.Clone(x.Int64()), x.Shape()...)
		case graph.Bool:
			got[name] = Value{x.Shape(), slices.Clone(x.Bool())}
		default:
			t.Fatalf("%s: output %s is %s, want float32, int64 or bool", r.graph.Name(), name, x.DType())
		}
		x.Free()
	}
	return got
}
