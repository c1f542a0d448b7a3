package monitor

import (
	"maps"
	"math"
	"slices"
	"strings"

	"mixr/runtime/spec"
)

// rules are the monitors, each with its definition. All see the state with the step in it.
var rules = []func(*Watch, Step) []Finding{
	// Share of groups without spread, of a task and source.
	byPart("advantage_collapse", func(l spec.MonitorLimits, h history) (value, limit float64, bad bool) {
		value = total(h.Last, func(p Part) int { return p.Flat }) / total(h.Last, func(p Part) int { return p.Groups })
		return value, l.AdvantageCollapse, value >= l.AdvantageCollapse
	}),
	// Mean BMAS near its end, and no spread within groups.
	byPart("bmas_saturation", func(l spec.MonitorLimits, h history) (value, limit float64, bad bool) {
		within := 0.0
		for _, p := range h.Last {
			if p.BMAS == nil {
				return 0, l.BMASSaturation, false
			}
			value += p.BMAS.Mean / float64(len(h.Last))
			within += p.BMAS.Within / float64(len(h.Last))
		}
		return value, l.BMASSaturation, value >= l.BMASSaturation && within <= l.BMASSpread
	}),
	// The format has risen since the first window, and the task's own reward has fallen.
	byPart("format_overfitting", func(l spec.MonitorLimits, h history) (value, limit float64, bad bool) {
		format := func(p Part) float64 { return p.Format }
		value = pooled(h.Last, format) - pooled(h.First, format)
		return value, l.FormatOverfitting, h.apart(l.Window) && value >= l.FormatOverfitting && scores(h.First).above(scores(h.Last), l.Noise)
	}),
	// Longer or shorter by a factor than in the first window, and no better.
	byPart("length_drift", func(l spec.MonitorLimits, h history) (value, limit float64, bad bool) {
		length := func(p Part) float64 { return p.Length }
		value = pooled(h.Last, length) / pooled(h.First, length)
		far := value >= l.LengthDrift || value <= 1/l.LengthDrift
		return value, l.LengthDrift, h.apart(l.Window) && far && !scores(h.Last).above(scores(h.First), l.Noise)
	}),
	// Completions that go round in circles.
	byPart("repetition", func(l spec.MonitorLimits, h history) (value, limit float64, bad bool) {
		value = pooled(h.Last, func(p Part) float64 { return p.Repeat })
		return value, l.Repetition, value >= l.Repetition
	}),
	// One answer to all questions, which is not the right one to nearly all.
	byPart("one_answer", func(l spec.MonitorLimits, h history) (value, limit float64, bad bool) {
		value = topAnswer(h.Last) / total(h.Last, func(p Part) int { return p.Completions })
		return value, l.OneAnswer, value >= l.OneAnswer && pooled(h.Last, func(p Part) float64 { return p.Score }) < nearlyAll
	}),
	// Completions that were cut.
	byPart("truncation", func(l spec.MonitorLimits, h history) (value, limit float64, bad bool) {
		value = total(h.Last, func(p Part) int { return p.Truncated }) / total(h.Last, func(p Part) int { return p.Completions })
		return value, l.Truncation, value >= l.Truncation
	}),
	klExcursion, entropyExcursion, heldOutFall, interference,
}

// nearlyAll is the share of a task's reward from which on one answer to all is the right one.
const nearlyAll = 0.9

// byPart is a rule that looks at each task and source by itself, once its window is full. A limit of 0 switches it off.
func byPart(name string, rule func(spec.MonitorLimits, history) (value, limit float64, bad bool)) func(*Watch, Step) []Finding {
	return func(w *Watch, _ Step) (out []Finding) {
		for _, key := range slices.Sorted(maps.Keys(w.state.Parts)) {
			h := w.state.Parts[key]
			if !h.full(w.limits.Window) {
				continue
			}
			if value, limit, bad := rule(w.limits, h); bad && limit != 0 {
				task, source, _ := strings.Cut(key, "/")
				out = append(out, Finding{Monitor: name, Task: task, Source: source, Value: value, Limit: limit})
			}
		}
		return out
	}
}

// topAnswer is the count of the most common answer of all parts.
func topAnswer(parts []Part) float64 {
	count, most := map[uint64]int{}, 0
	for _, p := range parts {
		for _, a := range p.Answers {
			count[a.Hash] += a.Count
			most = max(most, count[a.Hash])
		}
	}
	return float64(most)
}

// klExcursion: the step's KL to the reference.
func klExcursion(w *Watch, s Step) []Finding {
	if limit := w.limits.KLExcursion; limit != 0 && s.KL != nil && *s.KL >= limit {
		return []Finding{{Monitor: "kl_excursion", Value: *s.KL, Limit: limit}}
	}
	return nil
}

// entropyExcursion: the step's entropy as a share of the first step's, both ways.
func entropyExcursion(w *Watch, s Step) []Finding {
	if s.Entropy == nil || w.state.Entropy == nil || *w.state.Entropy <= 0 {
		return nil
	}
	share := *s.Entropy / *w.state.Entropy
	switch low, high := w.limits.EntropyLow, w.limits.EntropyHigh; {
	case low != 0 && share <= low:
		return []Finding{{Monitor: "entropy_excursion", Value: share, Limit: low}}
	case high != 0 && share >= high:
		return []Finding{{Monitor: "entropy_excursion", Value: share, Limit: high}}
	}
	return nil
}

// best is the best evaluation so far, and the training reward of the window before it.
type best struct {
	Evaluation
	Reward *mean `json:"reward,omitempty"` // nil: it came before the first window was full, which then counts
}

// evaluate takes in the newest evaluation, once.
func (w *Watch) evaluate(s Step) {
	e := s.Evaluation
	if e == nil || w.state.Latest != nil && w.state.Latest.Step == e.Step {
		return
	}
	w.state.Latest = e
	if w.state.Best == nil || e.Score > w.state.Best.Score {
		w.state.Best = &best{Evaluation: *e}
		if n := w.limits.Window; w.state.Rewards.full(n) {
			m := meanOf(w.state.Rewards.Last)
			w.state.Best.Reward = &m
		}
	}
}

// heldOutFall: the newest evaluation is below the best one, and the training reward above what it was then.
func heldOutFall(w *Watch, _ Step) []Finding {
	b, e, limit := w.state.Best, w.state.Latest, w.limits.HeldOutFall
	if limit == 0 || b == nil || !w.state.Rewards.full(w.limits.Window) {
		return nil
	}
	was := b.Reward
	if was == nil {
		first := meanOf(w.state.Rewards.First)
		was = &first
	}
	fall, noise := b.Score-e.Score, limit*math.Hypot(b.Error, e.Error)
	if fall <= noise || !meanOf(w.state.Rewards.Last).above(*was, w.limits.Noise) {
		return nil
	}
	return []Finding{{Monitor: "held_out_fall", Value: fall, Limit: noise}}
}

// gradientsKept is over how many measurements of gradients interference is judged: one is of a few prompts.
const gradientsKept = 4

// interference: a task whose reward has fallen, and whose gradient the others undo. What is left of a task's descent is g.G / g.g, with g
// its gradient and G the sum of all: to first order a step along -G improves the task's loss by that share of what a step along -g would.
func interference(w *Watch, _ Step) (out []Finding) {
	if w.limits.InterferenceEvery == 0 || len(w.state.Gradients) == 0 {
		return nil
	}
	for _, task := range w.fallen() {
		left, other, measured := w.left(task)
		if measured && left <= w.limits.CrossTaskInterference {
			out = append(out, Finding{Monitor: "cross_task_interference", Task: task, Other: other, Value: left, Limit: w.limits.CrossTaskInterference})
		}
	}
	return out
}

// fallen are the tasks of which a source's reward has fallen from the window before to the last one.
func (w *Watch) fallen() (tasks []string) {
	for _, key := range slices.Sorted(maps.Keys(w.state.Parts)) {
		h := w.state.Parts[key]
		task, _, _ := strings.Cut(key, "/")
		if h.apart(w.limits.Window) && scores(h.Before).above(scores(h.Last), w.limits.Noise) && !slices.Contains(tasks, task) {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

// left is the mean over the kept measurements of what is left of a task's descent, and the task that takes most of it.
func (w *Watch) left(task string) (left float64, other string, measured bool) {
	n, against := 0, map[string]float64{}
	for _, gradients := range w.state.Gradients {
		at := slices.IndexFunc(gradients, func(g Gradient) bool { return g.Task == task })
		if at < 0 || gradients[at].Dots[at] == 0 {
			continue
		}
		n++
		own := gradients[at].Dots[at]
		for i, dot := range gradients[at].Dots {
			left += dot / own
			if i != at {
				against[gradients[i].Task] += dot / own
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(against)) {
		if other == "" || against[name] < against[other] {
			other = name
		}
	}
	return left / float64(n), other, n > 0
}
