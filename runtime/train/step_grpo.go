package train

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mixr/runtime/grpo"
	"mixr/runtime/spec"
)

// grpoStep is one rollout of B prompts with G completions each, and `iterations` updates on it.
func (r *runner) grpoStep(ctx context.Context, step int) (*record, error) {
	o := r.exp.GRPO
	batch := r.mix.Batch(step-1, o.BatchSize/o.GroupSize)
	rec := newRecord(step)

	groups := make([]*group, len(batch))
	// each runs work on every group and says how long all of it took.
	each := func(work func(l *lane, i int) error) (*float64, error) {
		start := time.Now()
		err := ordered(ctx, len(groups), len(r.lanes), len(groups), func(lane, i int) (struct{}, error) {
			return struct{}{}, work(r.lanes[lane], i)
		}, func(int, struct{}) error { return nil }, nil)
		return seconds(start), err
	}
	var err error
	if rec.timing.RolloutS, err = each(func(l *lane, i int) (err error) {
		// Completions are counted by the example's place in the stream of the mix: one that comes twice in a batch (an epoch may
		// end inside it) must not draw the same noise twice, and another batch size must not change the noise.
		place := (step-1)*len(batch) + i
		groups[i], err = r.rollout(l, batch[i], sampling{
			seed: r.exp.Seed, first: place * o.GroupSize, count: o.GroupSize,
			temperature: o.Temperature, maxTokens: o.MaxCompletionTokens, stop: r.stop,
		})
		return err
	}); err != nil {
		return nil, err
	}
	progress := float64(step) / float64(r.steps)
	if rec.timing.RewardS, err = each(func(l *lane, i int) error { return groups[i].reward(l, progress) }); err != nil {
		return nil, err
	}
	if rec.timing.ScoreS, err = each(func(l *lane, i int) error { return r.score(l, groups[i], o.Temperature) }); err != nil {
		return nil, err
	}
	if err := advantages(groups, r.exp); err != nil {
		return nil, err
	}
	weights, err := r.tokenWeights(groups)
	if err != nil {
		return nil, err
	}
	for iteration := range o.Iterations {
		index := (step-1)*o.Iterations + iteration
		u, err := r.update(ctx, len(groups), index, func(l *lane, i int) (*unit, error) {
			return r.grpoUnit(l, groups[i], weights[i], index*len(groups)+i)
		})
		if err != nil {
			return nil, err
		}
		rec.grpo(groups, weights, u, r.exp, iteration)
	}
	return rec, nil
}

// grpoUnit computes loss and gradients of one group, packed into one row. place counts the groups of all updates.
func (r *runner) grpoUnit(l *lane, g *group, weights []float64, place int) (*unit, error) {
	sequences := []sequence{g.sequence()}
	sequences[0].place = place
	var advantage, weight []float32
	for j, c := range g.completions {
		for range c.tokens {
			advantage = append(advantage, float32(g.advantage[j]))
		}
	}
	for _, w := range weights {
		weight = append(weight, float32(w))
	}
	values := map[string][]float32{"advantage": advantage, "weight": weight}
	if g.old != nil {
		values["old"] = g.old
	}
	if g.ref != nil {
		values["ref"] = g.ref
	}
	u, err := r.gradient(l, sequences, g.features, values, r.exp.GRPO.Temperature)
	if err != nil {
		return nil, fmt.Errorf("example %s: %w", g.prompt.example.ID, err)
	}
	return u, nil
}

// advantages turns the rewards of all groups into advantages: the batch is seen as a whole, since scale batch needs it.
func advantages(groups []*group, exp *spec.Experiment) error {
	o := exp.GRPO
	var rewards [][]*float64
	for _, g := range groups {
		for _, res := range g.results {
			rewards = append(rewards, []*float64{&res.Reward})
		}
	}
	a, err := grpo.Advantages(rewards, []float64{1}, grpo.Advantage{
		GroupSize: o.GroupSize, Scale: grpo.Scale(o.Advantage.Scale), Std: grpo.Std(o.Advantage.Std), StdEps: o.Advantage.StdEps,
	})
	if err != nil {
		return err
	}
	for i, g := range groups {
		g.advantage = a.Advantage[i*o.GroupSize : (i+1)*o.GroupSize]
		g.mean, g.std = a.Groups[i].Mean, a.Groups[i].Std
	}
	return nil
}

// tokenWeights is the aggregation rule of the loss, a weight for each token of each group in the order of pack.
func (r *runner) tokenWeights(groups []*group) ([][]float64, error) {
	var masks [][]bool
	for _, g := range groups {
		for _, c := range g.completions {
			masks = append(masks, slices.Repeat([]bool{true}, len(c.tokens)))
		}
	}
	o := r.exp.GRPO
	byRow, err := grpo.TokenWeights(r.model.program.Variant.Aggregation, grpo.Update{
		Masks: masks, MicroRows: o.GroupSize, MaxTokens: o.MaxCompletionTokens,
	})
	if err != nil {
		return nil, err
	}
	out := make([][]float64, len(groups))
	for i, w := range byRow {
		out[i/o.GroupSize] = append(out[i/o.GroupSize], w...)
	}
	return out, nil
}
