package train

import (
	"math"

	"mixr/runtime/grpo"
)

// updates sums up what the updates of a step measured. A step has one for each pass and minibatch; its row has their means: over updates
// for losses and gradient norms, over the tokens of all of them for the rest.
type updates struct {
	made, skipped int32

	loss, policy, klLoss, entropyLoss, gradNorm       running // an update
	entropy, kl, ratio, clipLow, clipHigh, counted, w running // a token

	lowest, highest *float64 // mean entropy of a completion
}

// running is a mean of what was added.
type running struct {
	sum float64
	n   int
}

// add adds n values with this sum; a sum that is not finite is counted and left out.
func (r *record) add(to *running, sum float64, n int) {
	if r.number(sum) != nil {
		to.sum += sum
		to.n += n
	}
}

// value is nil where nothing was added.
func (m running) value() *float64 {
	if m.n == 0 {
		return nil
	}
	v := m.sum / float64(m.n)
	return &v
}

// lossWeights are the weights of an update's tokens in its loss, by group in the order of pack.
type lossWeights struct {
	policy     [][]float64
	kl         [][]float64 // nil: as policy
	entropy    [][]float64 // the bonus's coefficient in it; nil: no bonus
	correction [][]float64 // factors that policy has in it; nil: none
}

// update adds what every update has.
func (r *record) update(u *updated) {
	s := &r.updates
	if u.skipped {
		s.skipped++
	} else {
		s.made++
	}
	r.add(&s.loss, u.loss, 1)
	r.add(&s.gradNorm, u.gradNorm, 1)
	sum, n := tokens(u.units, func(u *unit) []float32 { return u.entropy })
	r.add(&s.entropy, sum, n)
	r.metrics.LR = u.lr
	r.timing.GradientS += u.gradientS
	r.timing.OptimizerS += u.optimizerS
}

// tokens sums a per-token value over all units, in order.
func tokens(units []*unit, values func(*unit) []float32) (sum float64, n int) {
	for _, u := range units {
		for _, v := range values(u) {
			sum += float64(v)
			n++
		}
	}
	return sum, n
}

// means fills the columns that are means over the step's updates, and the slices. It stands after the last of them.
func (r *record) means() {
	m, s := &r.metrics, &r.updates
	m.NumUpdates, m.NumSkipped = &s.made, &s.skipped
	m.Loss, m.LossPolicy, m.LossKL, m.LossEntropy = s.loss.value(), s.policy.value(), s.klLoss.value(), s.entropyLoss.value()
	m.GradNorm, m.Entropy, m.KL = s.gradNorm.value(), s.entropy.value(), s.kl.value()
	m.EntropyMin, m.EntropyMax = s.lowest, s.highest
	m.RatioMean, m.ClipLowFrac, m.ClipHighFrac = s.ratio.value(), s.clipLow.value(), s.clipHigh.value()
	m.CountedFrac, m.Correction = s.counted.value(), s.w.value()
	r.slices = r.table.rows(r)
}

// sft adds an update on target completions, of lessons in the order of its units.
func (r *record) sft(lessons []*lesson, u *updated) {
	r.update(u)
	m := &r.metrics
	m.NumPrompts, m.NumCompletions = int32(len(lessons)), int32(len(lessons))
	longest := int32(0)
	for _, l := range lessons {
		m.TokPrompt += int64(len(l.prompt.IDs))
		m.TokCompletion += int64(len(l.target))
		longest = max(longest, int32(len(l.target)))
	}
	m.LenMean, m.LenMax = r.number(float64(m.TokCompletion)/float64(len(lessons))), &longest

	i := 0 // walk the units' tokens example by example
	for _, unit := range u.units {
		for t := 0; t < len(unit.logp); i++ {
			nll := 0.0
			for range lessons[i].target {
				nll -= float64(unit.logp[t])
				t++
			}
			nll /= float64(len(lessons[i].target))
			r.table.add(string(lessons[i].example.Task), lessons[i].example.Source, "loss", &nll)
		}
	}
}

// grpo adds one of the updates on a rollout, which was of these groups under these weights.
func (r *record) grpo(groups []*group, w lossWeights, u *updated, v grpo.Variant) {
	r.update(u)
	s := &r.updates
	policy := u.loss
	if v.PenalisesKL() {
		sum, n := tokens(u.units, func(u *unit) []float32 { return u.kl })
		r.add(&s.kl, sum, n)
		weights := w.kl
		if weights == nil {
			weights = w.policy
		}
		term := 0.0
		for i, unit := range u.units {
			ratio := ratios(groups[i], unit, v.Level)
			for t, kl := range unit.kl {
				x := weights[i][t] * v.KL * float64(kl)
				if v.KLTimesRatio {
					x *= ratio[t]
				}
				term += x
			}
		}
		policy -= term
		r.add(&s.klLoss, term, 1)
	}
	if w.entropy != nil {
		term := 0.0
		for i, unit := range u.units {
			for t, h := range unit.entropy {
				term -= float64(w.entropy[i][t] * float64(h))
			}
		}
		policy -= term
		r.add(&s.entropyLoss, term, 1)
	}
	r.add(&s.policy, policy, 1)
	for i, g := range groups {
		r.clipped(g, u.units[i], v)
		r.counted(i, w)
		r.entropies(g, u.units[i])
	}
}

// ratios are the importance ratios of a group's tokens, 1 on policy; of a sequence, the same for all tokens of a completion.
func ratios(g *group, u *unit, level grpo.Level) []float64 {
	out := make([]float64, len(u.logp))
	for t := range out {
		if g.old != nil {
			out[t] = float64(u.logp[t]) - float64(g.old[t])
		}
	}
	t := 0
	for _, c := range g.completions {
		row := out[t : t+len(c.tokens)]
		t += len(row)
		if level == grpo.Sequence {
			mean := average(row)
			for i := range row {
				row[i] = mean
			}
		}
	}
	for t, log := range out {
		out[t] = math.Exp(log)
	}
	return out
}

// clipped adds a group's ratios, and how many of its tokens the clip or the cap silenced or bounded; sapo has neither.
func (r *record) clipped(g *group, u *unit, v grpo.Variant) {
	ratio := ratios(g, u, v.Level)
	sum, low, high, t := 0.0, 0, 0, 0
	for j, c := range g.completions {
		a := g.advantage[j]
		for range c.tokens {
			x := ratio[t]
			t++
			sum += x
			switch {
			case v.Surrogate == grpo.Cap:
				if x > v.RatioCap {
					high++
				}
			case a < 0 && x < 1-v.ClipLow:
				low++
			case a > 0 && x > 1+v.ClipHigh, a < 0 && v.Delta > 0 && x > v.Delta:
				high++
			}
		}
	}
	s := &r.updates
	r.add(&s.ratio, sum, t)
	if v.Surrogate != grpo.Gate {
		r.add(&s.clipLow, float64(low), t)
		r.add(&s.clipHigh, float64(high), t)
	}
}

// counted adds how many tokens of a group the policy term counts, and the weights of the correction.
func (r *record) counted(i int, w lossWeights) {
	n := 0
	for _, x := range w.policy[i] {
		if x != 0 {
			n++
		}
	}
	r.add(&r.updates.counted, float64(n), len(w.policy[i]))
	if w.correction != nil {
		sum := 0.0
		for _, x := range w.correction[i] {
			sum += x
		}
		r.add(&r.updates.w, sum, len(w.correction[i]))
	}
}

// entropies notes the completions of lowest and highest mean entropy.
func (r *record) entropies(g *group, u *unit) {
	t := 0
	for _, c := range g.completions {
		mean := 0.0
		for range c.tokens {
			mean += float64(u.entropy[t]) / float64(len(c.tokens))
			t++
		}
		if math.IsNaN(mean) || math.IsInf(mean, 0) {
			continue // counted by update
		}
		if s := &r.updates; s.lowest == nil {
			s.lowest, s.highest = &mean, &mean
		} else {
			low, high := min(*s.lowest, mean), max(*s.highest, mean)
			s.lowest, s.highest = &low, &high
		}
	}
}

// gap records how far trainer and sampler disagree on log-probabilities under the same weights: those that the rollout was sampled with,
// which are the policy's in the first update of a step (u) and in every pass that scored the old policy.
func (r *record) gap(groups []*group, u *updated) {
	sum, worst, n := 0.0, 0.0, 0
	for i, g := range groups {
		trainer := g.old
		if trainer == nil {
			trainer = u.units[i].logp
		}
		t := 0
		for _, c := range g.completions {
			for _, sampled := range c.own {
				d := math.Abs(float64(trainer[t]) - float64(sampled))
				sum, worst = sum+d, max(worst, d)
				n++
				t++
			}
		}
	}
	r.metrics.LogpGapMean, r.metrics.LogpGapMax = r.number(sum/float64(n)), r.number(worst)
}
