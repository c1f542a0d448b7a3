package train

import (
	"mixr/runtime/grpo"
	"mixr/runtime/reward"
)

// advantages turns the rewards of the used groups into advantages: the batch is seen as a whole, since several rules need it. The groups
// that were dropped have advantage 0, and mean and deviation for the record. It returns the running state of scale task, which becomes
// the runner's when the step is done.
func (r *runner) advantages(drawn []*group) (grpo.Running, error) {
	groups := used(drawn)
	if err := r.penalise(groups); err != nil {
		return nil, err
	}
	state := r.progress.Tasks
	if len(groups) > 0 {
		a, err := r.advantage(groups, penalties(groups), state)
		if err != nil {
			return nil, err
		}
		size := r.exp.GRPO.GroupSize
		for i, g := range groups {
			g.advantage = a.Advantage[i*size : (i+1)*size]
			g.mean, g.std = a.Groups[i].Mean, a.Groups[i].Std
		}
		state = a.Running
	}
	for _, g := range drawn {
		if !g.dropped {
			continue
		}
		a, err := r.advantage([]*group{g}, nil, state)
		if err != nil {
			return nil, err
		}
		g.advantage = make([]float64, len(g.completions))
		g.mean, g.std = a.Groups[0].Mean, a.Groups[0].Std
	}
	return state, nil
}

// advantage applies the experiment's rule to the rewards of some groups, each less its penalty; nil penalties are none.
func (r *runner) advantage(groups []*group, penalty []float64, state grpo.Running) (grpo.Advantaged, error) {
	o := r.exp.GRPO.Advantage
	rule := grpo.Advantage{
		GroupSize: r.exp.GRPO.GroupSize, Baseline: grpo.Baseline(o.Baseline), Combine: grpo.Combine(o.Combine), Scale: grpo.Scale(o.Scale),
		Std: grpo.Std(o.Std), StdEps: o.StdEps, TaskDecay: o.TaskDecay, Running: state,
	}
	parts := reward.Parts{Weights: []float64{1}}
	if rule.Combine == grpo.NormalizeThenSum {
		rule.Scale, parts = "", reward.NewParts(r.exp.Rewards)
	}
	var rewards [][]*float64
	for _, g := range groups {
		rule.Tasks = append(rule.Tasks, string(g.prompt.example.Task))
		for _, res := range g.results {
			row := []*float64{&res.Reward}
			if rule.Combine == grpo.NormalizeThenSum {
				row = parts.Values(res)
			} else if penalty != nil {
				*row[0] -= penalty[len(rewards)]
			}
			rewards = append(rewards, row)
		}
	}
	return grpo.Advantages(rewards, parts.Weights, rule)
}

// penalise computes what the KL takes off each reward, where the experiment has it there.
func (r *runner) penalise(groups []*group) error {
	v := r.model.program.Variant
	if !v.KLInReward || v.KL == 0 {
		return nil
	}
	for _, g := range groups {
		var err error
		if g.penalty, g.kl, err = v.KLReward(g.rows(g.old), g.rows(g.ref), g.masks(r.exp.GRPO.Truncated == "mask")); err != nil {
			return err
		}
	}
	return nil
}

// penalties are those of the groups' completions, one after the other; nil where there are none.
func penalties(groups []*group) (all []float64) {
	for _, g := range groups {
		all = append(all, g.penalty...)
	}
	return all
}
