package train

import (
	"context"
	"fmt"
	"slices"
)

// rowsPerUnit is how many examples one gradient run of the sft stage holds. It is part of the numerics (padding and the order of
// sums follow from it), so it is no setting.
const rowsPerUnit = 8

// sftStep is one update on target completions: loss = mean over the batch's target tokens of -log p.
func (r *runner) sftStep(ctx context.Context, step int) (*record, error) {
	o := r.exp.SFT
	batch := r.mix.Batch(step-1, o.BatchSize)
	rec := newRecord(step)

	// Token counts come first: every unit's weight is 1/(tokens of the whole batch), whatever the units are.
	targets, tokens := make([][]int, len(batch)), 0
	for i, ex := range batch {
		targets[i] = append(r.lanes[0].prompter.tok.Encode(ex.Target), r.in.Policy.Model.EndOfTurn())
		tokens += len(targets[i])
	}
	units := (len(batch) + rowsPerUnit - 1) / rowsPerUnit
	prompts := make([]*prompt, len(batch))
	u, err := r.update(ctx, units, step-1, func(l *lane, i int) (*unit, error) {
		from, to := i*rowsPerUnit, min((i+1)*rowsPerUnit, len(batch))
		for j := from; j < to; j++ {
			var err error
			if prompts[j], err = l.prompter.render(batch[j]); err != nil {
				return nil, err
			}
		}
		return r.sftUnit(l, prompts[from:to], targets[from:to], tokens, (step-1)*len(batch)+from)
	})
	if err != nil {
		return nil, err
	}
	rec.sft(batch, prompts, targets, u)
	return rec, nil
}

// sftUnit computes loss and gradients of some examples, each in its own row. tokens is the number of target tokens of the whole
// batch, place that of the examples of all steps before the first one.
func (r *runner) sftUnit(l *lane, prompts []*prompt, targets [][]int, tokens, place int) (*unit, error) {
	var sequences []sequence
	first := 0
	for i, p := range prompts {
		sequences = append(sequences, sequence{prompt: p, completions: [][]int{targets[i]}, firstImage: first, place: place + i})
		for _, picture := range p.pictures {
			first += picture.Tokens
		}
	}
	var weight []float32
	for _, t := range targets {
		weight = append(weight, slices.Repeat([]float32{float32(1 / float64(tokens))}, len(t))...)
	}
	u, err := r.gradient(l, sequences, nil, map[string][]float32{"weight": weight}, 1)
	if err != nil {
		return nil, fmt.Errorf("examples %s: %w", ids(prompts), err)
	}
	return u, nil
}

func ids(prompts []*prompt) string {
	out := ""
	for i, p := range prompts {
		if i > 0 {
			out += ", "
		}
		out += p.example.ID
	}
	return out
}
