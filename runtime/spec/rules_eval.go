package spec

import (
	"fmt"
	"maps"
	"slices"
)

// mostSteps is the most steps that a stage of the experiment has, 0 where none trains or its steps are in error.
func (f *facts) mostSteps() (steps int) {
	if f.GRPO != nil && f.sound("grpo", "grpo.steps") {
		steps = f.GRPO.Steps
	}
	if f.SFT != nil && f.sound("sft", "sft.steps") {
		steps = max(steps, f.SFT.Steps)
	}
	return steps
}

// decided reports whether some task of the mix has answers that are right or wrong; true where the mix is in error.
func (f *facts) decided() bool {
	tasks := f.tasks()
	return len(tasks) == 0 || !f.sound("data", "data.sources") || !f.sourcesSound() ||
		slices.ContainsFunc(slices.Collect(maps.Keys(tasks)), func(task string) bool {
			return task == "yesno" || task == "mcq" || task == "chart"
		})
}

// evaluatesOnTheWay reports evaluations in the course of training that would never come.
func evaluatesOnTheWay(f *facts) {
	e := f.Eval
	if f.Stage == evalStage || e.Every == 0 || !f.sound("stage", "eval", "eval.every", "eval.examples") {
		return
	}
	if e.Examples == 0 {
		f.c.report(f.at("eval.every"), "eval.every", "", "is not used: eval.examples is 0")
	} else if steps := f.mostSteps(); steps > 0 && e.Every > steps {
		f.c.report(f.at("eval.every"), "eval.every", "", "got %d, want at most the %d steps of the training", e.Every, steps)
	}
}

// greedyDiffers reports a greedy completion that would be a second copy of the samples.
func greedyDiffers(f *facts) {
	if e := f.Eval; e.Greedy && e.Temperature == 0 && f.sound("eval.greedy", "eval.temperature") {
		f.c.report(f.at("eval.greedy"), "eval.greedy", "", "is not used: eval.temperature is 0, so the samples are greedy already")
	}
}

// passesFitSamples reports pass@k that cannot be estimated: of more samples than there are, or where nothing is right or wrong.
func passesFitSamples(f *facts) {
	e := f.Eval
	if len(e.PassK) == 0 || !f.sound("eval", "eval.pass_k") {
		return
	}
	seen := map[int]bool{}
	for _, k := range e.PassK {
		if k > e.Samples && f.sound("eval.samples") {
			f.c.report(f.at("eval.pass_k"), "eval.pass_k", fmt.Sprintf("write eval: samples: %d", max(k, 2*e.Samples)),
				"got %d, want at most eval.samples %d: pass@%d is estimated from as many samples or more", k, e.Samples, k)
		}
		if seen[k] {
			f.c.report(f.at("eval.pass_k"), "eval.pass_k", "", "lists %d twice", k)
		}
		seen[k] = true
	}
	if !f.decided() {
		f.c.report(f.at("eval.pass_k"), "eval.pass_k", "", "is not used: no task of the mix has answers that are right or wrong")
	}
}

// bestIsChosen reports a choice of the best policy that has nothing to choose from or by.
func bestIsChosen(f *facts) {
	e := f.Eval
	if f.Stage == evalStage || e.KeepBest == "none" || !f.sound("stage", "eval", "eval.keep_best") {
		return
	}
	switch {
	case !f.sound("eval.every", "eval.examples"):
	case e.Examples == 0:
		f.c.report(f.at("eval.keep_best"), "eval.keep_best", "", "got %q, but eval.examples is 0: nothing is evaluated", e.KeepBest)
	case e.Every == 0:
		f.c.report(f.at("eval.keep_best"), "eval.keep_best", "write eval: every: N",
			"got %q, but eval.every is 0: only the last policy would be there to choose", e.KeepBest)
	}
	if e.KeepBest == "correct" && !f.decided() {
		f.c.report(f.at("eval.keep_best"), "eval.keep_best", `write "reward"`, "got %q, but no task of the mix has answers that are right or wrong", e.KeepBest)
	}
}
