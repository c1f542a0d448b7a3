package train

import "context"

// grpoStep is one rollout of B prompts with G completions each, and iterations x minibatches updates on it.
func (r *runner) grpoStep(ctx context.Context, step int) (*record, error) {
	o, rec := r.exp.GRPO, newRecord(step)
	drawn, err := r.collect(ctx, step, rec)
	if err != nil {
		return nil, err
	}
	groups := used(drawn)
	spent, err := r.each(ctx, scorePhase, len(groups), func(l *lane, i int) error { return r.score(l, groups[i], o.Temperature) })
	addSeconds(&rec.timing.ScoreS, spent)
	if err != nil {
		return nil, err
	}
	tasks, err := r.advantages(drawn)
	if err != nil {
		return nil, err
	}
	rec.rollout(drawn, r.exp)
	if len(groups) > 0 && groups[0].old != nil {
		rec.gap(groups, nil)
	}
	var seen *taskGradients
	if every := o.Monitors.InterferenceEvery; every > 0 && (step-1)%every == 0 {
		seen = r.newTaskGradients()
	}
	batches, moved := minibatches(groups, o), false
	for pass := range o.Iterations {
		for i, b := range batches {
			if len(b.groups) == 0 {
				continue // all of them are flat: no gradient, no update
			}
			if r.observe = nil; seen != nil && pass == 0 {
				r.observe = seen.of(b.groups)
			}
			u, err := r.grpoUpdate(ctx, b, ((step-1)*o.Iterations+pass)*o.Minibatches+i, moved)
			if err != nil {
				return nil, err
			}
			moved = true
			addSeconds(&rec.timing.ScoreS, b.scoring)
			rec.grpo(b.groups, b.byGroup(), u, r.model.program.Variant)
			if groups[0].old == nil { // then this is the only update
				rec.gap(groups, u)
			}
		}
	}
	if r.observe = nil; seen != nil {
		rec.gradients(seen)
	}
	rec.means()
	r.examine(rec)
	r.progress.Tasks = tasks
	return rec, nil
}

// grpoUpdate makes one update. index counts the updates of the run from 0; moved says that the policy has moved since the rollout.
func (r *runner) grpoUpdate(ctx context.Context, b *minibatch, index int, moved bool) (*updated, error) {
	o := r.exp.GRPO
	if err := r.weigh(ctx, b, moved); err != nil {
		return nil, err
	}
	size := o.BatchSize / o.GroupSize / o.Minibatches
	u, err := r.update(ctx, len(b.groups), index, func(l *lane, i int) (*unit, error) {
		return r.grpoUnit(l, b, i, index*size+b.groups[i].slot%size, moved)
	})
	if err != nil {
		return nil, err
	}
	if every := o.ReferenceSync; every > 0 && !u.skipped && r.progress.Applied%every == 0 {
		r.model.follow(o.ReferenceMix)
	}
	return u, nil
}
