package spec

import (
	"fmt"
	"strconv"
)

// set reports whether the user gave the path another value than the schema's default. Writing the default says nothing: a rung of a
// study takes back by it what the rung before had set.
func (f *facts) set(path string) bool {
	n, field := f.written.find(path), f.root.lookup(path)
	if n == nil || n.broken || field == nil {
		return false
	}
	x, err := strconv.ParseFloat(n.json, 64)
	y, other := strconv.ParseFloat(field.fallback, 64)
	if err == nil && other == nil {
		return x != y
	}
	return n.json != field.fallback
}

// idle reports those of the paths that were set and that do nothing, for the reason given.
func (f *facts) idle(because, hint string, paths ...string) {
	for _, path := range paths {
		if f.set(path) {
			f.c.report(f.at(path), path, hint, "is not used: %s", because)
		}
	}
}

// UpdatesPerStep is how many updates the rollout of a step gives.
func (g *GRPO) UpdatesPerStep() int { return g.Iterations * g.Minibatches }

// onPolicy reports whether every rollout serves one update, so that the policy is the one that sampled and all ratios are 1.
func (g *GRPO) onPolicy() bool { return g.UpdatesPerStep() == 1 }

// sequence reports whether the ratio is taken over whole completions: as level says, or else the loss.
func (g *GRPO) sequence() bool {
	return g.Level == "sequence" || g.Level == "" && (g.Loss == "gspo" || g.Loss == "luspo")
}

// lossHasItsParameters reports parameters of other losses, cispo without its cap, and a dual clip that cuts where clip_high should.
func lossHasItsParameters(f *facts) {
	g := f.GRPO
	if g == nil || !f.sound("grpo", "grpo.loss") {
		return
	}
	if g.Loss == "cispo" && g.RatioCap == nil && f.sound("grpo.ratio_cap") {
		f.c.report(f.at("grpo.loss"), "grpo.ratio_cap", "write ratio_cap: 5, ScaleRL's",
			"is required: the loss is cispo, and a cap has no usual value")
	}
	is := "grpo.loss is " + g.Loss
	if g.Loss != "cispo" {
		f.idle(is+", and only cispo caps the ratio", "", "grpo.ratio_cap")
	}
	if g.Loss != "sapo" {
		f.idle(is+", and only sapo has a sigmoid", "", "grpo.tau_positive", "grpo.tau_negative")
	}
	switch {
	case g.Loss == "cispo" || g.Loss == "sapo":
		f.idle(is+", which does not clip", "", "grpo.clip_low", "grpo.clip_high", "grpo.clip_dual")
	case f.sound("grpo.clip_dual", "grpo.clip_high") && g.ClipDual > 0 && g.ClipDual < 1+g.ClipHigh:
		f.c.report(f.at("grpo.clip_dual"), "grpo.clip_dual", "",
			"got %g, want at least 1 + clip_high = %g: below that it would take the place of clip_high too", g.ClipDual, 1+g.ClipHigh)
	}
}

// levelFitsTheLoss keeps one name for one loss: a level that turns a loss into another one is a mistake.
func levelFitsTheLoss(f *facts) {
	g := f.GRPO
	if g == nil || !f.sound("grpo", "grpo.loss", "grpo.level") {
		return
	}
	switch at := f.at("grpo.level"); {
	case g.Loss == "gspo" && g.Level == "token":
		f.c.report(at, "grpo.level", `write loss: "grpo"`, "got token, and the loss is gspo, which is grpo with one ratio a completion")
	case g.Loss == "grpo" && g.Level == "sequence":
		f.c.report(at, "grpo.level", `write loss: "gspo"`, "got sequence, and the loss is grpo, which is then gspo")
	case g.Loss == "luspo" && g.Level == "token":
		f.c.report(at, "grpo.level", "leave level out", "got token, and the loss is luspo, which weights a completion's one ratio by its length: over tokens it is dr_grpo by another factor")
	}
}

// penaltyActs reports what contradicts the KL penalty: settings of one that is off, and those that would leave it without effect.
func penaltyActs(f *facts) {
	g := f.GRPO
	if g == nil || !f.sound("grpo", "grpo.kl") {
		return
	}
	if g.KL == 0 {
		f.idle("grpo.kl is 0", "", "grpo.kl_estimator", "grpo.kl_clamp", "grpo.kl_gradient", "grpo.kl_times_ratio", "grpo.kl_in",
			"grpo.reference_sync", "grpo.reference_mix")
		return
	}
	if !f.sound("grpo.kl_in", "grpo.kl_estimator", "grpo.kl_gradient", "grpo.kl_times_ratio", "grpo.kl_clamp", "grpo.loss") {
		return
	}
	if g.KLIn == "reward" {
		f.idle("grpo.kl_in is reward, and a reward has no gradient", "", "grpo.kl_gradient")
		f.idle("grpo.kl_in is reward, which is that of the policy that sampled: the ratio is 1", "", "grpo.kl_times_ratio")
		return
	}
	if g.KLEstimator == "k1" && g.KLGradient == "own" && !g.KLTimesRatio {
		f.c.report(f.at("grpo.kl_estimator"), "grpo.kl_estimator", `write kl_in: "reward", or kl_gradient: "k2"`,
			"got k1, whose gradient in the loss is 0 on average: nothing would hold the policy")
	}
	if g.KLEstimator == "k2" && g.KLClamp == 0 {
		f.idle("grpo.kl_estimator is k2, whose own gradient that is", "", "grpo.kl_gradient")
	}
	if g.KLTimesRatio && f.sound("grpo.level") && g.sequence() {
		f.c.report(f.at("grpo.kl_times_ratio"), "grpo.kl_times_ratio", "",
			"got true, and a completion has one ratio: the penalty is that of each token, whose own ratio it needs")
	}
}

// referenceFollows reports a reference that could never follow the policy, or a share that nothing mixes.
func referenceFollows(f *facts) {
	g := f.GRPO
	if g == nil || g.KL == 0 || !f.sound("grpo", "grpo.kl", "grpo.reference_sync") {
		return
	}
	if g.ReferenceSync == 0 {
		f.idle("grpo.reference_sync is 0: the reference stays", "", "grpo.reference_mix")
		return
	}
	if all := g.Steps * g.UpdatesPerStep(); f.sound("grpo.steps", "grpo.iterations", "grpo.minibatches") && g.ReferenceSync >= all {
		f.c.report(f.at("grpo.reference_sync"), "grpo.reference_sync", "",
			"got %d, want fewer than the run's %d updates: the reference would never follow", g.ReferenceSync, all)
	}
}

// minibatchesDivide wants whole groups in every update.
func minibatchesDivide(f *facts) {
	g := f.GRPO
	if g == nil || !f.sound("grpo", "grpo.batch_size", "grpo.group_size", "grpo.minibatches") || g.BatchSize%g.GroupSize != 0 {
		return
	}
	if prompts := g.BatchSize / g.GroupSize; prompts%g.Minibatches != 0 {
		f.c.report(f.at("grpo.minibatches", "grpo.batch_size"), "grpo.minibatches", "",
			"got %d, want a divisor of the %d prompts of a step (batch_size / group_size): an update has whole groups", g.Minibatches, prompts)
	}
}

// ratiosMove reports what could act on a ratio only, where all ratios are 1.
func ratiosMove(f *facts) {
	g := f.GRPO
	if g == nil || !f.sound("grpo", "grpo.loss", "grpo.iterations", "grpo.minibatches", "grpo.correction") || !g.onPolicy() {
		return
	}
	const because, hint = "each rollout gives one update, so that the ratio is 1 and nothing has moved", "write iterations: 2, or minibatches"
	f.idle(because, hint, "grpo.off_policy_drift")
	if g.Correction != "none" {
		return // dropout of adapters then stands between the two log-probabilities
	}
	switch g.Loss {
	case "cispo":
	case "sapo":
		f.idle(because, hint, "grpo.tau_positive", "grpo.tau_negative")
	default:
		f.idle(because, hint, "grpo.clip_low", "grpo.clip_high", "grpo.clip_dual")
	}
}

// tokensAreLeft reports an entropy mask that could leave no whole token.
func tokensAreLeft(f *facts) {
	g := f.GRPO
	if g == nil || !f.sound("grpo", "grpo.entropy_share", "grpo.batch_size", "grpo.minibatches") {
		return
	}
	if least := g.BatchSize / g.Minibatches; g.EntropyShare*float64(least) < 1 {
		f.c.report(f.at("grpo.entropy_share"), "grpo.entropy_share", fmt.Sprintf("at least 1/%d", least),
			"got %g, which of the %d tokens that an update may have is less than one", g.EntropyShare, least)
	}
}

// correctionIsARange reports bounds of no correction, and bounds that leave out the ratio 1 of equal probabilities.
func correctionIsARange(f *facts) {
	g := f.GRPO
	if g == nil || !f.sound("grpo", "grpo.correction", "grpo.correction_min", "grpo.correction_max") {
		return
	}
	if g.Correction == "none" {
		f.idle("grpo.correction is none", "", "grpo.correction_min", "grpo.correction_max")
		return
	}
	if g.CorrectionMin > 1 {
		f.c.report(f.at("grpo.correction_min"), "grpo.correction_min", "", "got %g, want at most 1: the ratio of equal probabilities would be outside", g.CorrectionMin)
	}
	if g.CorrectionMax < 1 {
		f.c.report(f.at("grpo.correction_max"), "grpo.correction_max", "", "got %g, want at least 1: the ratio of equal probabilities would be outside", g.CorrectionMax)
	}
}

// advantagesAreDefined reports contradictions within grpo.advantage.
func advantagesAreDefined(f *facts) {
	const block = "grpo.advantage"
	if f.GRPO == nil || !f.sound("grpo", block, block+".baseline", block+".combine", block+".scale", block+".flat") {
		return
	}
	a := f.GRPO.Advantage
	if a.Flat != "resample" {
		f.idle("grpo.advantage.flat is "+a.Flat, "", block+".resample_limit")
	}
	loo := a.Baseline == "leave_one_out"
	if a.Combine == "normalize_then_sum" {
		const because = "grpo.advantage.combine is normalize_then_sum, which normalises each component in its group and their sum over the batch"
		f.idle(because, "", block+".scale", block+".task_decay")
		if loo {
			f.c.report(f.at(block+".baseline"), block+".baseline", "", "is not used: %s", because)
		}
		if f.GRPO.KL > 0 && f.GRPO.KLIn == "reward" && f.sound("grpo.kl", "grpo.kl_in") {
			f.c.report(f.at("grpo.kl_in"), "grpo.kl_in", `write kl_in: "loss"`,
				"got reward beside advantage.combine normalize_then_sum: normalised like a reward, a penalty has lost its weight")
		}
		return
	}
	if loo && a.Scale == "group" {
		f.c.report(f.at(block+".baseline"), block+".baseline", `write scale: "none"`,
			"got leave_one_out beside scale group: divided by the group's deviation it is the mean's advantage times G/(G-1)")
	}
	if a.Scale != "task" {
		f.idle("grpo.advantage.scale is "+a.Scale, "", block+".task_decay")
	}
	switch a.Scale {
	case "none":
		f.idle("grpo.advantage.scale is none", "", block+".std", block+".std_eps")
	case "task":
		f.idle("grpo.advantage.scale is task, whose deviation is that of running moments", "", block+".std")
	}
}

// ratesReachAModule reports a learning rate of what does not train.
func ratesReachAModule(f *facts) {
	if !f.sound("policy", "policy.freeze", "policy.lora") {
		return
	}
	frozen := map[string]bool{}
	for _, m := range f.Policy.Freeze {
		frozen[m] = true
	}
	for _, block := range []string{"grpo", "sft"} {
		for _, m := range append([]string{"adapter"}, modules...) {
			switch path := block + ".module_rate." + m; {
			case m == "adapter" && f.Policy.LoRA == nil:
				f.idle("there is no policy.lora", "", path)
			case m != "adapter" && f.Policy.LoRA != nil:
				f.idle("policy.lora trains adapters alone", "", path)
			case frozen[m]:
				f.idle("policy.freeze has "+m, "", path)
			}
		}
	}
}
