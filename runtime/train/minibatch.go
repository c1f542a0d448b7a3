package train

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mixr/runtime/grpo"
	"mixr/runtime/spec"
)

// minibatch is what one update is made of: whole groups, and what the loss makes of their tokens.
type minibatch struct {
	groups  []*group
	masks   [][]bool      // by completion: tokens that count
	weights grpo.Weights  // by completion
	factors grpo.Factors  // in the weights: what masks and corrections made of them
	scoring time.Duration // what it took to score the groups anew for them
}

// minibatches cuts the slots of a step into equal parts, each with the groups that are there, in order.
func minibatches(groups []*group, o *spec.GRPO) []*minibatch {
	size := o.BatchSize / o.GroupSize / o.Minibatches
	out := make([]*minibatch, o.Minibatches)
	for i := range out {
		out[i] = &minibatch{}
	}
	for _, g := range groups {
		b := out[g.slot/size]
		b.groups, b.masks = append(b.groups, g), append(b.masks, g.masks(o.Truncated == "mask")...)
	}
	return out
}

// weigh computes what every token is multiplied by: the aggregation rule of the loss over exactly the tokens of this update, and what
// masks and corrections leave of it. moved says that the policy is not the one any more that sampled.
func (r *runner) weigh(ctx context.Context, b *minibatch, moved bool) (err error) {
	o, v := r.exp.GRPO, r.model.program.Variant
	b.factors, b.scoring = grpo.Factors{}, 0
	if o.EntropyShare < 1 {
		// The entropies are those under the policy that sampled, known from one scoring pass: TRL takes the present policy's, which on
		// the first update is the same one.
		entropy := b.rows(func(g *group) []float32 { return g.entropy })
		if b.factors.HighEntropy, _, err = grpo.EntropyMask(entropy, b.masks, 1-o.EntropyShare); err != nil {
			return err
		}
	}
	old := b.rows(func(g *group) []float32 { return g.old })
	if o.Correction != "none" {
		sampler := b.rows((*group).drawnLogp)
		if b.factors.Correction, err = grpo.Correct(grpo.CorrectionMode(o.Correction), old, sampler, b.masks, &o.CorrectionMin, &o.CorrectionMax); err != nil {
			return err
		}
	}
	if o.OffPolicyDrift > 0 && moved {
		if err := r.scoreNow(ctx, b); err != nil {
			return err
		}
		drift := grpo.RowLogRatio(old, b.rows(func(g *group) []float32 { return g.now }), b.masks)
		i := 0
		for _, g := range b.groups {
			for _, a := range g.advantage {
				b.factors.Keep = append(b.factors.Keep, grpo.KeepOnPolicy(a, drift[i][0], o.OffPolicyDrift))
				i++
			}
		}
	}
	b.weights, err = v.Weights(grpo.Update{Masks: b.masks, MicroRows: o.GroupSize, MaxTokens: o.MaxCompletionTokens}, b.factors)
	return err
}

// scoreNow gives each group of the update its log-probabilities under the present weights.
func (r *runner) scoreNow(ctx context.Context, b *minibatch) (err error) {
	b.scoring, err = r.each(ctx, scorePhase, len(b.groups), func(l *lane, i int) (err error) {
		g := b.groups[i]
		g.now, err = r.logp(l, &l.policy, g, r.exp.GRPO.Temperature)
		return err
	})
	return err
}

// rows are the values of all tokens by completion.
func (b *minibatch) rows(of func(*group) []float32) (out [][]float64) {
	for _, g := range b.groups {
		out = append(out, g.rows(of(g))...)
	}
	return out
}

// byGroup are the weights of the update's tokens by group, in the order of pack.
func (b *minibatch) byGroup() lossWeights {
	flat := func(rows [][]float64) (out [][]float64) {
		if rows == nil {
			return nil
		}
		at := 0
		for _, g := range b.groups {
			var all []float64
			for _, c := range g.completions {
				row := rows[at]
				if len(row) == 1 { // one value a completion
					row = slices.Repeat(row, len(c.tokens))
				}
				all, at = append(all, row...), at+1
			}
			out = append(out, all)
		}
		return out
	}
	return lossWeights{
		policy: flat(b.weights.Policy), kl: flat(b.weights.KL), entropy: flat(b.weights.Entropy), correction: flat(b.factors.Correction),
	}
}

// of are the rows of one group, the i-th of the update, one after the other.
func (b *minibatch) of(i int, rows [][]float64) (out []float32) {
	if rows == nil {
		return nil
	}
	size := len(b.groups[i].completions)
	for _, row := range rows[i*size : (i+1)*size] {
		for _, x := range row {
			out = append(out, float32(x))
		}
	}
	return out
}

// grpoUnit computes loss and gradients of the i-th group of an update, packed into one row. place counts the groups of all updates;
// moved is as of weigh.
func (r *runner) grpoUnit(l *lane, b *minibatch, i, place int, moved bool) (*unit, error) {
	g, p := b.groups[i], r.model.program
	values := map[string][]float32{"weight": b.of(i, b.weights.Policy)}
	for j, c := range g.completions {
		for range c.tokens {
			values["advantage"] = append(values["advantage"], float32(g.advantage[j]))
		}
	}
	for name, v := range map[string][]float32{
		"kl_weight": b.of(i, b.weights.KL), "entropy_weight": b.of(i, b.weights.Entropy), "ref": g.ref,
	} {
		if v != nil {
			values[name] = v
		}
	}
	if !p.OnPolicy {
		values["old"] = g.old
	}
	s := g.sequence()
	s.place, s.masks = place, g.masks(r.exp.GRPO.Truncated == "mask")
	if p.RatioOfRows && p.Layered != nil {
		ratio, err := r.rowLogRatio(l, g, s.masks, place, moved)
		if err != nil {
			return nil, err
		}
		values["row_log_ratio"] = ratio
	}
	u, err := r.gradient(l, []sequence{s}, g.features, values, r.exp.GRPO.Temperature)
	if err != nil {
		return nil, fmt.Errorf("example %s: %w", g.prompt.example.ID, err)
	}
	return u, nil
}

// rowLogRatio is ln rho of the group's completions at each of their tokens, from a scoring pass under the present weights: a layered
// gradient meets the tokens in pieces and cannot take the mean over a completion. Before the first update on a rollout it is 0.
func (r *runner) rowLogRatio(l *lane, g *group, masks [][]bool, place int, moved bool) ([]float32, error) {
	drops := r.model.program.Drops() // then the pass drops what the gradient will
	if !moved && !drops {
		return make([]float32, len(g.old)), nil
	}
	if !drops {
		place = noPlace
	}
	now, _, err := r.scores(l, &l.policy, g, r.exp.GRPO.Temperature, place)
	if err != nil {
		return nil, err
	}
	var out []float32
	for _, row := range grpo.RowLogRatio(g.rows(now), g.rows(g.old), masks) {
		for _, x := range row {
			out = append(out, float32(x))
		}
	}
	return out, nil
}

// feedRows binds which tokens belong to which completion, and the share of each in the mean over its completion.
func feedRows(b *bound, sequences []sequence) {
	var masks [][]bool
	for _, s := range sequences {
		masks = append(masks, s.masks...)
	}
	mean, row := grpo.RowMeans(masks)
	feed(b, "mean", mean, len(masks), len(row))
	feed(b, "row", row, len(row))
}
