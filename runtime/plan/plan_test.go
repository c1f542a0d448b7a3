package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/spec"
)

const experiment = `import "mixr.dev/schema"

experiment: schema.#Experiment & {
	name: "x"
	policy: from: "policy"
	data: sources: a: {card: "card.cue", task: "yesno"}
	data: sources: b: {card: "card.cue", task: "chart"}
	rewards: {matching: {}, chart: {}}
	grpo: {steps: 10, kl: 0.04}
}
`

const study = `import "mixr.dev/schema"

study: schema.#Study & {
	name: "s"
	base: {
		policy: from: "policy"
		data: sources: a: {card: "card.cue", task: "yesno"}
		rewards: matching: {}
		grpo: steps: 10
	}
	ladder: [
		{name: "+kl", patch: grpo: kl: 0.1},
		{name: "+often", patch: checkpoint: every: 5},
		{name: "+card", patch: data: sources: a: card: "card2.cue"},
	]
	seeds: [1, 2]
}
`

func load(t *testing.T, text string, overrides ...string) *spec.File {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"x.cue": text, "card.cue": "", "card2.cue": "", "policy/config.json": "{}", "other/config.json": "{}"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	f, mistakes := spec.Load("x.cue", overrides)
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	return f
}

func one(t *testing.T, text string, overrides ...string) Trial {
	t.Helper()
	trials := Expand(load(t, text, overrides...))
	if len(trials) != 1 {
		t.Fatalf("%d trials", len(trials))
	}
	return trials[0]
}

func TestExpandExperiment(t *testing.T) {
	trial := one(t, experiment)
	if trial.Name != "x" || trial.Seed != 1 || trial.Labels["experiment"] != "x" || trial.Labels["seed"] != "1" || trial.Changes != nil {
		t.Errorf("%+v", trial)
	}
}

func TestExpandStudy(t *testing.T) {
	var got []string
	for _, trial := range Expand(load(t, study)) {
		if trial.Seed != trial.Experiment.Seed || trial.Experiment != trial.Resolved.Experiment {
			t.Errorf("%s: seeds or experiments disagree", trial.Name)
		}
		got = append(got, fmt.Sprint(trial.Name, " ", trial.Changes, " ", trial.Also))
	}
	want := []string{ // +often decides nothing, so it shares the runs of +kl; +card may be other data, so it does not
		`s/base/seed-1 [] []`,
		`s/base/seed-2 [] []`,
		`s/+kl/seed-1 [grpo.kl 0.04 -> 0.1] [s/+often/seed-1]`,
		`s/+kl/seed-2 [grpo.kl 0.04 -> 0.1] [s/+often/seed-2]`,
		`s/+card/seed-1 [data.sources.a.card "card.cue" -> "card2.cue"] []`,
		`s/+card/seed-2 [data.sources.a.card "card.cue" -> "card2.cue"] []`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Rungs that warm up alike share the warm-up; one that warms up otherwise does not, and then shares nothing behind it either.
func TestExpandChain(t *testing.T) {
	text := strings.Replace(study, "grpo: steps: 10", "stage: \"sft+grpo\"\n\t\tsft: steps: 5\n\t\tgrpo: steps: 10", 1)
	text = strings.Replace(text, `{name: "+card"`, `{name: "+longer", patch: sft: steps: 6},
		{name: "+card"`, 1)
	trials := Expand(load(t, text))
	var got []string
	for _, trial := range trials {
		if trial.Seed != 1 {
			continue // as of seed 1, which what follows holds to
		}
		if trial.Labels["study"] != "s" || !strings.Contains(trial.Name, "/"+trial.Labels["rung"]+"/") || trial.Labels["seed"] != "1" {
			t.Errorf("%s: labels %v", trial.Name, trial.Labels)
		}
		got = append(got, fmt.Sprint(trial.Name, " ", trial.Experiment.Stage, " after [", trial.After, "] ", trial.Also))
	}
	want := []string{
		`s_sft/base/seed-1 sft after [] [s_sft/+kl/seed-1 s_sft/+often/seed-1]`,
		`s/base/seed-1 grpo after [s_sft/base/seed-1] []`,
		`s/+kl/seed-1 grpo after [s_sft/base/seed-1] [s/+often/seed-1]`,
		`s_sft/+longer/seed-1 sft after [] []`,
		`s/+longer/seed-1 grpo after [s_sft/+longer/seed-1] []`,
		`s_sft/+card/seed-1 sft after [] []`,
		`s/+card/seed-1 grpo after [s_sft/+card/seed-1] []`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(trials) != 2*len(want) {
		t.Errorf("%d trials of two seeds, want %d", len(trials), 2*len(want))
	}

	// A trial that is asked for brings what it starts from, which may be another rung's.
	found, err := Find(trials, []string{"s/+kl/seed-2"})
	if err != nil || len(found) != 2 || found[0].Name != "s_sft/base/seed-2" || found[1].Name != "s/+kl/seed-2" {
		t.Errorf("found %v, %v", found, err)
	}
	if found, err = Find(trials, []string{"s_sft/+longer/seed-1"}); err != nil || len(found) != 1 {
		t.Errorf("a first stage brings %d trials, %v", len(found), err)
	}
}

func TestFind(t *testing.T) {
	trials := Expand(load(t, study))
	for name, want := range map[string]int{"s/base/seed-1": 1, "+kl/seed-2": 1, "seed-1": 3, "kl/seed-2": 0, "nope": 0} {
		found, err := Find(trials, []string{name})
		if len(found) != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d trials, %v", name, len(found), err)
		}
	}
	if found, err := Find(trials, []string{"seed-1", "base/seed-1"}); err != nil || len(found) != 3 {
		t.Errorf("a trial named twice counts once: %d, %v", len(found), err)
	}
}

var parts = Parts{Data: map[string]string{"a": "d1", "b": "d2"}, Weights: "w", Numerics: "n1"}

// What does not decide a result leaves the identity as it was.
func TestFingerprintIsInvariant(t *testing.T) {
	want := Identify(one(t, experiment).Experiment, parts)
	for name, text := range map[string]string{
		"comments":      "// why\n" + strings.ReplaceAll(experiment, "\tgrpo", "\t// kl\n\tgrpo"),
		"name":          strings.Replace(experiment, `"x"`, `"y"`, 1),
		"notes":         strings.Replace(experiment, `name: "x"`, "name: \"x\"\n\tnotes: \"n\"", 1),
		"order of keys": strings.Replace(strings.Replace(experiment, "\tgrpo: {steps: 10, kl: 0.04}\n", "", 1), `name: "x"`, "grpo: {kl: 0.04, steps: 10}\n\tname: \"x\"", 1),
		"spelling":      strings.Replace(experiment, "0.04", "4.0e-2", 1),
		"a default":     strings.Replace(experiment, "kl: 0.04", "group_size: 8", 1),
		"path of data":  strings.ReplaceAll(experiment, "card.cue", "card2.cue"),
		"path of model": strings.Replace(experiment, `from: "policy"`, `from: "other"`, 1),
		"stop rules":    strings.Replace(experiment, `name: "x"`, "name: \"x\"\n\tstop_when: [{metric: \"kl\", above: 1}]", 1),
		"pass@k":        strings.Replace(experiment, `name: "x"`, "name: \"x\"\n\teval: {pass_k: [1]}", 1),
		"checkpoints":   strings.Replace(experiment, `name: "x"`, "name: \"x\"\n\tcheckpoint: every: 7", 1),
		"the language":  strings.Replace(experiment, "steps: 10", "steps: 2 * 5", 1),
	} {
		if text == experiment {
			t.Fatalf("%s: the case changes nothing", name)
		}
		if got := Identify(one(t, text).Experiment, parts); got != want {
			t.Errorf("%s: the fingerprint is another: %+v", name, got)
		}
	}
}

// Every value of the experiment but those decides.
func TestFingerprintIsSensitive(t *testing.T) {
	base := one(t, experiment).Experiment
	want := Identify(base, parts)
	for _, override := range []string{"seed=2", "grpo.kl=0.05", "grpo.steps=11", "grpo.loss=dapo", "grpo.advantage.std=population", "grpo.adam_eps=1e-7",
		"rewards.format.weight=0.1", "rewards.chart.tolerance=0.1", "data.sources.a.weight=2", "data.sources.a.limit=5", "prompt.max_pixels=3136",
		"prompt.templates.yesno={question}", "policy.init=random", "policy.freeze=[]", "eval.examples=1", "eval.every=2", "route.open=text", "eval.max_completion_tokens=9"} {
		got := Identify(one(t, experiment, override).Experiment, parts)
		if got.Spec == want.Spec || got.All == want.All || got.Data != want.Data {
			t.Errorf("%s: %+v", override, got)
		}
	}
	for name, other := range map[string]Parts{
		"data":    {Data: map[string]string{"a": "d1", "b": "d3"}, Weights: "w", Numerics: "n1"},
		"swapped": {Data: map[string]string{"a": "d2", "b": "d1"}, Weights: "w", Numerics: "n1"},
		"weights": {Data: parts.Data, Weights: "w2", Numerics: "n1"},
		"engine":  {Data: parts.Data, Weights: "w", Numerics: "n2"},
	} {
		if got := Identify(base, other); got.All == want.All || got.Spec != want.Spec {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if want.Short() != want.All[:12] || len(want.All) != 64 {
		t.Errorf("%+v", want)
	}
}

// The fingerprint of a fixed experiment is a promise to every run folder there is: a change here makes all of them new.
func TestFingerprintIsStable(t *testing.T) {
	const want = "370f761e006e6a0a8ed04526cf25ca3edc0a7f1bca69f6409f4876ee6b39bfc7"
	if got := Identify(one(t, experiment).Experiment, parts); got.All != want {
		t.Errorf("got %s, want %s; identity %s", got.All, want, identity(one(t, experiment).Experiment))
	}
}

// A stopped run is done while the rule that stopped it is there, and goes on when it is not.
func TestWhyOfStopped(t *testing.T) {
	const rule = "stop_when=[{metric: \"loss\", above: 9}, {metric: \"kl\", above: 0.5, for: 3}]"
	run := Past{Run: "r", Trial: "x", State: Stopped, Step: 4, Steps: 10, Rule: "kl above 0.5 for 3 steps"}
	for override, want := range map[string]string{
		rule:                                 "done: stopped at step 4 of 10: kl above 0.5 for 3 steps",
		strings.Replace(rule, "3", "4", 1):   "resume: goes on at step 4 of 10: the rule that stopped it is gone (kl above 0.5 for 3 steps)",
		"stop_when=[]":                       "resume: goes on at step 4 of 10: the rule that stopped it is gone (kl above 0.5 for 3 steps)",
		strings.Replace(rule, "0.5", "5", 1): "resume: goes on at step 4 of 10: the rule that stopped it is gone (kl above 0.5 for 3 steps)",
	} {
		trial := one(t, experiment, override)
		run.Fingerprint = Identify(trial.Experiment, parts)
		got := Why(trial, run.Fingerprint, []Past{run})
		if text := string(got.Kind) + ": " + got.Text; text != want || got.Run != "r" {
			t.Errorf("%s: got %q, want %q", override, text, want)
		}
	}
}

func TestWhy(t *testing.T) {
	trial := one(t, experiment, "grpo.kl=0.1")
	now := Identify(trial.Experiment, parts)
	before := one(t, experiment)
	then := Identify(before.Experiment, parts)
	elsewhere := Identify(trial.Experiment, Parts{Data: map[string]string{"a": "d9"}, Weights: "w9", Numerics: "n1"})
	past := func(p Past) Past { p.Run, p.Trial = "r", "x"; return p }
	for want, runs := range map[string][]Past{
		"new: new":                                                nil,
		"done: done":                                              {past(Past{Fingerprint: now, State: Failed}), past(Past{Fingerprint: now, State: Done}), past(Past{Fingerprint: now, State: Incomplete})},
		"changed: grpo.kl 0.04 -> 0.1":                            {past(Past{Fingerprint: then, Experiment: before.Experiment, State: Done})},
		"changed: spec changed":                                   {past(Past{Fingerprint: then, State: Done})},
		"changed: data changed, weights changed":                  {past(Past{Fingerprint: elsewhere, Experiment: trial.Experiment, State: Done})},
		"resume: incomplete: resumes at step 40 of 60":            {past(Past{Fingerprint: now, State: Incomplete, Step: 40, Steps: 60})},
		"resume: incomplete: no checkpoint yet, starts at step 0": {past(Past{Fingerprint: now, State: Incomplete, Steps: 60})},
		"retry: failed before: loss is NaN":                       {past(Past{Fingerprint: now, State: Failed, Error: "loss is NaN"})},
	} {
		got := Why(trial, now, runs)
		if text := string(got.Kind) + ": " + got.Text; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
		if (got.Run == "") != (runs == nil) {
			t.Errorf("%s: run %q", want, got.Run)
		}
	}
	other := Past{Run: "r", Trial: "y", Fingerprint: then, Experiment: before.Experiment, State: Done}
	if got := Why(trial, now, []Past{other}); got.Kind != New {
		t.Errorf("a run of another trial is compared with: %+v", got)
	}
	if got := Why(before, then, []Past{other}); got.Kind != Skip {
		t.Errorf("a run of another name with this fingerprint is done: %+v", got)
	}
}
