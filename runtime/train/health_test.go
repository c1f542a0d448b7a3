package train

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// asked is a row of a data set that a test makes: what is asked, and what counts as right.
type asked struct {
	task, gold string
	choices    []string
}

// ask writes a data set whose rows all ask the same question, q0, of the tasks of train and test, and an experiment on it, NAME.cue: its
// sources are called as their task. more is CUE of the experiment.
func (w *world) ask(name string, train, test []asked, more string) {
	tasks := map[string]bool{}
	rows := func(questions []asked) string {
		var b strings.Builder
		for i, q := range questions {
			tasks[q.task] = true
			row := map[string]any{"id": fmt.Sprint(q.task, i), "task": q.task, "question": "q0", "answers": []string{q.gold}}
			if q.choices != nil {
				row["choices"] = q.choices
			}
			text, err := json.Marshal(row)
			check(w.t, err)
			fmt.Fprintf(&b, "%s\n", text)
		}
		return b.String()
	}
	w.write(name+"_train.jsonl", rows(train))
	splits := fmt.Sprintf("train: [%q]", name+"_train.jsonl")
	if test != nil {
		w.write(name+"_test.jsonl", rows(test))
		splits += fmt.Sprintf(", test: [%q]", name+"_test.jsonl")
	}
	var names, sources []string
	for _, task := range []string{"yesno", "mcq", "chart", "open"} {
		if tasks[task] {
			names = append(names, fmt.Sprintf("%q", task))
			sources = append(sources, fmt.Sprintf("%s: {card: %q, task: %q}", task, name+"_card.cue", task))
		}
	}
	w.write(name+"_card.cue", fmt.Sprintf(`import "mixr.dev/schema"
dataset: schema.#Dataset & {
	name: "made", title: "made", licence: "CC0-1.0", source: "made by a test"
	tasks: [%s]
	splits: {%s}
}
`, strings.Join(names, ", "), splits))
	w.write(name+".cue", fmt.Sprintf(`import "mixr.dev/schema"
experiment: schema.#Experiment & {
	name: %q
	policy: {from: *"policy" | _, init: *"random" | _, freeze: []}
	data: sources: {%s}
	prompt: templates: {yesno: "{question}", mcq: "{question}\n{choices}", chart: "{question}", open: "{question}"}
	grpo: {steps: 20, batch_size: 40, group_size: 20, max_completion_tokens: 1, learning_rate: 1e-2, kl: 0, warmup_frac: 0, monitors: {window: 3, noise: 2}}
	eval: {examples: *0 | _, max_completion_tokens: 1}
	%s
}
`, name, strings.Join(sources, ", "), more))
}

// found are the alerts of a run: name -> the steps at which it is there.
func found(t testing.TB, dir string) map[string][]int32 {
	t.Helper()
	out := map[string][]int32{}
	for _, m := range rowsOf[table.Metrics](t, dir) {
		if m.Alerts == nil {
			t.Fatalf("step %d: nobody looked", m.Step)
		}
		for i, name := range m.Alerts {
			out[name] = append(out[name], m.Step)
			if since := m.AlertSince[i]; since > m.Step || since < 1 || !slices.Contains(out[name], since) {
				t.Errorf("step %d: %s since step %d", m.Step, name, since)
			}
			if v := m.AlertValue[i]; math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("step %d: %s has value %v", m.Step, name, v)
			}
		}
	}
	return out
}

// Every monitor is provoked by a run that has what it looks for, and says nothing of one that has not.
func TestMonitorsAreProvoked(t *testing.T) {
	w := newWorld(t)
	yes, no := asked{task: "yesno", gold: "yes"}, asked{task: "yesno", gold: "no"}
	saysNo := func() string { // a policy that answers no
		w.ask("says_no", []asked{no}, nil, "rewards: {matching: {}}")
		dir := w.finished(w.open("says_no.cue", "grpo.steps=40", "grpo.batch_size=80"), Options{Workers: 2})
		if m := last2(rowsOf[table.Metrics](t, dir)); *m.RewardMean < 1 {
			t.Fatalf("the policy that is to say no earns %v", *m.RewardMean)
		}
		return "policy.from=" + filepath.Join(dir, "policy")
	}()
	const trained = "policy.init=weights"

	w.ask("yes", []asked{yes}, nil, "rewards: {matching: {}}")
	w.ask("open", []asked{{task: "open", gold: "red box"}}, nil, "rewards: {bmas: {}}")
	// All that is not an answer in form, letter by letter, is half right.
	w.ask("form", []asked{{task: "open", gold: "cfghijklmpqtuvwzCDEFGHIJKLMNOPQRSTUVWXYZ1356"}}, nil,
		`rewards: {extract: ["answer", "whole"], bmas: {weight: 0.001}, format: {weight: 10}}`)
	w.ask("against", []asked{no, {task: "chart", gold: "yes"}}, nil, `rewards: {matching: {}, chart: {}}
	data: sources: chart: weight: 3`)
	w.ask("held_out", slices.Repeat([]asked{yes}, 4), slices.Repeat([]asked{no}, 8), "rewards: {matching: {}}\n\teval: {examples: 8, every: 4}")

	for _, test := range []struct {
		monitor, where string
		file           string
		overrides      []string
		healthy        []string // overrides with which the monitor is quiet; nil: those of window 1000, with which nothing pools
	}{
		{monitor: "advantage_collapse", where: "yesno/yesno", file: "yes.cue", // nothing is ever boxed: all rewards are 0
			overrides: []string{`rewards.extract=["boxed"]`, `rewards.format.require="boxed"`, "grpo.steps=4"}, healthy: []string{"grpo.steps=4"}},
		{monitor: "bmas_saturation", where: "open/open", file: "open.cue", overrides: []string{"grpo.steps=24", "grpo.monitors.bmas_spread=0.05"},
			healthy: []string{"grpo.steps=6"}},
		{monitor: "format_overfitting", where: "open/open", file: "form.cue", healthy: []string{"rewards.format.weight=0", "rewards.bmas.weight=1"}},
		{monitor: "cross_task_interference", where: "yesno", file: "against.cue",
			overrides: []string{saysNo, trained, "grpo.monitors.interference_every=1", "grpo.batch_size=80", "grpo.learning_rate=3e-3"},
			healthy:   []string{saysNo, trained, "grpo.monitors.interference_every=1", "grpo.batch_size=80", "grpo.learning_rate=1e-9"}},
		{monitor: "length_drift", where: "yesno/yesno", file: "yes.cue",
			overrides: []string{"grpo.max_completion_tokens=12", "rewards.overlong={weight: 10, limit: 12, buffer: 12}", "grpo.monitors.noise=100"},
			healthy:   []string{"grpo.max_completion_tokens=12", "grpo.learning_rate=1e-9", "grpo.steps=8"}},
		{monitor: "repetition", where: "yesno/yesno", file: "yes.cue", overrides: []string{"grpo.temperature=0.02", "grpo.max_completion_tokens=32", "grpo.steps=3"},
			healthy: []string{"grpo.max_completion_tokens=32", "grpo.steps=3"}},
		{monitor: "one_answer", where: "yesno/yesno", file: "yes.cue", overrides: []string{saysNo, trained, "grpo.steps=3", "grpo.learning_rate=1e-9", "grpo.temperature=0.5"},
			healthy: []string{"grpo.steps=3"}},
		{monitor: "held_out_fall", file: "held_out.cue", overrides: []string{saysNo, trained}, healthy: []string{saysNo, trained, "grpo.learning_rate=1e-9"}},
		{monitor: "kl_excursion", file: "yes.cue", overrides: []string{"grpo.kl=1e-6", "grpo.learning_rate=5e-2", "grpo.max_completion_tokens=4"},
			healthy: []string{"grpo.kl=1e-6", "grpo.learning_rate=1e-4", "grpo.max_completion_tokens=4"}},
		{monitor: "entropy_excursion", file: "yes.cue", healthy: []string{"grpo.learning_rate=1e-4"}},
		{monitor: "truncation", where: "yesno/yesno", file: "yes.cue", overrides: []string{"grpo.max_completion_tokens=2", "grpo.steps=3"},
			healthy: []string{"grpo.max_completion_tokens=100", "grpo.steps=3"}},
	} {
		t.Run(test.monitor, func(t *testing.T) {
			w := &world{t, w.dir}
			name := strings.TrimSpace(test.monitor + " " + test.where)
			sick := found(t, w.finished(w.open(test.file, test.overrides...), Options{Workers: 2}))
			t.Logf("found: %v", sick)
			if len(sick[name]) == 0 {
				t.Errorf("%s was not found", name)
			}
			if well := found(t, w.finished(w.open(test.file, test.healthy...), Options{Workers: 2})); len(well[name]) > 0 {
				t.Errorf("%s is found in a run without it, at steps %v", name, well[name])
			}
			if !slices.Contains(spec.Monitors, test.monitor) {
				t.Errorf("the schema has no monitor %s", test.monitor)
			}
		})
	}
}

func last2[T any](v []T) T { return v[len(v)-1] }
