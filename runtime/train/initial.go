package train

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mixr/runtime/models"
	"mixr/runtime/weights"
)

// initialise fills the model with the initial weights: those of the policy's folder, or random ones drawn from the run's seed.
func (m *model) initialise(in *Inputs) error {
	m.drawAdapters(in.Experiment.Seed)
	if in.Experiment.Policy.Init != "random" {
		return m.read(in.Weights, nil)
	}
	for _, q := range m.program.Base() {
		m.program.Model.Init(q.Spec, in.Experiment.Seed, m.weights[q.Name].Float32())
	}
	var err error
	m.layout, err = models.Layout(m.program.Model, func(string) bool { return false })
	return err
}

// buffers are the endings of tensors that older checkpoints hold and that follow from config.json.
var buffers = []string{".rotary_emb.inv_freq", ".position_ids"}

// read fills the policy's own parameters from the checkpoint in dir, and keeps its layout for export. A weight that is missing, left
// over, of another shape or not finite is an error that names it. progress, if not nil, is told how many of all numbers are read.
func (m *model) read(dir string, progress func(done, total int)) error {
	s, err := weights.Open(dir)
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	defer s.Close()
	s.Finite = true
	if m.layout, err = models.Layout(m.program.Model, s.Has); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	done, total := 0, 0
	for _, q := range m.program.Base() {
		total += q.Size()
	}
	known, filled := map[string]bool{}, map[string]bool{}
	var problems []error
	for _, t := range m.layout {
		known[t.Name] = true
		again := t.Whole() && filled[t.Parts[0].Param.Name]
		switch {
		case !s.Has(t.Name):
			err = fmt.Errorf("weight %s %v is missing", t.Name, t.Shape)
		case !slices.Equal(s.Shape(t.Name), t.Shape) && !(t.Whole() && slices.Equal(s.Shape(t.Name), t.Parts[0].Param.Shape)):
			err = fmt.Errorf("weight %s has shape %v, want %v", t.Name, s.Shape(t.Name), t.Shape)
		case again:
			err = m.compare(s, t)
		default:
			err = m.fill(s, t)
		}
		problems = append(problems, err)
		for _, p := range t.Parts {
			filled[p.Param.Name] = true
			done += (p.To - p.From) * (p.Param.Size() / p.Param.Shape[0])
		}
		if progress != nil {
			progress(min(done, total), total)
		}
	}
	for _, name := range s.Names() {
		if !known[name] && !slices.ContainsFunc(buffers, func(end string) bool { return strings.HasSuffix(name, end) }) {
			family := m.program.Model.Family()
			problems = append(problems, fmt.Errorf("weight %s is in the checkpoint, but not in a %s of this config.json", name, family))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("policy %s: its weights do not fit its config.json:\n%w", dir, err)
	}
	return nil
}

// fill reads one stored tensor into the parameters that stand in it.
func (m *model) fill(s *weights.Store, t models.Stored) error {
	for _, p := range t.Parts {
		width := p.Param.Size() / p.Param.Shape[0]
		dst := m.weights[p.Param.Name].Float32()[p.Row*width:][:(p.To-p.From)*width]
		if err := s.Float32Rows(t.Name, p.From, p.To, dst); err != nil {
			return err
		}
	}
	return nil
}

// compareRows is how many rows are compared at a time: of a large vocabulary a second copy would be gigabytes.
const compareRows = 1024

// compare wants a tied head that is stored all the same to be the embedding.
func (m *model) compare(s *weights.Store, t models.Stored) error {
	p := t.Parts[0].Param
	width, have := p.Size()/p.Shape[0], m.weights[p.Name].Float32()
	for from := 0; from < p.Shape[0]; from += compareRows {
		to := min(from+compareRows, p.Shape[0])
		rows := make([]float32, (to-from)*width)
		if err := s.Float32Rows(t.Name, from, to, rows); err != nil {
			return err
		}
		if !slices.Equal(rows, have[from*width:to*width]) {
			return fmt.Errorf("weight %s differs from %s, and tie_word_embeddings of config.json says that they are one", t.Name, p.Name)
		}
	}
	return nil
}
