package train

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"mixr/runtime/monitor"
	"mixr/runtime/reward"
	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// rollout records rewards, lengths and groups, and one row a completion.
func (r *record) rollout(groups []*group, exp *spec.Experiment) {
	m := &r.metrics
	var rewards, formats, repeats []float64
	var groupStd, flat, advantage float64
	longest, truncated := int32(0), 0
	for _, g := range groups {
		add := func(component string, v *float64) {
			r.table.add(string(g.prompt.example.Task), g.prompt.example.Source, component, v)
		}
		m.NumPrompts++
		m.TokPrompt += int64(len(g.prompt.IDs))
		groupStd += g.std
		level := 0.0
		if spread(g.results) == 0 {
			level = 1
		}
		flat += level
		add("zero_spread", &level)
		if std := within(g.results); std != nil {
			add("bmas_spread", std)
		}
		for j, c := range g.completions {
			res := g.results[j]
			m.NumCompletions++
			m.TokCompletion += int64(len(c.tokens))
			longest = max(longest, int32(len(c.tokens)))
			cut := 0.0
			if c.finish == "length" {
				truncated++
				cut = 1
			}
			rewards = append(rewards, res.Reward)
			if res.Format != nil {
				formats = append(formats, *res.Format)
			}
			advantage += math.Abs(g.advantage[j])
			length, repeat := float64(len(c.tokens)), repeated(c.tokens)
			repeats = append(repeats, repeat)
			add("reward", &res.Reward)
			add("len", &length)
			add("truncated", &cut)
			add("repeat", &repeat)
			for _, k := range components(res) {
				add(k.name, k.value)
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
	m.RepeatFrac = r.number(average(repeats))
	r.dropped(groups, exp.GRPO)
	r.penalties(groups)
	r.shift(groups)
	r.parts = partsOf(groups)
	for _, p := range r.parts {
		if len(p.Answers) > 0 {
			share := float64(p.Answers[0].Count) / float64(p.Completions)
			r.table.add(p.Task, p.Source, "top_answer", &share)
		}
	}
}

// dropped counts the groups without spread that left the update, and those that were drawn in their place.
func (r *record) dropped(groups []*group, o *spec.GRPO) {
	if o.Advantage.Flat == "keep" {
		return
	}
	n := int32(0)
	for _, g := range groups {
		if g.dropped {
			n++
		}
	}
	r.metrics.NumDropped = &n
	if o.Advantage.Flat == "resample" {
		more := int32(len(groups) - o.BatchSize/o.GroupSize)
		r.metrics.NumResampled = &more
	}
}

// penalties records the KL where it was taken off the rewards: of the groups of the update.
func (r *record) penalties(groups []*group) {
	var penalty, kl running
	for _, g := range groups {
		for j, p := range g.penalty {
			r.add(&penalty, p, 1)
			for _, x := range g.kl[j] {
				r.add(&kl, x, 1)
			}
		}
	}
	r.metrics.KLPenalty = penalty.value()
	r.updates.kl = kl
}

// shift records what filters of the distribution (top_p and its like) add to the log-probability of a token, where there are any.
func (r *record) shift(groups []*group) {
	var m running
	for _, g := range groups {
		for _, c := range g.completions {
			if !c.narrowed() {
				continue
			}
			for t, drawn := range c.logp {
				r.add(&m, float64(drawn)-float64(c.own[t]), 1)
			}
		}
	}
	r.metrics.FilterShift = m.value()
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

// within is the standard deviation (n-1) of a group's BMAS; nil where fewer than two completions have one.
func within(results []reward.Result) *float64 {
	var v []float64
	for _, r := range results {
		if r.BMAS != nil {
			v = append(v, *r.BMAS)
		}
	}
	if len(v) < 2 {
		return nil
	}
	std := deviation(v)
	return &std
}

// repeatedRun is n of the n-grams by which repetition is known; 4 as in seq-rep-4 of Welleck et al., arXiv 1908.04319.
const repeatedRun = 4

// repeated is the share of a completion's 4-grams of tokens that stand in it before; 0 for one of fewer tokens.
func repeated(ids []int) float64 {
	seen := map[[repeatedRun]int]bool{}
	n := len(ids) - repeatedRun + 1
	for i := range n {
		seen[[repeatedRun]int(ids[i:])] = true
	}
	if n < 1 {
		return 0
	}
	return 1 - float64(len(seen))/float64(n)
}

// partsOf is what the monitors see of the groups: by task and source, in their order.
func partsOf(groups []*group) []monitor.Part {
	byKey := map[[2]string][]*group{}
	for _, g := range groups {
		key := [2]string{string(g.prompt.example.Task), g.prompt.example.Source}
		byKey[key] = append(byKey[key], g)
	}
	var out []monitor.Part
	for key, groups := range byKey {
		p := partOf(groups)
		p.Task, p.Source = key[0], key[1]
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b monitor.Part) int {
		return cmp.Or(strings.Compare(a.Task, b.Task), strings.Compare(a.Source, b.Source))
	})
	return out
}

// partOf is what the monitors see of some groups.
func partOf(groups []*group) monitor.Part {
	var score, format, length, repeat, bmas, deviations []float64
	answers := map[uint64]int{}
	p := monitor.Part{Groups: len(groups)}
	for _, g := range groups {
		if spread(g.results) == 0 {
			p.Flat++
		}
		if std := within(g.results); std != nil {
			deviations = append(deviations, *std)
		}
		for j, c := range g.completions {
			res := g.results[j]
			p.Completions++
			if c.finish == "length" {
				p.Truncated++
			}
			score, length, repeat = append(score, res.TaskScore()), append(length, float64(len(c.tokens))), append(repeat, repeated(c.tokens))
			if res.Format != nil {
				format = append(format, *res.Format)
			}
			if res.BMAS != nil {
				bmas = append(bmas, *res.BMAS)
			}
			if res.Extracted != "" {
				answers[answerHash(res.Extracted)]++
			}
		}
	}
	p.Score, p.Length, p.Repeat = average(score), average(length), average(repeat)
	if len(format) > 0 {
		p.Format = average(format)
	}
	if len(deviations) > 0 {
		p.BMAS = &monitor.Spread{Mean: average(bmas), Within: average(deviations)}
	}
	for hash, n := range answers {
		p.Answers = append(p.Answers, monitor.Answer{Hash: hash, Count: n})
	}
	slices.SortFunc(p.Answers, func(a, b monitor.Answer) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Hash, b.Hash)) })
	p.Answers = slices.Clip(p.Answers[:min(len(p.Answers), answersKept)])
	return p
}

// answersKept is how many answers of a step the monitors see: one that nearly all completions give is among the first of every step.
const answersKept = 4

// answerHash is of the answer without regard to case.
func answerHash(answer string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(strings.ToLower(answer)))
	return h.Sum64()
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
	if c.narrowed() {
		row.OwnLogp = c.own
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
