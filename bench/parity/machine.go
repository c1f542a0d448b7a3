package main

import (
	"errors"
	"fmt"

	"mixr/runtime/graph"
	"mixr/runtime/models"
	"mixr/runtime/ort"
	"mixr/runtime/weights"
)

// value is what one graph input is fed; data is []float32, []int64 or []bool.
type value struct {
	shape []int
	data  any
}

// feeds are values by the name of the input. A graph takes what it has an input for.
type feeds map[string]value

func (f feeds) set(name string, data any, shape ...int) { f[name] = value{shape, data} }

// pictures adds the inputs of the model's tower; without a picture they hold the blank one.
func (f feeds) pictures(m models.Model, pictures []*models.Picture) {
	if len(pictures) == 0 {
		if m.Blank() == nil {
			return
		}
		pictures = append(pictures, m.Blank())
	}
	for _, in := range m.Feed(pictures) {
		if in.F32 != nil {
			f.set(in.Name, in.F32, in.Shape...)
		} else {
			f.set(in.Name, in.I64, in.Shape...)
		}
	}
}

// tensors are values in ONNX Runtime's memory, by name.
type tensors map[string]*ort.Tensor

func (t tensors) free() {
	for _, x := range t {
		x.Free()
	}
}

// load reads the checkpoint in dir: every parameter, found where the model says it stands. A tensor of the checkpoint that no
// parameter reads is an error.
func load(e *ort.Engine, m models.Model, dir string) (tensors, error) {
	s, err := weights.Open(dir)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	layout, err := models.Layout(m, s.Has)
	if err != nil {
		return nil, err
	}
	out, read := tensors{}, map[string]bool{}
	for _, p := range m.Specs() {
		if out[p.Name], err = e.NewTensor(graph.F32, p.Shape...); err != nil {
			return nil, err
		}
	}
	for _, t := range layout {
		read[t.Name] = true
		if shape := s.Shape(t.Name); len(shape) > 0 && shape[0] != t.Shape[0] {
			return nil, fmt.Errorf("tensor %s %v: want %d rows", t.Name, shape, t.Shape[0])
		}
		for _, part := range t.Parts {
			width := part.Param.Size() / part.Param.Shape[0]
			dst := out[part.Param.Name].Float32()[part.Row*width:][:(part.To-part.From)*width]
			if err := s.Float32Rows(t.Name, part.From, part.To, dst); err != nil {
				return nil, err
			}
		}
	}
	var left []error
	for _, name := range s.Names() {
		if !read[name] {
			left = append(left, fmt.Errorf("tensor %s belongs to no parameter", name))
		}
	}
	return out, errors.Join(left...)
}

// machine runs graphs. Sessions are made as the training loop makes them.
type machine struct {
	engine   *ort.Engine
	sessions map[*graph.Graph]*ort.Session
}

func (m *machine) session(g *graph.Graph) (*ort.Session, error) {
	if s := m.sessions[g]; s != nil {
		return s, nil
	}
	level := 1
	if g.Name() == "optimizer" || g.Name() == "accumulate" {
		level = 0
	}
	s, err := m.engine.NewSession(g, ort.SessionOptions{Threads: 1, Level: level})
	m.sessions[g] = s
	return s, err
}

// run feeds a graph and returns its outputs. Inputs come from bound, the caller's tensors, or are copied from in; an output o.NAME
// of which bound has NAME is written over it, in place, and not returned.
func (m *machine) run(g *graph.Graph, in feeds, bound ...tensors) (out tensors, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", g.Name(), err)
		}
	}()
	s, err := m.session(g)
	if err != nil {
		return nil, err
	}
	b, err := s.NewBinding()
	if err != nil {
		return nil, err
	}
	defer b.Close()
	held := func(name string) *ort.Tensor {
		for _, set := range bound {
			if t := set[name]; t != nil {
				return t
			}
		}
		return nil
	}
	temporary := tensors{}
	defer temporary.free()
	for _, x := range g.Inputs() {
		t := held(x.Name())
		if t == nil {
			v, ok := in[x.Name()]
			if !ok {
				return nil, fmt.Errorf("input %s is not fed", x.Name())
			}
			if t, err = m.tensor(v); err != nil {
				return nil, fmt.Errorf("input %s: %w", x.Name(), err)
			}
			temporary[x.Name()] = t
		}
		if err := b.Input(x.Name(), t); err != nil {
			return nil, err
		}
	}
	for _, o := range g.Outputs() {
		var t *ort.Tensor
		if len(o.Name) > 2 && o.Name[:2] == "o." {
			t = held(o.Name[2:])
		}
		if t != nil {
			err = b.Output(o.Name, t)
		} else {
			err = b.OutputAuto(o.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := b.Run(); err != nil {
		return nil, err
	}
	return b.Outputs()
}

func (m *machine) tensor(v value) (*ort.Tensor, error) {
	var dtype graph.DType
	var length int
	switch d := v.data.(type) {
	case []float32:
		dtype, length = graph.F32, len(d)
	case []int64:
		dtype, length = graph.I64, len(d)
	case []bool:
		dtype, length = graph.Bool, len(d)
	}
	t, err := m.engine.NewTensor(dtype, v.shape...)
	if err != nil {
		return nil, err
	}
	if t.Len() != length {
		t.Free()
		return nil, fmt.Errorf("%d values for shape %v", length, v.shape)
	}
	switch d := v.data.(type) {
	case []float32:
		copy(t.Float32(), d)
	case []int64:
		copy(t.Int64(), d)
	case []bool:
		copy(t.Bool(), d)
	}
	return t, nil
}
