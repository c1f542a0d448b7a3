package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mixr/runtime/ort/orttest"
	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// watched are the overrides of the runs of this file: evaluations of several samples and a greedy completion in every step.
var watched = []string{"grpo.steps=5", "checkpoint.every=3", "eval.every=1", "eval.samples=3", "eval.temperature=1", "eval.greedy=true"}

func (w *world) watched(more ...string) *Inputs {
	return w.open("tiny.cue", append(slices.Clone(watched), more...)...)
}

// policyOf is the policy that a run left.
func policyOf(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, PolicyFolder, policyWeights))
	check(t, err)
	return b
}

func manifestOf(t *testing.T, dir string) table.Manifest {
	t.Helper()
	m, err := table.ReadManifest(dir)
	check(t, err)
	return m
}

// An evaluation on the way is that of a run that ends there, changes nothing of the training, and marks what is no sample.
func TestEvaluationOnTheWay(t *testing.T) {
	w := newWorld(t)
	dir := w.finished(w.watched(), Options{Workers: 2})
	without := w.finished(w.watched("eval.every=0"), Options{})
	sameResults(t, "with evaluations", map[string][]byte{"policy": policyOf(t, dir)}, map[string][]byte{"policy": policyOf(t, without)})
	at := map[int32][]table.Eval{}
	for _, row := range rowsOf[table.Eval](t, dir) {
		at[row.Step] = append(at[row.Step], row)
	}
	for step, when := range []string{before, during, during, during, during, after} {
		rows := at[int32(step)]
		if len(rows) != 5*(3+1) {
			t.Fatalf("%d rows at step %d, want 5 examples with 3 samples and a greedy completion", len(rows), step)
		}
		for i, row := range rows {
			beside := i%4 == 3
			if row.When != when || row.Beside() != beside || *row.Greedy != beside || !beside && row.Sample != int32(i%4) {
				t.Errorf("step %d, row %d: %s, sample %d, greedy %v", step, i, row.When, row.Sample, *row.Greedy)
			}
		}
	}
	short := w.finished(w.watched("grpo.steps=2", "eval.every=0"), Options{})
	rows := slices.DeleteFunc(rowsOf[table.Eval](t, short), func(r table.Eval) bool { return r.When != after })
	for i, row := range rows {
		if on := at[2][i]; on.ExampleID != row.ExampleID || on.Sample != row.Sample || on.Completion != row.Completion || on.Reward != row.Reward {
			t.Errorf("row %d of step 2 is %q, of a run of 2 steps %q", i, on.Completion, row.Completion)
		}
	}
	greedy := w.finished(w.watched("grpo.steps=2", "eval.every=0", "eval.samples=1", "eval.temperature=0", "eval.greedy=false"), Options{})
	for i, row := range rowsOf[table.Eval](t, greedy) {
		if beside := at[row.Step][4*(i%5)+3]; beside.Completion != row.Completion || !*row.Greedy || row.Beside() {
			t.Errorf("%s at step %d: beside the samples %q, in an evaluation at temperature 0 %q", row.ExampleID, row.Step, beside.Completion, row.Completion)
		}
	}
	m := manifestOf(t, dir)
	sum := summarise(at[5])
	if m.Best != nil || m.Stop != nil || m.Summary[table.RewardAfter] != *sum.values["reward"] || m.Summary[table.RewardBefore] != *summarise(at[0]).values["reward"] {
		t.Errorf("the manifest is %+v, the mean of the samples after training %v", m, *sum.values["reward"])
	}
}

// The policy that is left is that of the best evaluation, as a run of so many steps leaves it; the evaluation after training is that of the last.
func TestBestPolicyIsKept(t *testing.T) {
	w := newWorld(t)
	for name, options := range map[string][]string{"reward": nil, "correct": nil, "adapters": {frozen, "policy.lora={rank: 4}"}} {
		t.Run(name, func(t *testing.T) {
			metric := name
			if name == "adapters" {
				metric = "reward"
			}
			for seed := 1; seed <= 8; seed++ { // until the last policy is not the best
				more := append([]string{"grpo.learning_rate=0.05", fmt.Sprint("seed=", seed)}, options...)
				dir := w.finished(w.watched(append(more, "eval.keep_best="+metric, "checkpoint.keep=1")...), Options{Workers: 2})
				means, best := map[int]float64{}, 1
				for step := 1; step <= 5; step++ {
					rows := slices.DeleteFunc(rowsOf[table.Eval](t, dir), func(r table.Eval) bool { return r.Step != int32(step) })
					if means[step] = *summarise(rows).values[metric]; means[step] > means[best] {
						best = step
					}
				}
				m := manifestOf(t, dir)
				if m.Best == nil || *m.Best != (table.Best{Step: best, Metric: metric, Value: means[best]}) {
					t.Fatalf("seed %d: best is %+v, want step %d of %v", seed, m.Best, best, means)
				}
				if best == 5 {
					continue
				}
				t.Logf("seed %d: %v", seed, means)
				if !slices.Equal(m.Checkpoints, []int{best, 5}) {
					t.Errorf("checkpoints %v, want the best and the newest", m.Checkpoints)
				}
				short := w.finished(w.watched(append(more, "eval.every=0", fmt.Sprint("grpo.steps=", best))...), Options{})
				if !bytes.Equal(policyOf(t, dir), policyOf(t, short)) {
					t.Errorf("the policy is not that of step %d", best)
				}
				return
			}
			t.Fatal("with 8 seeds the last policy was the best, so nothing was tested")
		})
	}
}

// Equal evaluations: the earliest is the best. Its checkpoint, if somebody removed it, is asked for.
func TestEarliestOfEqualsIsBest(t *testing.T) {
	w := newWorld(t)
	in := w.watched("eval.keep_best=reward", "grpo.learning_rate=1e-12")
	dir := w.finished(in, Options{})
	if m := manifestOf(t, dir); m.Best.Step != 1 {
		t.Errorf("best is %+v", m.Best)
	}
	again := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := w.run(ctx, in, again, Options{Progress: func(e Event) {
		if e.Phase == "evaluate after" {
			cancel()
		}
	}})
	if !errors.As(err, new(*Interrupted)) {
		t.Fatal(err)
	}
	check(t, os.RemoveAll(filepath.Join(again, "checkpoints", "step-000001")))
	if err := w.run(t.Context(), in, again, Options{}); err == nil || !strings.Contains(err.Error(), "checkpoint of step 1, the best, is missing") {
		t.Errorf("got %v", err)
	}
	for step := 2; step <= 5; step++ {
		check(t, os.RemoveAll(filepath.Join(again, "checkpoints", fmt.Sprintf("step-%06d", step))))
	}
	check(t, w.run(t.Context(), in, again, Options{}))
	sameResults(t, "made again", results(t, again), results(t, dir))
}

// A run that a rule stops is that of so many steps, in tables and policy; with other rules it goes on, and leaves what one that never
// stopped does.
func TestStopRuleEndsTheRun(t *testing.T) {
	w := newWorld(t)
	always := func(metric string, after, times int) string {
		return fmt.Sprintf(`stop_when=[{metric: "kl", above: 1000}, {metric: %q, above: -1000, after: %d, for: %d}]`, metric, after, times)
	}
	whole := results(t, w.finished(w.watched(), Options{}))
	short := results(t, w.finished(w.watched("grpo.steps=3"), Options{}))
	for name, rule := range map[string]string{
		"metric":     always("reward_mean", 1, 2),
		"evaluation": always("eval.reward", 0, 3),
		"hours":      always("hours", 2, 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			in := w.watched(rule)
			check(t, w.runAs(t.Context(), in, dir, Options{Workers: 2}))
			m := manifestOf(t, dir)
			if m.Status != table.Stopped || m.Stop == nil || m.Stop.Step != 3 || m.Stop.Rule != in.Experiment.StopWhen[1].String() || m.Steps != 5 {
				t.Fatalf("the manifest is %+v, stop %+v", m, m.Stop)
			}
			sameResults(t, "stopped", results(t, dir), short)
			check(t, w.runAs(t.Context(), in, dir, Options{Progress: func(e Event) { t.Errorf("the rule stands, and yet: %+v", e) }}))
			check(t, w.runAs(t.Context(), w.watched(), dir, Options{Workers: 3}))
			if m := manifestOf(t, dir); m.Status != table.Done || m.Stop != nil || len(m.Attempts) != 2 || m.Attempts[1].FromStep != 3 {
				t.Errorf("gone on: %+v", m)
			}
			sameResults(t, "gone on", results(t, dir), whole)
			check(t, w.runAs(t.Context(), in, dir, Options{Progress: func(e Event) { t.Errorf("a rule changed a run that is done: %+v", e) }}))
		})
	}
}

// Supervised training is evaluated on its way and stopped like the other.
func TestSupervisedTrainingStops(t *testing.T) {
	w := newWorld(t)
	rule := `stop_when=[{metric: "loss", below: 1000, after: 1, for: 2}]`
	dir := w.finished(w.open("tiny_sft.cue", "sft.steps=5", "eval.every=2", "eval.keep_best=reward", rule), Options{Workers: 2})
	if m := manifestOf(t, dir); m.Status != table.Stopped || m.Stop.Step != 3 || m.Stop.Rule != "loss below 1000 for 2 steps, after step 1" || m.Best == nil {
		t.Errorf("the manifest is %+v, stop %+v", m, m.Stop)
	}
	short := w.finished(w.open("tiny_sft.cue", "sft.steps=3", "eval.every=2", "eval.keep_best=reward"), Options{})
	sameResults(t, "stopped", results(t, dir), results(t, short))
}

// A rule on a health monitor stops a run at the first step at which its alert has stood in the table for so long, interrupted or not.
func TestMonitorStopsTheRun(t *testing.T) {
	w := newWorld(t)
	options := []string{"grpo.steps=8", "eval.examples=0", "grpo.monitors.window=2", "grpo.monitors.truncation=0.3", "grpo.max_completion_tokens=5"}
	rule := `stop_when=[{monitor: "truncation", for: 2, after: 1}]`
	held, want := 0, 0
	for _, m := range rowsOf[table.Metrics](t, w.finished(w.open("tiny.cue", options...), Options{})) {
		if !slices.ContainsFunc(m.Alerts, func(a string) bool { return strings.HasPrefix(a, "truncation") }) || m.Step <= 1 {
			held = 0
		} else if held++; held == 2 && want == 0 {
			want = int(m.Step)
		}
	}
	if want < 3 || want > 7 {
		t.Fatalf("the alert would stop the run at step %d, where it shows nothing", want)
	}
	in := w.open("tiny.cue", append(options, rule)...)
	whole := w.finished(in, Options{Workers: 2})
	dir := filepath.Join(t.TempDir(), "run")
	for seen := 0; ; {
		ctx, cancel := context.WithCancel(t.Context())
		err := w.run(ctx, in, dir, Options{Progress: func(e Event) {
			if e.Phase == "train" && e.Done > seen {
				seen = e.Done
				cancel()
			}
		}})
		cancel()
		if err == nil {
			break
		}
		if !errors.As(err, new(*Interrupted)) {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{whole, dir} {
		if m := manifestOf(t, dir); m.Status != table.Stopped || m.Stop.Step != want || m.Stop.Value < 0.3 || m.Stop.Rule != "truncation in alert for 2 steps, after step 1" {
			t.Errorf("%s, stop %+v, want it at step %d", m.Status, m.Stop, want)
		}
	}
	a, err := os.ReadFile(filepath.Join(whole, "metrics.parquet"))
	check(t, err)
	b, err := os.ReadFile(filepath.Join(dir, "metrics.parquet"))
	check(t, err)
	if !bytes.Equal(a, b) {
		t.Error("the interrupted run has other metrics")
	}
}

// runAs is run with a fingerprint that does not hold the stop rules, as the command line's does not.
func (w *world) runAs(ctx context.Context, in *Inputs, dir string, o Options) error {
	bare := *in.Experiment
	bare.StopWhen = nil
	m := manifest(&Inputs{Experiment: &bare})
	o.Engine, o.Workers = orttest.Open(w.t), max(o.Workers, 1)
	return Run(ctx, in, dir, m, nil, o)
}

// A watched run that is interrupted at any point, evaluations on the way included, stops at the same step with the same bytes.
func TestInterruptedRunStopsAtTheSameStep(t *testing.T) {
	w := newWorld(t)
	in := w.watched("eval.keep_best=reward", "grpo.learning_rate=0.05", `stop_when=[{metric: "eval.reward", above: -1000, after: 1, for: 3}]`)
	dir := w.finished(in, Options{})
	m, want := manifestOf(t, dir), results(t, dir)
	if m.Status != table.Stopped || m.Stop.Step != 4 || m.Best == nil {
		t.Fatalf("the manifest is %+v", m)
	}
	again := filepath.Join(t.TempDir(), "run")
	events := map[string]bool{} // each stops the run once
	for attempt := 1; ; attempt++ {
		ctx, cancel := context.WithCancel(t.Context())
		err := w.run(ctx, in, again, Options{Workers: 1 + attempt%3, Progress: func(e Event) {
			if at := fmt.Sprint(e.Phase, e.Done); !events[at] && e.Done%2 == 1 {
				events[at] = true
				cancel()
			}
		}})
		cancel()
		if err == nil {
			break
		}
		if !errors.As(err, new(*Interrupted)) {
			t.Fatalf("attempt %d: %v", attempt, err)
		}
	}
	for _, phase := range []string{before, "at step 1", "at step 2", "at step 3", "at step 4", "train"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(events)), func(at string) bool { return strings.Contains(at, phase) }) {
			t.Errorf("never interrupted in %q, only in %v", phase, events)
		}
	}
	sameResults(t, "interrupted", results(t, again), want)
	if got := manifestOf(t, again); *got.Stop != *m.Stop || *got.Best != *m.Best || got.Summary[table.RewardAfter] != m.Summary[table.RewardAfter] {
		t.Errorf("stop %+v, best %+v; want %+v, %+v", got.Stop, got.Best, m.Stop, m.Best)
	}
}

// What each kind of rule counts: steps in a row, not null, behind After; evaluations; alerts by the name of the monitor; hours where known.
func TestWatch(t *testing.T) {
	limit := func(x float64) *float64 { return &x }
	kl := func(step int, v *float64, alerts ...string) func(*watch) {
		m := table.Metrics{Step: int32(step), KL: v, Alerts: alerts, AlertValue: slices.Repeat([]float64{7}, len(alerts)), TokPrompt: 5}
		return func(w *watch) { w.see(&m, time.Duration(step)*time.Hour) }
	}
	evaluated := func(step int, v *float64) func(*watch) {
		return func(w *watch) { w.seeEvaluation(&evaluation{step: step, values: map[string]*float64{"reward": v}}) }
	}
	up, down := limit(2), limit(0)
	for name, c := range map[string]struct {
		rule spec.StopRule
		see  []func(*watch)
		want int // looks until the rule stops the run; 0: it does not
	}{
		"at once":       {spec.StopRule{Metric: "kl", Above: limit(1), For: 1}, []func(*watch){kl(1, down), kl(2, up)}, 2},
		"at the bound":  {spec.StopRule{Metric: "kl", Above: limit(2), For: 1}, []func(*watch){kl(1, up)}, 0},
		"below":         {spec.StopRule{Metric: "kl", Below: limit(1), For: 1}, []func(*watch){kl(1, up), kl(2, down)}, 2},
		"in a row":      {spec.StopRule{Metric: "kl", Above: limit(1), For: 2}, []func(*watch){kl(1, up), kl(2, down), kl(3, up), kl(4, up)}, 4},
		"null between":  {spec.StopRule{Metric: "kl", Above: limit(1), For: 2}, []func(*watch){kl(1, up), kl(2, nil), kl(3, up)}, 0},
		"after":         {spec.StopRule{Metric: "kl", Above: limit(1), For: 2, After: 2}, []func(*watch){kl(1, up), kl(2, up), kl(3, up), kl(4, up)}, 4},
		"counts":        {spec.StopRule{Metric: "tok_prompt", Above: limit(4), For: 1}, []func(*watch){kl(1, nil)}, 1},
		"evaluations":   {spec.StopRule{Metric: "eval.reward", Above: limit(1), For: 2}, []func(*watch){evaluated(2, up), kl(3, up), evaluated(4, up)}, 3},
		"first and up":  {spec.StopRule{Metric: "eval.reward", Above: limit(1), For: 1}, []func(*watch){evaluated(0, up), kl(1, up)}, 0},
		"hours":         {spec.StopRule{Metric: "hours", Above: limit(2.5), For: 1}, []func(*watch){kl(2, nil), kl(3, nil)}, 2},
		"alert":         {spec.StopRule{Monitor: "repetition", For: 2}, []func(*watch){kl(1, nil, "repetition"), kl(2, nil, "length_drift", "repetition open/x")}, 2},
		"another alert": {spec.StopRule{Monitor: "repetition", For: 1}, []func(*watch){kl(1, nil, "length_drift"), kl(2, nil)}, 0},
	} {
		w := newWatch([]spec.StopRule{c.rule})
		got := 0
		for i, see := range c.see {
			see(w)
			if stop := w.stop(9); stop != nil && got == 0 {
				got = i + 1
				if stop.Step != 9 || stop.Rule != c.rule.String() || c.rule.Monitor != "" && stop.Value != 7 {
					t.Errorf("%s: %+v", name, stop)
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: stopped at look %d, want %d", name, got, c.want)
		}
	}
}

// The time of earlier attempts: to their end, or to the last step saved by one that was killed.
func TestSpentTime(t *testing.T) {
	at := func(minutes int) time.Time {
		return time.Unix(1700000000, 0).UTC().Add(time.Duration(minutes) * time.Minute)
	}
	attempts := []table.Attempt{{Start: at(0), End: at(10)}, {Start: at(20)}, {Start: at(40)}, {Start: at(60)}}
	timing := []table.Timing{{Step: 1, Attempt: 1, TEnd: at(3)}, {Step: 2, Attempt: 2, TEnd: at(22)}, {Step: 3, Attempt: 2, TEnd: at(25)}}
	if got := spent(attempts, timing); got != 15*time.Minute {
		t.Errorf("got %v, want 10 minutes of the first attempt and 5 of the second", got)
	}
}

// Means are over samples and errors over examples; completions beside the samples and nulls are left out.
func TestSummarise(t *testing.T) {
	yes, no, half := true, false, 0.5
	e := summarise([]table.Eval{
		{Step: 7, Source: "a", ExampleID: "1", Reward: 1, Correct: &yes, Parsed: true, Format: &half},
		{Step: 7, Source: "a", ExampleID: "1", Sample: 1, Reward: 0, Correct: &no, Parsed: true},
		{Step: 7, Source: "a", ExampleID: "1", Sample: -1, Reward: 99, Correct: &yes},
		{Step: 7, Source: "b", ExampleID: "1", Reward: 1},
		{Step: 7, Source: "b", ExampleID: "1", Sample: 1, Reward: 1},
	})
	if e.step != 7 || *e.values["reward"] != 0.75 || *e.values["correct"] != 0.5 || *e.values["format"] != 0.5 || *e.values["parsed"] != 0.5 {
		t.Errorf("%+v, reward %v, correct %v", e, *e.values["reward"], *e.values["correct"])
	}
	if got := e.errors["reward"]; got != 0.25 { // of the examples' means 0.5 and 1: 0.3536 / sqrt(2)
		if got < 0.25-1e-15 || got > 0.25+1e-15 {
			t.Errorf("standard error %v, want 0.25", got)
		}
	}
	if e.errors["correct"] != 0 {
		t.Errorf("one example has the standard error %v", e.errors["correct"])
	}
}
