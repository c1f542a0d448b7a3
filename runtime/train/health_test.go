package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/grpo"
	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// quiz is a row of a data set that a test makes: what is asked, and what counts as right.
type quiz struct {
	task, gold string
	choices    []string
}

// ask writes a data set whose rows all ask the same question, q0, of the tasks of train and test, and an experiment on it, NAME.cue: its
// sources are called as their task. more is CUE of the experiment.
func (w *world) ask(name string, train, test []quiz, more string) {
	tasks := map[string]bool{}
	rows := func(split string, questions []quiz) string {
		var b strings.Builder
		for i, q := range questions {
			tasks[q.task] = true
			row := map[string]any{"id": fmt.Sprint(split, i), "task": q.task, "question": "q0", "answers": []string{q.gold}}
			if q.choices != nil {
				row["choices"] = q.choices
			}
			text, err := json.Marshal(row)
			check(w.t, err)
			fmt.Fprintf(&b, "%s\n", text)
		}
		return b.String()
	}
	w.write(name+"_train.jsonl", rows("train", train))
	splits := fmt.Sprintf("train: [%q]", name+"_train.jsonl")
	if test != nil {
		w.write(name+"_test.jsonl", rows("test", test))
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
	grpo: {steps: 20, batch_size: 40, group_size: 20, max_completion_tokens: 1, learning_rate: 2e-2, kl: 0, warmup_frac: 0, monitors: {window: 3, noise: 2}}
	eval: {examples: *0 | _, max_completion_tokens: 1}
	%s
}
`, name, strings.Join(sources, ", "), more))
}

// learned trains a policy until it earns so much, which leaves something to learn. It returns the override that starts from it.
func (w *world) learned(file, earns string) string {
	w.t.Helper()
	dir := w.finished(w.open(file, "grpo.steps=60", "grpo.batch_size=80", "stop_when=[{metric: \"reward_mean\", above: "+earns+"}]"), Options{Workers: 2})
	if rows := rowsOf[table.Metrics](w.t, dir); len(rows) == 60 {
		w.t.Fatalf("%s: the policy earns %v after 60 steps, want %s", file, *rows[59].RewardMean, earns)
	}
	return "policy.from=" + filepath.Join(dir, "policy")
}

// trained is the override that goes with learned.
const trained = "policy.init=weights"

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
	yes, no := quiz{task: "yesno", gold: "yes"}, quiz{task: "yesno", gold: "no"}
	w.ask("says_no", []quiz{no}, nil, "rewards: {matching: {}}")
	saysNo := w.learned("says_no.cue", "1")
	w.ask("yes", []quiz{yes}, nil, "rewards: {matching: {}}")
	w.ask("open", []quiz{{task: "open", gold: "red box"}}, nil, "rewards: {bmas: {}}")
	// One digit alone is right, and no answer in form is.
	w.ask("digits", []quiz{{task: "chart", gold: "3"}}, nil, `rewards: {extract: ["answer", "whole"], chart: tolerance: 0.9, format: weight: *0 | _}`)
	digits := w.learned("digits.cue", "0.3")
	w.ask("against", []quiz{no, {task: "chart", gold: "yes"}}, nil, `rewards: {matching: {}, chart: {}}
	data: sources: chart: weight: 3`)
	w.ask("held_out", slices.Repeat([]quiz{yes}, 4), slices.Repeat([]quiz{no}, 8), "rewards: {matching: {}}\n\teval: {examples: 8, every: 4}")

	for _, test := range []struct {
		monitor, where string
		file           string
		overrides      []string
		healthy        []string // overrides with which the monitor is quiet
	}{
		{monitor: "advantage_collapse", where: "yesno/yesno", file: "yes.cue", // nothing is ever boxed: all rewards are 0
			overrides: []string{`rewards.extract=["boxed"]`, `rewards.format.require="boxed"`, "grpo.steps=4"}, healthy: []string{"grpo.steps=4"}},
		{monitor: "bmas_saturation", where: "open/open", file: "open.cue", overrides: []string{"grpo.steps=48", "grpo.batch_size=80", "grpo.group_size=40", "grpo.learning_rate=1e-2"},
			healthy: []string{"grpo.steps=6"}},
		{monitor: "format_overfitting", where: "chart/chart", file: "digits.cue",
			overrides: []string{digits, trained, "rewards.chart.weight=1e-9", "rewards.format.weight=10", "grpo.advantage.std_eps=1", // the digits teach nothing
				"grpo.batch_size=80", "grpo.group_size=40",
				"grpo.monitors.noise=0.5"}, // the first window has the whole fall in it
			healthy: []string{digits, trained, "grpo.steps=8"}},
		{monitor: "cross_task_interference", where: "yesno", file: "against.cue",
			overrides: []string{saysNo, trained, "grpo.monitors.interference_every=1", "grpo.batch_size=80", "grpo.learning_rate=8e-3", "grpo.monitors.noise=1"},
			healthy:   []string{saysNo, trained, "grpo.monitors.interference_every=1", "grpo.batch_size=80", "grpo.learning_rate=1e-9", "grpo.steps=10"}},
		{monitor: "length_drift", where: "yesno/yesno", file: "yes.cue",
			overrides: []string{"grpo.max_completion_tokens=12", "rewards.overlong={weight: 10, limit: 12, buffer: 12}", "grpo.monitors.noise=100"},
			healthy:   []string{"grpo.max_completion_tokens=12", "grpo.learning_rate=1e-9", "grpo.steps=8"}},
		{monitor: "repetition", where: "yesno/yesno", file: "yes.cue", overrides: []string{"grpo.temperature=0.02", "grpo.max_completion_tokens=32", "grpo.steps=3"},
			healthy: []string{"grpo.max_completion_tokens=32", "grpo.steps=3"}},
		{monitor: "one_answer", where: "yesno/yesno", file: "yes.cue", overrides: []string{saysNo, trained, "grpo.steps=3", "grpo.learning_rate=1e-9", "grpo.temperature=0.5"},
			healthy: []string{"grpo.steps=3"}},
		{monitor: "held_out_fall", file: "held_out.cue", overrides: []string{saysNo, trained}, healthy: []string{saysNo, trained, "grpo.learning_rate=1e-9", "grpo.steps=10"}},
		{monitor: "kl_excursion", file: "yes.cue", overrides: []string{"grpo.kl=1e-6", "grpo.learning_rate=5e-2", "grpo.max_completion_tokens=4"},
			healthy: []string{"grpo.kl=1e-6", "grpo.learning_rate=1e-4", "grpo.max_completion_tokens=4", "grpo.steps=6"}},
		{monitor: "entropy_excursion", file: "yes.cue", overrides: []string{"grpo.learning_rate=5e-2"}, healthy: []string{"grpo.learning_rate=1e-4", "grpo.steps=8"}},
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

// Two tasks that want opposite answers to one question have gradients against each other. Their norms and cosine make the norm of the
// update's gradient, to the sketch's error, and measuring them changes no bit of the policy.
func TestTaskGradients(t *testing.T) {
	w := newWorld(t)
	no := quiz{task: "yesno", gold: "no"}
	w.ask("says_no", []quiz{no}, nil, "rewards: {matching: {}}")
	saysNo := w.learned("says_no.cue", "1")
	w.ask("against", []quiz{no, {task: "chart", gold: "yes"}}, nil, "rewards: {matching: {}, chart: {}, format: weight: 0}")
	run := func(every string, more ...string) string {
		more = append(more, saysNo, trained, "grpo.batch_size=80", "grpo.steps=4", "grpo.monitors.interference_every="+every)
		return w.finished(w.open("against.cue", more...), Options{Workers: 2})
	}
	dir := run("2")
	got := map[int32]map[string]float64{}
	for _, s := range rowsOf[table.Slice](t, dir) {
		if s.Source != "" {
			continue
		}
		if got[s.Step] == nil {
			got[s.Step] = map[string]float64{}
		}
		got[s.Step][s.Task+" "+s.Component] = *s.Mean
		if s.N != 2 { // groups of the task in a step
			t.Errorf("step %d: %s %s is of %d groups, want 2", s.Step, s.Task, s.Component, s.N)
		}
	}
	for _, m := range rowsOf[table.Metrics](t, dir) {
		g, measured := got[m.Step]
		if measured != (m.Step%2 == 1) {
			t.Errorf("step %d: measured %v, want every other step from the first", m.Step, measured)
		}
		if !measured {
			continue
		}
		a, b, cos := g["chart grad_norm"], g["yesno grad_norm"], g["yesno grad_cos_chart"]
		if cos >= 0 || cos < -1 || cos != g["chart grad_cos_yesno"] {
			t.Errorf("step %d: the cosine is %v, and %v the other way round: want one below 0", m.Step, cos, g["chart grad_cos_yesno"])
		}
		if whole := math.Sqrt(a*a + b*b + 2*a*b*cos); math.Abs(whole / *m.GradNorm - 1) > 0.02 { // three standard errors of the sketch
			t.Errorf("step %d: norms %v and %v with cosine %v make %v, the update has %v", m.Step, a, b, cos, whole, *m.GradNorm)
		}
		if left := 1 + cos*b/a; math.Abs(left-g["chart grad_left"]) > 1e-9*(1+math.Abs(left)) {
			t.Errorf("step %d: %v of chart's descent is left, want %v", m.Step, g["chart grad_left"], left)
		}
	}
	for _, more := range [][]string{{"policy.recompute=true"}, {frozen, "policy.lora={rank: 2}"}} { // gradients that come from elsewhere, and exact ones
		dir, norm, left := run("1", more...), map[string]float64{}, map[string]float64{}
		for _, s := range rowsOf[table.Slice](t, dir) {
			switch {
			case s.Step == 1 && s.Component == "grad_norm":
				norm[s.Task] = *s.Mean
			case s.Step == 1 && s.Component == "grad_left":
				left[s.Task] = *s.Mean
			}
		}
		a, b := norm["chart"], norm["yesno"]
		whole := math.Sqrt(a*a*left["chart"] + b*b*left["yesno"])
		if want := *rowsOf[table.Metrics](t, dir)[0].GradNorm; whole == 0 || math.Abs(whole/want-1) > 0.02 {
			t.Errorf("%v: the tasks' gradients make a norm of %v, the update has %v", more, whole, want)
		}
	}
	want := results(t, dir)["policy/model.safetensors"]
	for _, other := range []string{run("0"), run("1")} {
		if !bytes.Equal(results(t, other)["policy/model.safetensors"], want) {
			t.Error("measuring gradients changes the policy")
		}
	}
	// With two passes of two minibatches the first pass is measured: each group once.
	for _, s := range rowsOf[table.Slice](t, run("1", "grpo.iterations=2", "grpo.minibatches=2")) {
		if s.Component == "grad_norm" && s.N != 2 {
			t.Errorf("step %d: %s is of %d groups, want 2", s.Step, s.Task, s.N)
		}
	}
}

// A sketch keeps dot products on average, and as they are where everything fits.
func TestSketch(t *testing.T) {
	n := 3 * sketchSize
	a, b := make([]float64, n), make([]float64, n)
	dot, aa, bb := 0.0, 0.0, 0.0
	for i := range a {
		a[i] = float64(grpo.Uniform(1, "a", 0, i)) - 0.5
		b[i] = float64(grpo.Uniform(1, "b", 0, i)) - 0.5 + a[i]/2
		dot, aa, bb = dot+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	sketch := func(v []float64) []float64 {
		out := make([]float64, sketchSize)
		for i, x := range v {
			cell, sign := hashed(uint64(i))
			out[cell] += sign * x
		}
		return out
	}
	sa, sb := sketch(a), sketch(b)
	got := 0.0
	for i := range sa {
		got += sa[i] * sb[i]
	}
	if scale := math.Sqrt(aa * bb); math.Abs(got-dot) > 3*math.Sqrt(2.0/sketchSize)*scale {
		t.Errorf("dot product %v of the sketches, %v of the vectors, product of the norms %v", got, dot, scale)
	}
}

// A run that is stopped after every step finds what one that is left alone finds: windows, gradients and evaluations are kept.
func TestMonitorsSurviveRestarts(t *testing.T) {
	w := newWorld(t)
	w.ask("held_out", []quiz{{task: "yesno", gold: "yes"}, {task: "chart", gold: "no"}},
		[]quiz{{task: "yesno", gold: "no"}, {task: "yesno", gold: "no"}, {task: "chart", gold: "no"}, {task: "chart", gold: "no"}},
		"rewards: {matching: {}, chart: {}}\n\teval: {examples: 2, every: 3, samples: 4, temperature: 1}")
	in := w.open("held_out.cue", "grpo.steps=9", "grpo.monitors={window: 2, interference_every: 2, advantage_collapse: 0.01}", "checkpoint.every=4")
	whole := w.finished(in, Options{})
	if len(found(t, whole)) == 0 {
		t.Fatal("nothing is found")
	}
	dir := filepath.Join(t.TempDir(), "run")
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithCancel(t.Context())
		err := w.run(ctx, in, dir, Options{Workers: 1 + attempt%2, Progress: func(e Event) {
			if e.Phase == "train" {
				cancel()
			}
		}})
		cancel()
		if err == nil {
			t.Logf("%d attempts", attempt)
			break
		}
		if !errors.As(err, new(*Interrupted)) {
			t.Fatal(err)
		}
	}
	sameResults(t, "stopped after every step", results(t, dir), results(t, whole))
}
