package train

import (
	"math"
	"slices"
	"time"

	"mixr/runtime/data"
	"mixr/runtime/reward"
	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// record collects the table rows of one step.
type record struct {
	metrics     table.Metrics
	slices      []table.Slice
	completions []table.Completion
	timing      table.Timing
}

func newRecord(step int) *record {
	return &record{metrics: table.Metrics{Step: int32(step)}, timing: table.Timing{Step: int32(step)}}
}

func seconds(since time.Time) *float64 {
	s := time.Since(since).Seconds()
	return &s
}

// number is a nullable column's value; what is not finite is counted and left out.
func (r *record) number(x float64) *float64 { return table.Finite(x, &r.metrics.NumNonfinite) }

// update fills what every optimizer step has. Means over tokens are over all scored tokens of the update.
func (r *record) update(u *updated) {
	r.metrics.Loss = r.number(u.loss)
	r.metrics.GradNorm = r.number(u.gradNorm)
	r.metrics.LR = u.lr
	r.timing.GradientS += u.gradientS
	r.timing.OptimizerS += u.optimizerS
	entropy := mean(u.units, func(u *unit) []float32 { return u.entropy })
	r.metrics.Entropy = r.number(entropy)
}

// mean averages a per-token value over all units, in order.
func mean(units []*unit, values func(*unit) []float32) float64 {
	sum, n := 0.0, 0
	for _, u := range units {
		for _, v := range values(u) {
			sum += float64(v)
			n++
		}
	}
	return sum / float64(n)
}

// sft records an update on target completions.
func (r *record) sft(batch []data.Example, prompts []*prompt, targets [][]int, u *updated) {
	r.update(u)
	m := &r.metrics
	m.NumPrompts, m.NumCompletions = int32(len(batch)), int32(len(batch))
	longest := int32(0)
	for i, p := range prompts {
		m.TokPrompt += int64(len(p.IDs))
		m.TokCompletion += int64(len(targets[i]))
		longest = max(longest, int32(len(targets[i])))
	}
	m.LenMean, m.LenMax = r.number(float64(m.TokCompletion)/float64(len(batch))), &longest

	s := newSlices()
	i, t := 0, 0 // walk the units' tokens example by example
	for _, unit := range u.units {
		for t = 0; t < len(unit.logp); i++ {
			nll := 0.0
			for range targets[i] {
				nll -= float64(unit.logp[t])
				t++
			}
			nll /= float64(len(targets[i]))
			s.add(batch[i], "loss", &nll)
		}
	}
	r.slices = s.rows(r)
}

// grpo records one of the updates on a rollout: rewards and completions with the first, losses with each (the last one stays).
func (r *record) grpo(groups []*group, weights [][]float64, u *updated, exp *spec.Experiment, iteration int) {
	r.update(u)
	m := &r.metrics
	o := exp.GRPO
	if o.KL > 0 {
		m.KL = r.number(mean(u.units, func(u *unit) []float32 { return u.kl }))
		kl := 0.0
		for i, unit := range u.units {
			for t, v := range unit.kl {
				kl += weights[i][t] * o.KL * float64(v)
			}
		}
		m.LossKL, m.LossPolicy = r.number(kl), r.number(u.loss-kl)
	} else {
		m.LossPolicy = m.Loss
	}
	r.ratios(groups, u, o)
	if iteration > 0 {
		return
	}
	r.gap(groups, u)
	r.rollout(groups, exp)
}

// ratios records importance ratios and how many tokens the clip silenced. On policy both are known without computing.
func (r *record) ratios(groups []*group, u *updated, o *spec.GRPO) {
	sum, n, low, high := 0.0, 0, 0, 0
	for i, g := range groups {
		t := 0
		for j, c := range g.completions {
			for range c.tokens {
				ratio := 1.0
				if g.old != nil {
					ratio = math.Exp(float64(u.units[i].logp[t]) - float64(g.old[t]))
				}
				a := g.advantage[j]
				if a < 0 && ratio < 1-o.ClipLow {
					low++
				}
				if a > 0 && ratio > 1+o.ClipHigh {
					high++
				}
				sum += ratio
				n++
				t++
			}
		}
	}
	m := &r.metrics
	m.RatioMean = r.number(sum / float64(n))
	m.ClipLowFrac, m.ClipHighFrac = r.number(float64(low)/float64(n)), r.number(float64(high)/float64(n))
}

// gap records how far trainer and sampler disagree on log-probabilities under the same weights.
func (r *record) gap(groups []*group, u *updated) {
	sum, worst, n := 0.0, 0.0, 0
	for i, g := range groups {
		t := 0
		for _, c := range g.completions {
			for _, sampled := range c.logp {
				d := math.Abs(float64(u.units[i].logp[t]) - float64(sampled))
				sum, worst = sum+d, max(worst, d)
				n++
				t++
			}
		}
	}
	r.metrics.LogpGapMean, r.metrics.LogpGapMax = r.number(sum/float64(n)), r.number(worst)
}

// rollout records rewards, lengths and one row a completion.
func (r *record) rollout(groups []*group, exp *spec.Experiment) {
	m, s := &r.metrics, newSlices()
	var rewards, formats []float64
	var groupStd, flat, advantage float64
	longest, truncated := int32(0), 0
	for _, g := range groups {
		ex := g.prompt.example
		m.NumPrompts++
		m.TokPrompt += int64(len(g.prompt.IDs))
		groupStd += g.std
		if spread(g.results) == 0 {
			flat++
		}
		for j, c := range g.completions {
			res := g.results[j]
			m.NumCompletions++
			m.TokCompletion += int64(len(c.tokens))
			longest = max(longest, int32(len(c.tokens)))
			if c.finish == "length" {
				truncated++
			}
			rewards = append(rewards, res.Reward)
			if res.Format != nil {
				formats = append(formats, *res.Format)
			}
			advantage += math.Abs(g.advantage[j])
			length := float64(len(c.tokens))
			s.add(ex, "reward", &res.Reward)
			s.add(ex, "len", &length)
			for _, k := range components(res) {
				s.add(ex, k.name, k.value)
			}
			r.completions = append(r.completions, completionRow(g, j, m.Step))
		}
	}
	n := float64(len(rewards))
	m.RewardMean, m.RewardStd = r.number(average(rewards)), r.number(deviation(rewards))
	if len(formats) > 0 {
		m.FormatMean = r.number(average(formats))
	}
	m.GroupStdMean = r.number(groupStd / float64(len(groups)))
	m.ZeroStdFrac = r.number(flat / float64(len(groups)))
	m.AdvAbsMean = r.number(advantage / n)
	m.LenMean, m.LenMax = r.number(float64(m.TokCompletion)/n), &longest
	m.TruncFrac = r.number(float64(truncated) / n)
	r.slices = s.rows(r)
}

// component is one reward component of a result that the experiment may use.
type component struct {
	name  string
	value *float64
}

func components(res reward.Result) []component {
	return []component{
		{reward.Matching, res.Matching}, {reward.Chart, res.Chart}, {reward.IoU, res.IoU},
		{reward.BMAS, res.BMAS}, {reward.Text, res.Text}, {reward.Format, res.Format},
		{reward.Overlong, res.Overlong}, {reward.Repetition, res.Repetition},
	}
}

// spread is the largest difference of rewards; exactly 0 for a group that teaches nothing.
func spread(results []reward.Result) float64 {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, r := range results {
		lo, hi = min(lo, r.Reward), max(hi, r.Reward)
	}
	return hi - lo
}

func completionRow(g *group, j int, step int32) table.Completion {
	ex, c, res := g.prompt.example, g.completions[j], g.results[j]
	row := table.Completion{
		Step: step, ExampleID: ex.ID, Source: ex.Source, Task: string(ex.Task), Gen: int32(j),
		Prompt: &ex.Question, Completion: g.texts[j], Parsed: res.Parsed, Finish: c.finish,
		NumPromptTok: int32(len(g.prompt.IDs)), NumTok: int32(len(c.tokens)), Logp: c.logp,
		Matching: res.Matching, Chart: res.Chart, IoU: res.IoU, BMAS: res.BMAS, Text: res.Text, Format: res.Format,
		Overlong: res.Overlong, Repetition: res.Repetition, Reward: res.Reward, GroupMean: g.mean, GroupStd: g.std, Advantage: g.advantage[j],
		Extracted: text(res.Extracted), Note: text(res.Note),
	}
	for i, id := range c.tokens {
		row.TokenIDs = append(row.TokenIDs, int32(id))
		row.LogpSum += float64(c.logp[i])
	}
	return row
}

// text is nil for an empty string: nothing was found.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// sliceTable gathers values by (task, source, component), in the order of first appearance of the sorted keys.
type sliceTable struct {
	keys   []sliceKey
	values map[sliceKey][]float64
	count  map[sliceKey]int
}

type sliceKey struct{ task, source, component string }

func newSlices() *sliceTable {
	return &sliceTable{values: map[sliceKey][]float64{}, count: map[sliceKey]int{}}
}

func (s *sliceTable) add(ex data.Example, component string, v *float64) {
	k := sliceKey{string(ex.Task), ex.Source, component}
	if s.count[k] == 0 {
		s.keys = append(s.keys, k)
	}
	s.count[k]++
	if v != nil {
		s.values[k] = append(s.values[k], *v)
	}
}

// rows gives a row for each key of which at least one value applies, sorted by task, source and component.
func (s *sliceTable) rows(r *record) []table.Slice {
	slices.SortFunc(s.keys, func(a, b sliceKey) int {
		return slices.Compare([]string{a.task, a.source, a.component}, []string{b.task, b.source, b.component})
	})
	var out []table.Slice
	for _, k := range s.keys {
		v := s.values[k]
		if len(v) == 0 {
			continue
		}
		row := table.Slice{
			Step: r.metrics.Step, Task: k.task, Source: k.source, Component: k.component,
			N: int32(s.count[k]), NumNull: int32(s.count[k] - len(v)), Mean: r.number(average(v)),
			Min: r.number(slices.Min(v)), Max: r.number(slices.Max(v)),
		}
		if len(v) > 1 {
			row.Std = r.number(deviation(v))
		}
		out = append(out, row)
	}
	return out
}

func average(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// deviation is the sample standard deviation (n-1).
func deviation(v []float64) float64 {
	m, sum := average(v), 0.0
	for _, x := range v {
		sum += float64((x - m) * (x - m))
	}
	return math.Sqrt(sum / float64(len(v)-1))
}
