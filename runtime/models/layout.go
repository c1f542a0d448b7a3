package models

import (
	"fmt"

	"mixr/runtime/nn"
)

// Stored is one tensor of a checkpoint, and what stands in it.
type Stored struct {
	Name  string
	Shape []int
	Parts []Part // together all its rows
}

// Part says that rows [From, To) of a stored tensor are the rows of a parameter that begin with Row.
type Part struct {
	Param         nn.Spec
	Row, From, To int
}

// Whole reports whether the tensor is that one parameter.
func (s *Stored) Whole() bool { return len(s.Parts) == 1 && s.Parts[0].To == s.Parts[0].Param.Shape[0] }

// Layout lists the tensors of a checkpoint that is known by the names of its tensors, in the order of the model's parameters: the
// inverse of Locate. has is false for every name where a checkpoint is yet to be written. A head that is stored although it is tied is
// listed last; its part is the embedding.
func Layout(m Model, has func(tensor string) bool) ([]Stored, error) {
	var out []Stored
	at := map[string]int{}
	put := func(param nn.Spec, pieces []Piece) error {
		row := 0
		for _, p := range pieces {
			to := p.To
			if to == 0 {
				to = param.Shape[0]
			}
			i, known := at[p.Tensor]
			if !known {
				i = len(out)
				at[p.Tensor], out = i, append(out, Stored{Name: p.Tensor})
			}
			out[i].Parts = append(out[i].Parts, Part{param, row, p.From, to})
			row += to - p.From
		}
		if row != param.Shape[0] {
			return fmt.Errorf("%s: parameter %s has %d rows, and Locate finds %d", m.Family(), param.Name, param.Shape[0], row)
		}
		return nil
	}
	c := m.Decoder()
	for _, s := range m.Specs() {
		if err := put(s, m.Locate(s.Name, has)); err != nil {
			return nil, err
		}
	}
	if head := m.Locate(c.HeadName, has); c.Tied && len(head) == 1 && has(head[0].Tensor) {
		if err := put(nn.Spec{Name: c.Embedding(), Shape: []int{c.Vocab, c.Width}}, head); err != nil {
			return nil, err
		}
	}
	for i := range out {
		s := &out[i]
		if s.Whole() {
			s.Shape = m.StoredShape(s.Parts[0].Param)
			continue
		}
		rows, height := 0, 0
		for _, p := range s.Parts {
			rows, height = rows+p.To-p.From, max(height, p.To)
		}
		if rows != height {
			return nil, fmt.Errorf("%s: tensor %s has %d rows, and the model %d of them", m.Family(), s.Name, height, rows)
		}
		s.Shape = append([]int{height}, s.Parts[0].Param.Shape[1:]...)
	}
	return out, nil
}
