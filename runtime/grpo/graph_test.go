package grpo

import (
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// runner owns a session with one binding and the tensors bound to it.
type runner struct {
	t       *testing.T
	engine  *ort.Engine
	binding *ort.Binding
	tensors map[string]*ort.Tensor
}

func newRunner(t *testing.T, g *graph.Graph) *runner { return newRunnerOn(t, g, 1) }

func newRunnerOn(t *testing.T, g *graph.Graph, threads int) *runner {
	t.Helper()
	r := &runner{t: t, engine: orttest.Open(t), tensors: map[string]*ort.Tensor{}}
	s, err := r.engine.NewSession(g, ort.SessionOptions{Threads: threads})
	noError(t, err)
	r.binding, err = s.NewBinding()
	noError(t, err)
	t.Cleanup(func() {
		for _, err := range []error{r.binding.Close(), s.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		for _, x := range r.tensors {
			x.Free()
		}
	})
	return r
}

// tensor returns the named tensor, made with zeros the first time.
func (r *runner) tensor(name string, shape ...int) *ort.Tensor {
	r.t.Helper()
	if x, ok := r.tensors[name]; ok {
		return x
	}
	x, err := r.engine.NewTensor(graph.F32, shape...)
	noError(r.t, err)
	r.tensors[name] = x
	return x
}

func (r *runner) in(name string, values []float32, shape ...int) {
	r.t.Helper()
	x := r.tensor(name, shape...)
	copy(x.Float32(), values)
	noError(r.t, r.binding.Input(name, x))
}

func (r *runner) out(name string, shape ...int) {
	r.t.Helper()
	noError(r.t, r.binding.Output(name, r.tensor(name, shape...)))
}
