package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ofRollouts are the stop metrics that supervised training does not have.
var ofRollouts = []string{
	"loss_policy", "loss_kl", "loss_entropy", "kl", "kl_penalty", "entropy_min", "entropy_max", "counted_frac", "correction_mean",
	"clip_low_frac", "clip_high_frac", "ratio_mean", "reward_mean", "reward_std", "format_mean", "group_std_mean", "zero_std_frac",
	"adv_abs_mean", "n_dropped", "n_resampled", "trunc_frac", "logp_gap_mean", "logp_gap_max", "filter_shift", "repeat_frac",
}

// stopRulesCanHold judges each rule of stop_when by itself.
func stopRulesCanHold(f *facts) {
	list := f.written.find("stop_when")
	if list == nil || list.broken || f.Stage == evalStage || !f.sound("stage") {
		return
	}
	for i, item := range list.items {
		if item.isStruct() && !item.broken {
			(&stopFacts{f, item, fmt.Sprintf("stop_when[%d]", i)}).judge()
		}
	}
}

// stopFacts is one rule as it was written.
type stopFacts struct {
	*facts
	item *node
	path string
}

// report blames a field of the rule, or the rule where nobody wrote the field.
func (s *stopFacts) report(field, hint, format string, args ...any) {
	pos, path := s.item.pos(), s.path
	if n := s.item.fields[field]; n != nil {
		pos, path = n.pos(), join(s.path, field)
	}
	s.c.report(pos, path, hint, format, args...)
}

// has reports whether the rule has the field, in order or not.
func (s *stopFacts) has(field string) bool { return s.item.fields[field] != nil }

// number is the value of a field of whole numbers; fallback where it is not written or in error.
func (s *stopFacts) number(field string, fallback int) int {
	if n := s.item.fields[field]; n != nil && !n.broken {
		if v, err := strconv.Atoi(n.json); err == nil {
			return v
		}
	}
	return fallback
}

func (s *stopFacts) judge() {
	known := []string{"metric", "monitor", "above", "below", "for", "after"}
	if slices.ContainsFunc(s.item.keys, func(key string) bool { return !slices.Contains(known, key) }) {
		return // what the rule lacks may be what the unknown field stands for
	}
	switch {
	case s.has("metric") && s.has("monitor"):
		s.report("monitor", "write two rules, any of which is enough", "stands beside metric: a rule looks at one thing")
	case s.has("monitor"):
		for _, bound := range []string{"above", "below"} {
			if s.has(bound) {
				s.report(bound, "", "is not used: a monitor has its own threshold")
			}
		}
	case !s.has("metric"):
		s.report("", "write metric: \"kl\" or monitor: NAME", "looks at nothing")
	case s.has("above") && s.has("below"):
		s.report("below", "write two rules, any of which is enough", "stands beside above: a rule has one bound")
	case !s.has("above") && !s.has("below"):
		s.report("", "write above: X or below: X", "has no bound")
	}
	if n := s.item.fields["metric"]; n != nil && !n.broken {
		s.judgeMetric(text(n))
	}
	if n := s.item.fields["monitor"]; n != nil && !n.broken {
		s.judgeMonitor(text(n))
	}
	s.judgeSteps()
}

// judgeMetric reports a metric that this experiment never has.
func (s *stopFacts) judgeMetric(metric string) {
	column, evaluated := StopRule{Metric: metric}.Evaluated()
	switch {
	case evaluated && s.Eval.Every == 0 && s.sound("eval", "eval.every"):
		s.report("metric", "write eval: every: N", "got %q, but eval.every is 0: nothing is evaluated in the course of training", metric)
	case column == "correct" && evaluated && !s.decided():
		s.report("metric", "", "got %q, but no task of the mix has answers that are right or wrong", metric)
	case s.Stage == "sft" && slices.Contains(ofRollouts, metric):
		s.report("metric", "", "got %q, which supervised training does not have", metric)
	case s.Stage != "sft" && s.GRPO != nil && s.GRPO.unmeasured(metric) != "" && s.sound(measured...):
		s.report("metric", "", "got %q, but %s", metric, s.GRPO.unmeasured(metric))
	case metric == "hours" && s.has("below"):
		s.report("below", "write above", "got hours below a bound, which every run is when it begins")
	}
}

// measured are the fields that unmeasured judges by.
var measured = []string{
	"grpo", "grpo.kl", "grpo.kl_in", "grpo.entropy_bonus", "grpo.correction", "grpo.loss", "grpo.advantage", "grpo.advantage.flat",
	"grpo.repetition_penalty", "grpo.top_k", "grpo.top_p", "grpo.min_p",
}

// unmeasured says why a column of metrics is null at every step, in words that name the field; empty where it is not.
func (g *GRPO) unmeasured(metric string) string {
	switch metric {
	case "kl", "loss_kl", "kl_penalty":
		switch {
		case g.KL == 0:
			return "grpo.kl is 0: it is not computed"
		case metric == "loss_kl" && g.KLIn == "reward":
			return "grpo.kl_in is reward: the loss has no such term"
		case metric == "kl_penalty" && g.KLIn == "loss":
			return "grpo.kl_in is loss: nothing is taken off rewards"
		}
	case "loss_entropy":
		if g.EntropyBonus == 0 {
			return "grpo.entropy_bonus is 0: the loss has no such term"
		}
	case "correction_mean":
		if g.Correction == "none" {
			return "grpo.correction is none: there are no such weights"
		}
	case "clip_low_frac", "clip_high_frac":
		if g.Loss == "sapo" {
			return "grpo.loss is sapo, which does not clip"
		}
	case "n_dropped", "n_resampled":
		if flat := g.Advantage.Flat; flat == "keep" || flat == "drop" && metric == "n_resampled" {
			return "grpo.advantage.flat is " + flat + ": it is not counted"
		}
	case "filter_shift":
		if s := g.Sampling; s.RepetitionPenalty == 1 && s.TopK == 0 && s.TopP == 1 && s.MinP == 0 {
			return "no filter of grpo is on (repetition_penalty, top_k, top_p, min_p): nothing is shifted"
		}
	}
	return ""
}

// judgeMonitor reports a monitor that there is not, or not in this experiment.
func (s *stopFacts) judgeMonitor(name string) {
	switch {
	case !slices.Contains(Monitors, name):
		s.report("monitor", didYouMean(nearest(name, Monitors)), "got %q, want one of %s", name, strings.Join(Monitors, ", "))
	case s.Stage == "sft":
		s.report("monitor", "", "got %q, but no monitor looks at supervised training", name)
	case s.GRPO == nil || !s.sound("grpo", "grpo.kl", "grpo.monitors"):
	case s.GRPO.silent(name) != "":
		s.report("monitor", "", "got %q, but %s", name, s.GRPO.silent(name))
	case name == "bmas_saturation" && s.Rewards.BMAS == nil && s.sound("rewards", "rewards.bmas"):
		s.report("monitor", "", "got %q, but there is no rewards.bmas", name)
	case name == "held_out_fall" && s.Eval.Every == 0 && s.sound("eval", "eval.every"):
		s.report("monitor", "", "got %q, but eval.every is 0: there is no evaluation in the course of training", name)
	}
}

// judgeSteps reports a rule that the end of the training always comes before.
func (s *stopFacts) judgeSteps() {
	steps := 0
	if s.GRPO != nil && s.Stage != "sft" && s.sound("grpo", "grpo.steps") {
		steps = s.GRPO.Steps
	} else if s.SFT != nil && s.Stage == "sft" && s.sound("sft", "sft.steps") {
		steps = s.SFT.Steps
	}
	if steps == 0 {
		return
	}
	after, in := s.number("after", 0), s.number("for", 1)
	if after >= steps {
		s.report("after", "", "got %d, want below the %d steps of the training: the rule would never look", after, steps)
		return
	}
	left, unit := steps-after, "step"
	if n := s.item.fields["metric"]; n != nil && !n.broken {
		if _, ok := (StopRule{Metric: text(n)}).Evaluated(); ok && s.Eval.Every > 0 && s.sound("eval", "eval.every") {
			left, unit = steps/s.Eval.Every-after/s.Eval.Every, "evaluation"
		}
	}
	if in > left {
		s.report("for", "", "got %d, want at most %d: the training has no more %ss after step %d", in, left, unit, after)
	}
}
