package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"mixr/runtime/table"
)

// Options describe the machine, so no bit of a result may depend on them: STYLE's "property" tests, run on every shape of step that
// there is: everything trained with reference and old log-probabilities, the frozen tower, and supervised.
func TestWorkersAndMicroBatchesChangeNothing(t *testing.T) {
	w := newWorld(t)
	for _, trial := range []struct {
		name, file string
		overrides  []string
	}{
		{"everything", "tiny.cue", []string{"grpo.iterations=2", "grpo.batch_size=20", "eval.samples=3", "eval.temperature=1"}},
		{"frozen", "tiny.cue", []string{frozen, "grpo.kl=0"}},
		{"sft", "tiny_sft.cue", []string{"sft.batch_size=20"}}, // units of 8, 8 and 4 examples
		{"packed", "tiny_sft.cue", []string{"sft.batch_size=20", "sft.pack_tokens=300", frozen, "policy.lora={rank: 4, dropout: 0.2}"}},
		{"adapters", "tiny.cue", []string{frozen, "policy.lora={rank: 4, dropout: 0.2}", "grpo.iterations=2"}},
		{"recompute", "tiny.cue", []string{"policy.recompute=true", "grpo.iterations=2"}},
	} {
		t.Run(trial.name, func(t *testing.T) {
			t.Parallel()
			in := w.open(trial.file, trial.overrides...)
			want := results(t, w.finished(in, Options{Workers: 1, InFlight: 1}))
			for _, o := range []Options{{Workers: 1, InFlight: 8}, {Workers: 2, InFlight: 1}, {Workers: 2, InFlight: 2}, {Workers: 3, InFlight: 8}} {
				sameResults(t, fmt.Sprintf("%d workers, %d in flight", o.Workers, o.InFlight), results(t, w.finished(in, o)), want)
			}
		})
	}
}

// A run that is interrupted at any point and goes on with another number of workers gives the bytes of one that was left alone.
func TestInterruptedRunContinues(t *testing.T) {
	w := newWorld(t)
	for _, trial := range [][]string{{"tiny.cue"}, {"tiny_sft.cue"}, {"tiny_sft.cue", "sft.pack_tokens=300"}, {"tiny.cue", frozen, "policy.lora={rank: 4, dropout: 0.2}"}} {
		t.Run(fmt.Sprint(trial), func(t *testing.T) {
			t.Parallel()
			in := w.open(trial[0], trial[1:]...)
			want := results(t, w.finished(in, Options{}))

			dir := filepath.Join(t.TempDir(), "run")
			events := map[string]bool{} // each stops the run once
			for attempt := 1; ; attempt++ {
				ctx, cancel := context.WithCancel(t.Context())
				err := w.run(ctx, in, dir, Options{Workers: 1 + attempt%3, Progress: func(e Event) {
					if at := fmt.Sprint(e.Phase, e.Done); !events[at] && e.Done%2 == 1 {
						events[at] = true
						cancel()
					}
				}})
				cancel()
				if err == nil {
					break
				}
				var stopped *Interrupted
				if !errors.As(err, &stopped) || stopped.Dir != dir {
					t.Fatalf("attempt %d: %v", attempt, err)
				}
				m, err := table.ReadManifest(dir)
				check(t, err)
				if m.Status != table.Cancelled || stopped.Step != last(m.Checkpoints) {
					t.Errorf("attempt %d: %v, but the manifest says %s with checkpoints %v", attempt, stopped, m.Status, m.Checkpoints)
				}
			}
			t.Logf("interrupted at %d places", len(events))
			if len(events) < 4 { // an evaluation of few examples is one batch, and one event
				t.Errorf("the run was interrupted at %d places only: %v", len(events), events)
			}
			sameResults(t, "interrupted", results(t, dir), want)
		})
	}
}

func last(steps []int) int {
	if len(steps) == 0 {
		return 0
	}
	return steps[len(steps)-1]
}

// A run that was done is not computed again.
func TestDoneRunIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.steps=1")
	dir := w.finished(in, Options{})
	want := results(t, dir)
	check(t, w.run(t.Context(), in, dir, Options{Progress: func(e Event) { t.Errorf("computed %+v", e) }}))
	sameResults(t, "done", results(t, dir), want)
}

// The seed reaches the sampler (TRL #7040: it did not): on the same weights, another seed gives other completions, and the same
// seed the same.
func TestSeedReachesRollout(t *testing.T) {
	w := newWorld(t)
	from := "policy.from=" + filepath.Join(w.finished(w.open("tiny.cue", "grpo.steps=1"), Options{}), "policy")
	first := func(seed string) (texts []string, tokens [][]int32) {
		in := w.open("tiny.cue", from, "policy.init=weights", "grpo.steps=1", "data.sources.yesno.limit=1", "seed="+seed,
			"eval.examples=0", "grpo.batch_size=20")
		for _, c := range rowsOf[table.Completion](t, w.finished(in, Options{})) {
			texts, tokens = append(texts, c.ExampleID), append(tokens, c.TokenIDs)
		}
		return texts, tokens
	}
	ids, one := first("1")
	_, again := first("1")
	otherIDs, two := first("2")
	if !slices.EqualFunc(one, again, slices.Equal) {
		t.Error("the same seed gives other completions")
	}
	at := slices.Index(ids, "yesno-0") // the one example that both must draw
	if at < 0 {
		at = slices.IndexFunc(ids, func(id string) bool { return slices.Contains(otherIDs, id) })
	}
	other := slices.Index(otherIDs, ids[at])
	for g := range 4 {
		if slices.Equal(one[at+g], two[other+g]) && len(one[at+g]) > 1 {
			t.Errorf("completion %d of %s is the same for seeds 1 and 2: %v", g, ids[at], one[at+g])
		}
	}
}

// The noise of a token depends on seed, example, completion and position alone: not on the lane, the size of the group or the
// company; and no two completions of a run share it (verl #6857), even when a small data set gives an example twice in a batch.
func TestSeedLaw(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.temperature=1.2")
	r := w.prepared(in)
	ex := in.Data.Train("chart")[0]
	whole := w.draw(r, ex, 0, 6).completions
	parts := append(w.draw(r, ex, 0, 2).completions, w.draw(r, ex, 2, 4).completions...)
	r.lanes[0], r.lanes[1] = r.lanes[1], r.lanes[0]
	elsewhere := w.draw(r, ex, 0, 6).completions
	ex.ID = "another"
	another := w.draw(r, ex, 0, 6).completions
	for g := range whole {
		if !slices.Equal(whole[g].tokens, parts[g].tokens) {
			t.Errorf("completion %d depends on the size of the group: %v, %v", g, whole[g].tokens, parts[g].tokens)
		}
		if !slices.Equal(whole[g].tokens, elsewhere[g].tokens) || !slices.Equal(whole[g].logp, elsewhere[g].logp) {
			t.Errorf("completion %d depends on the lane", g)
		}
		if len(whole[g].tokens) > 1 && slices.Equal(whole[g].tokens, another[g].tokens) {
			t.Errorf("completion %d is the same for two examples: %v", g, whole[g].tokens)
		}
	}
}

// One example, drawn three times in every step by a policy that hardly moves: all completions must differ.
func TestNoTwoCompletionsShareNoise(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.learning_rate=1e-12", "eval.examples=0", "data.sources.yesno.weight=1e6", "data.sources.yesno.limit=1",
		"grpo.steps=4", "grpo.max_completion_tokens=16")
	seen := map[string]string{}
	n := 0
	for _, c := range rowsOf[table.Completion](t, w.finished(in, Options{})) {
		if len(c.TokenIDs) < 3 {
			continue // short ones meet by chance
		}
		n++
		key, at := c.ExampleID+fmt.Sprint(c.TokenIDs), fmt.Sprintf("step %d completion %d", c.Step, c.Gen)
		if before, ok := seen[key]; ok {
			t.Errorf("%s and %s of %s are equal: %v", before, at, c.ExampleID, c.TokenIDs)
		}
		seen[key] = at
	}
	if n < 24 {
		t.Fatalf("only %d of 48 completions are long enough to compare", n)
	}
}

// Evaluation draws from a stream of its own, the same before and after: the two differ by the policy alone.
func TestEvaluationIsPaired(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.learning_rate=1e-12", "grpo.steps=1", "eval.temperature=1", "eval.samples=4", "eval.examples=9")
	rows := rowsOf[table.Eval](t, w.finished(in, Options{}))
	half := len(rows) / 2
	if half != 5*1*4 {
		t.Fatalf("%d rows before training, want 5 sources of 1 held-out example with 4 samples", half)
	}
	for i, before := range rows[:half] {
		after := rows[half+i]
		if before.When != "before" || after.When != "after" || before.ExampleID != after.ExampleID || before.ItemSHA != after.ItemSHA ||
			before.Sample != after.Sample || before.Completion != after.Completion {
			t.Errorf("rows %d and %d are no pair:\n%+v\n%+v", i, half+i, before, after)
		}
	}
	var b bytes.Buffer
	for _, row := range rows[:4] {
		fmt.Fprintln(&b, row.Completion)
	}
	if bytes.Count(b.Bytes(), []byte(rows[0].Completion+"\n")) == 4 {
		t.Errorf("the samples of an example are all equal:\n%s", b.String())
	}
}

// Greedy evaluation takes the most probable token and so needs no seed: two runs on the same weights agree before training.
func TestGreedyNeedsNoSeed(t *testing.T) {
	w := newWorld(t)
	from := "policy.from=" + filepath.Join(w.finished(w.open("tiny.cue", "grpo.steps=1"), Options{}), "policy")
	var before [2][]table.Eval
	for i := range before {
		in := w.open("tiny.cue", from, "policy.init=weights", "grpo.steps=1", fmt.Sprint("seed=", i+1), "eval.examples=9", frozen)
		rows := rowsOf[table.Eval](t, w.finished(in, Options{}))
		before[i] = rows[:len(rows)/2]
	}
	for i, one := range before[0] {
		if other := before[1][i]; one.ExampleID != other.ExampleID || one.Completion != other.Completion {
			t.Errorf("seed 1: %s %q, seed 2: %s %q", one.ExampleID, one.Completion, other.ExampleID, other.Completion)
		}
	}
	r := w.prepared(w.open("tiny.cue", from, "policy.init=weights"))
	ex := r.in.Data.EvalSet("mcq", 1)[0]
	g, err := r.rollout(r.lanes[0], ex, sampling{count: 2, maxTokens: 6, stop: r.stop})
	check(t, err)
	if g.completions[0].logp != nil {
		t.Error("a greedy completion has log-probabilities, which are those of tokens that were drawn and not taken")
	}
	if !slices.Equal(g.completions[0].tokens, g.completions[1].tokens) {
		t.Errorf("two greedy completions differ: %v, %v", g.completions[0].tokens, g.completions[1].tokens)
	}
	first := g.completions[0].tokens[0]
	best := r.firstLogp(t, g, first)
	for id := range r.in.Policy.Model.Decoder().Vocab {
		if logp := r.firstLogp(t, g, id); logp > best+logpTolerance {
			t.Fatalf("greedy took token %d, but %d is more probable", first, id)
		}
	}
}

// firstLogp is the log-probability of a token right behind the group's prompt.
func (r *runner) firstLogp(t *testing.T, g *group, id int) float32 {
	t.Helper()
	one := *g
	one.completions = []completion{{tokens: []int{id}}}
	logp, err := r.logp(r.lanes[0], &r.lanes[0].policy, &one, 1)
	check(t, err)
	return logp[0]
}

// A run that goes on with another build or processor says so; what an old run has not recorded is not known to differ.
func TestOtherVersionsAreSaid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	run, err := table.Create(dir, table.Manifest{Name: "x", Versions: map[string]string{"library": "aaa", "go": "1"}})
	check(t, err)
	defer run.Close()
	r := &runner{run: run}
	got := r.elsewhere(table.Manifest{Versions: map[string]string{"library": "bbb", "go": "1", "vectors": "avx2"}})
	if want := []string{"the run began with library aaa and goes on with bbb"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
