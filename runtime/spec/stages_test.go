package spec

import (
	"slices"
	"strings"
	"testing"
)

// stagesOf loads an experiment with both blocks and returns its stages.
func stagesOf(t *testing.T, more ...string) []*Resolved {
	t.Helper()
	t.Chdir(workspace(t))
	write(t, "x.cue", `import "mixr.dev/schema"
experiment: schema.#Experiment & {
	name: "x"
	stage: "sft+grpo"
	policy: {from: "policy", init: "random", freeze: []}
	data: sources: a: {card: "card.cue", task: "yesno"}
	rewards: matching: {}
	sft: steps: 10
	grpo: {steps: 20, max_completion_tokens: 64}
}
`)
	f, mistakes := Load("x.cue", more)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	return f.Rungs[0].Stages()
}

// blocks are the first keys of a resolved experiment's leaves.
func blocks(r *Resolved) (out []string) {
	for _, l := range r.Leaves {
		block, _, _ := strings.Cut(l.Path, ".")
		if !slices.Contains(out, block) {
			out = append(out, block)
		}
	}
	return out
}

// agrees fails unless the leaves say what the experiment says.
func agrees(t *testing.T, r *Resolved) {
	t.Helper()
	now := values(r.Experiment)
	for _, l := range r.Leaves {
		if v, ok := now[l.Path]; ok && v != l.Value {
			t.Errorf("%s: the leaf says %s, the experiment %s", l.Path, l.Value, v)
		}
	}
	for path := range now {
		if !slices.ContainsFunc(r.Leaves, func(l Leaf) bool { return l.Path == path }) {
			t.Errorf("%s has no leaf", path)
		}
	}
}

func TestChainIsTwoExperiments(t *testing.T) {
	stages := stagesOf(t)
	if len(stages) != 2 {
		t.Fatalf("%d stages, want 2", len(stages))
	}
	sft, grpo := stages[0], stages[1]
	if e := sft.Experiment; e.Name != "x_sft" || e.Stage != "sft" || e.GRPO != nil || e.Policy.Init != "random" || slices.Contains(blocks(sft), "grpo") {
		t.Errorf("the first stage is %+v, blocks %v", e, blocks(sft))
	}
	if e := grpo.Experiment; e.Name != "x" || e.Stage != "grpo" || e.SFT != nil || e.Policy.Init != "weights" || slices.Contains(blocks(grpo), "sft") {
		t.Errorf("the second stage is %+v, blocks %v", e, blocks(grpo))
	}
	agrees(t, sft)
	agrees(t, grpo)
}

// What an evaluation is does not depend on how its file would train.
func TestEvaluationForgetsTraining(t *testing.T) {
	file := stagesOf(t, "stage=eval", "grpo.kl=0.1", "policy.recompute=true")[0]
	other := stagesOf(t, "grpo.max_completion_tokens=32", "eval.max_completion_tokens=64", "policy.lora={rank: 2}",
		`policy.freeze=["embedding"]`)[1].Evaluation("other")
	for _, r := range []*Resolved{file, other} {
		if e := r.Experiment; e.GRPO != nil || e.SFT != nil || e.Policy.LoRA != nil || e.Policy.Recompute || e.Eval.MaxCompletionTokens != 64 {
			t.Errorf("got %+v", e)
		}
		agrees(t, r)
	}
	other.Experiment.Policy.Init = "random" // the second stage of the chain starts from weights
	if a, b := Changed(file.Experiment, "name"), Changed(other.Experiment, "name"); string(a) != string(b) {
		t.Errorf("two evaluations of one policy differ:\n%s\n%s", a, b)
	}
	again := file.Stages()
	if len(again) != 1 || !again[0].equal(file) {
		t.Error("an evaluation changes when it is split once more")
	}
}
