package spec

import "testing"

// The words of a rule say all of it: rules that differ anywhere differ in words, and a stopped run is found by them.
func TestStopRuleInWords(t *testing.T) {
	x := func(x float64) *float64 { return &x }
	seen := map[string]bool{}
	for want, r := range map[string]StopRule{
		"kl above 0.5":                                         {Metric: "kl", Above: x(0.5), For: 1},
		"kl below 0.5":                                         {Metric: "kl", Below: x(0.5), For: 1},
		"kl above 0.5000000000000001":                          {Metric: "kl", Above: x(0.5000000000000001), For: 1},
		"kl above 0.5 for 3 steps":                             {Metric: "kl", Above: x(0.5), For: 3},
		"kl above 0.5, after step 3":                           {Metric: "kl", Above: x(0.5), For: 1, After: 3},
		"eval.reward below 1e-09 for 2 evaluations":            {Metric: "eval.reward", Below: x(1e-9), For: 2},
		"repetition in alert for 5 steps, after step 100":      {Monitor: "repetition", For: 5, After: 100},
		"hours above 12":                                       {Metric: "hours", Above: x(12), For: 1},
		"eval.reward above -1 for 2 evaluations, after step 4": {Metric: "eval.reward", Above: x(-1), For: 2, After: 4},
	} {
		if got := r.String(); got != want || seen[got] {
			t.Errorf("got %q, want %q", got, want)
		}
		seen[r.String()] = true
	}
}

func TestStopRuleBounds(t *testing.T) {
	x := func(x float64) *float64 { return &x }
	above, below := StopRule{Above: x(1)}, StopRule{Below: x(1)}
	for value, want := range map[float64][2]bool{0.5: {false, true}, 1: {false, false}, 1.5: {true, false}} {
		if got := [2]bool{above.Beyond(&value), below.Beyond(&value)}; got != want {
			t.Errorf("%v: above, below 1 are %v, want %v", value, got, want)
		}
	}
	if above.Beyond(nil) || below.Beyond(nil) {
		t.Error("a value that is not there is beyond a bound")
	}
}

// Of a chain the last stage has the rules, and an evaluation has nothing of what concerns training.
func TestStagesOfStopRules(t *testing.T) {
	stages := stagesOf(t, `stop_when=[{metric: "kl", above: 1}]`, "eval.every=5", `eval.keep_best="reward"`)
	sft, grpo := stages[0].Experiment, stages[1].Experiment
	if len(sft.StopWhen) != 0 || len(grpo.StopWhen) != 1 || grpo.StopWhen[0].For != 1 || *grpo.StopWhen[0].Above != 1 {
		t.Errorf("sft has %v, grpo %v", sft.StopWhen, grpo.StopWhen)
	}
	if sft.Eval.Every != 5 || grpo.Eval.KeepBest != "reward" {
		t.Errorf("sft evaluates every %d steps, grpo keeps the best by %q", sft.Eval.Every, grpo.Eval.KeepBest)
	}
	evaluation := stages[1].Evaluation("x")
	if e := evaluation.Experiment; e.StopWhen != nil || e.Eval.Every != 0 || e.Eval.KeepBest != "none" {
		t.Errorf("the evaluation has %+v and the rules %v", e.Eval, e.StopWhen)
	}
	for _, r := range append(stages, evaluation) {
		agrees(t, r)
	}
}
