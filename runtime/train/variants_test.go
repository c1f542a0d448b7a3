package train

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// A variant is a choice of fields that takes a path of its own through a step. layered ones have the same under policy.recompute.
var variants = []struct {
	name, set string
}{
	{"base", ""},
	{"bnpo", `grpo.loss="bnpo"`},
	{"dr_grpo", `grpo.loss="dr_grpo"`},
	{"dapo", `grpo.loss="dapo" grpo.clip_high=0.28 grpo.minibatches=2`},
	{"gspo", `grpo.loss="gspo" grpo.clip_low=3e-4 grpo.clip_high=4e-4`},
	{"gspo layered", `grpo.loss="gspo" policy.recompute=true`},
	{"gspo dropout", `grpo.loss="gspo" policy.lora={rank:4,dropout:0.2}`},
	{"gspo layered dropout", `grpo.loss="gspo" policy.recompute=true policy.lora={rank:4,dropout:0.2}`},
	{"cispo", `grpo.loss="cispo" grpo.ratio_cap=1.01`},
	{"sapo", `grpo.loss="sapo" grpo.tau_positive=3`},
	{"luspo", `grpo.loss="luspo"`},
	{"dapo by row", `grpo.loss="dapo" grpo.level="sequence"`},
	{"dual clip", `grpo.clip_dual=1.3`},
	{"k1 in reward", `grpo.kl_in="reward" grpo.kl_estimator="k1"`},
	{"k1 times ratio", `grpo.kl_estimator="k1" grpo.kl_times_ratio=true`},
	{"k3 clamped", `grpo.kl_clamp=1e-6`},
	{"k3 with k2's gradient", `grpo.kl_gradient="k2"`},
	{"abs", `grpo.kl_estimator="abs"`},
	{"synced reference", `grpo.reference_sync=1 grpo.reference_mix=0.5`},
	{"synced reference of adapters", `grpo.reference_sync=1 policy.lora={rank:4}`},
	{"minibatches", `grpo.minibatches=4 grpo.iterations=1`},
	{"entropy bonus", `grpo.entropy_bonus=0.01`},
	{"entropy share", `grpo.entropy_share=0.3`},
	{"entropy share layered", `grpo.entropy_share=0.3 policy.recompute=true grpo.minibatches=2`},
	{"truncated masked", `grpo.truncated="mask"`},
	{"token correction", `grpo.correction="token_truncate" grpo.correction_max=1`},
	{"row correction", `grpo.correction="sequence_mask" grpo.correction_min=0.9999999 grpo.correction_max=1.0000001 grpo.iterations=1`},
	{"drift", `grpo.off_policy_drift=1e-6`},
	{"drift layered", `grpo.off_policy_drift=1e-6 policy.recompute=true grpo.loss="gspo"`},
	{"leave one out", `grpo.advantage.baseline="leave_one_out" grpo.advantage.scale="none"`},
	{"batch", `grpo.advantage.scale="batch" grpo.advantage.std="population"`},
	{"gdpo", `grpo.advantage.combine="normalize_then_sum"`},
	{"running deviation", `grpo.advantage.scale="task" grpo.advantage.task_decay=0.5`},
	{"flat dropped", `grpo.advantage.flat="drop" grpo.minibatches=2 ` + mostlyFlat},
	{"flat resampled", `grpo.advantage.flat="resample" ` + mostlyFlat},
	{"flat resampled to the end", `grpo.advantage.flat="resample" grpo.advantage.resample_limit=2 rewards.format.weight=0 grpo.max_completion_tokens=1`},
	{"filters", `grpo.top_k=40 grpo.top_p=0.9 grpo.min_p=0.01 grpo.repetition_penalty=1.2`},
	{"stop", `grpo.stop=["e","answer"] grpo.task_tokens={yesno:3,chart:5}`},
}

// mostlyFlat makes completions so short, and groups so small, that many groups have equal rewards.
const mostlyFlat = `grpo.max_completion_tokens=3 grpo.group_size=2 grpo.batch_size=8`

// overrides splits the fields of a variant, which have no spaces inside.
func overrides(set string) []string { return append([]string{frozen}, strings.Fields(set)...) }

// variantBase is what the variants are laid over: four prompts a step, two passes.
func (w *world) variant(set string) *Inputs {
	base := []string{"grpo.steps=2", "grpo.batch_size=16", "grpo.iterations=2", "grpo.max_completion_tokens=6", "grpo.learning_rate=3e-3",
		"eval.examples=0", "checkpoint.every=1"}
	return w.open("tiny.cue", append(base, overrides(set)...)...)
}

// TestVariantsAreDeterministic runs every variant on one worker with one gradient in flight, and again on three with as many as there
// are, stopped after its first step and taken up by two: the tables and the policy must have the same bytes. And each must differ from the
// others: an option that nobody reads would pass the first half.
func TestVariantsAreDeterministic(t *testing.T) {
	w := newWorld(t)
	seen := map[string]string{}
	for _, v := range variants {
		in := w.variant(v.set)
		dir := w.finished(in, Options{Workers: 1, InFlight: 1})
		want := results(t, dir)
		key := string(want["policy/model.safetensors"]) + string(want["metrics.parquet"])
		if other, ok := seen[key]; ok {
			t.Errorf("%s gives what %s gives", v.name, other)
		}
		seen[key] = v.name

		again := filepath.Join(t.TempDir(), "run")
		ctx, cancel := context.WithCancel(t.Context())
		err := w.run(ctx, in, again, Options{Workers: 3, InFlight: 8, Progress: func(e Event) {
			if e.Phase == "train" && e.Done == 1 {
				cancel()
			}
		}})
		cancel()
		var stopped *Interrupted
		if !errors.As(err, &stopped) && err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if err != nil { // else the last step was under way already
			check(t, w.run(t.Context(), in, again, Options{Workers: 2}))
		}
		sameResults(t, v.name, results(t, again), want)
	}
}
