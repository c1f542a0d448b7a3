package train

import (
	"fmt"
	"slices"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
)

// bound is one session bound, for one lane, to one set of weights. Inputs set for a run are freed after it; errors stick until
// run, so that callers feed without checking each line.
type bound struct {
	engine  *ort.Engine
	binding *ort.Binding
	graph   *graph.Graph
	temp    []*ort.Tensor
	err     error
}

// bind opens a binding of a session in which every input that weights holds is bound for good; outputs in fixed go to the given
// tensors, all others are allocated by ONNX Runtime at each run.
func bind(e *ort.Engine, s *ort.Session, g *graph.Graph, weights, fixed map[string]*ort.Tensor) (*bound, error) {
	out, err := bindInputs(e, s, g, weights)
	if err != nil {
		return nil, err
	}
	for _, o := range g.Outputs() {
		if t := fixed[o.Name]; t != nil {
			out.keep(out.binding.Output(o.Name, t))
		} else {
			out.keep(out.binding.OutputAuto(o.Name))
		}
	}
	if out.err != nil {
		out.Close()
		return nil, out.err
	}
	return out, nil
}

// bindInputs is bind without outputs: those that the caller does not bind are not given out.
func bindInputs(e *ort.Engine, s *ort.Session, g *graph.Graph, weights map[string]*ort.Tensor) (*bound, error) {
	b, err := s.NewBinding()
	if err != nil {
		return nil, err
	}
	out := &bound{engine: e, binding: b, graph: g}
	for _, in := range g.Inputs() {
		if t := weights[in.Name()]; t != nil {
			out.set(in.Name(), t)
		}
	}
	if out.err != nil {
		out.Close()
		return nil, out.err
	}
	return out, nil
}

// Close gives the session free, and the inputs of a run that did not come about. A nil one is closed already.
func (b *bound) Close() {
	if b == nil {
		return
	}
	b.binding.Close()
	b.drop()
}

// drop frees the inputs set for one run.
func (b *bound) drop() {
	for _, t := range b.temp {
		t.Free()
	}
	b.temp = b.temp[:0]
}

func (b *bound) keep(err error) {
	if b.err == nil && err != nil {
		b.err = fmt.Errorf("%s: %w", b.graph.Name(), err)
	}
}

// reads reports whether the graph has that input.
func (b *bound) reads(input string) bool {
	return slices.ContainsFunc(b.graph.Inputs(), func(v *graph.Value) bool { return v.Name() == input })
}

// set binds a tensor that the caller owns.
func (b *bound) set(name string, t *ort.Tensor) { b.keep(b.binding.Input(name, t)) }

// feed copies data into a tensor of the given shape and binds it for the next run.
func feed[T float32 | int64 | bool](b *bound, name string, data []T, shape ...int) {
	in := newInputs(b.engine)
	supply(in, name, data, shape...)
	b.take(in)
}

// take binds those of the inputs that the graph reads for the next run, and frees all of them after it.
func (b *bound) take(in *inputs) {
	b.keep(in.err)
	for name, t := range in.tensors {
		b.temp = append(b.temp, t)
		if b.reads(name) {
			b.set(name, t)
		}
	}
}

// compute runs the graph. The outputs are in the tensors that they are bound to.
func (b *bound) compute() error {
	err := b.err
	b.err = nil
	if err == nil {
		if err = b.binding.Run(); err != nil {
			err = fmt.Errorf("%s: %w", b.graph.Name(), err)
		}
	}
	b.drop()
	return err
}

// run returns the outputs that ONNX Runtime allocated; the caller frees them with free.
func (b *bound) run() (map[string]*ort.Tensor, error) {
	if err := b.compute(); err != nil {
		return nil, err
	}
	out, err := b.binding.Outputs()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.graph.Name(), err)
	}
	return out, nil
}

func free(tensors map[string]*ort.Tensor) {
	for _, t := range tensors {
		t.Free()
	}
}

// inputs are tensors by the names of the graph inputs that they are for. The first error sticks.
type inputs struct {
	engine  *ort.Engine
	tensors map[string]*ort.Tensor
	err     error
}

func newInputs(e *ort.Engine) *inputs { return &inputs{engine: e, tensors: map[string]*ort.Tensor{}} }

func (in *inputs) free() { free(in.tensors) }

// supply copies data into a tensor of the given shape.
func supply[T float32 | int64 | bool](in *inputs, name string, data []T, shape ...int) {
	var dtype graph.DType
	switch any(data).(type) {
	case []float32:
		dtype = graph.F32
	case []int64:
		dtype = graph.I64
	case []bool:
		dtype = graph.Bool
	}
	t, err := in.engine.NewTensor(dtype, shape...)
	if err == nil {
		in.tensors[name] = t
		if t.Len() != len(data) {
			err = fmt.Errorf("%d values for shape %v", len(data), shape)
		}
	}
	if err != nil {
		if in.err == nil {
			in.err = fmt.Errorf("input %s: %w", name, err)
		}
		return
	}
	switch d := any(data).(type) {
	case []float32:
		copy(t.Float32(), d)
	case []int64:
		copy(t.Int64(), d)
	case []bool:
		copy(t.Bool(), d)
	}
}
