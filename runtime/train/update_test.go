package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/ort"
	"mixr/runtime/table"
)

// overflow is a weight of the loss with which gradients leave float32.
const overflow = 3e38

// learn makes one update on the targets of two examples; factor multiplies the loss, in float32.
func (r *runner) learn(t *testing.T, index int, factor float32) *updated {
	t.Helper()
	examples := r.in.Data.Train("mcq")[:2]
	u, err := r.update(t.Context(), len(examples), index, func(l *lane, i int) (*unit, error) {
		p, err := l.prompter.render(examples[i])
		if err != nil {
			return nil, err
		}
		y := l.prompter.tok.Encode(examples[i].Target)
		s := sequence{prompt: p, completions: [][]int{y}, place: i}
		return r.gradient(l, []sequence{s}, nil, map[string][]float32{"weight": slices.Repeat([]float32{factor}, len(y))}, 1)
	})
	check(t, err)
	return u
}

// bits are the trained weights and the moments.
func (m *model) bits() map[string][]uint32 {
	out := map[string][]uint32{}
	for prefix, set := range map[string]map[string]*ort.Tensor{"": m.weights, "m.": m.m, "v.": m.v} {
		for _, q := range m.program.Trainable() {
			for _, x := range set[q.Name].Float32() {
				out[prefix+q.Name] = append(out[prefix+q.Name], math.Float32bits(x))
			}
		}
	}
	return out
}

func sameBits(t *testing.T, what string, got, want map[string][]uint32) {
	t.Helper()
	for name, w := range want {
		if !slices.Equal(got[name], w) {
			t.Errorf("%s: %s differs", what, name)
		}
	}
}

// An update whose gradient overflows is not made, and counts for nothing but the counters: the next one has the bits that it has when
// the overflow never was.
func TestOverflowIsSkipped(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny_sft.cue", "sft.steps=9", "sft.schedule=linear")
	r, calm := w.prepared(in), w.prepared(in)
	r.learn(t, 0, 1)
	calm.learn(t, 0, 1)
	before := r.model.bits()
	for i := range 2 {
		if u := r.learn(t, 1+i, overflow); !u.skipped || !math.IsInf(u.gradNorm, 1) && !math.IsNaN(u.gradNorm) {
			t.Fatalf("skipped %t with the norm %v: the gradient does not overflow", u.skipped, u.gradNorm)
		}
		sameBits(t, "overflow", r.model.bits(), before)
	}
	if want := (progress{Applied: 1, Skipped: 2, Row: 2}); !reflect.DeepEqual(r.progress, want) {
		t.Errorf("progress %+v, want %+v", r.progress, want)
	}
	if u := r.learn(t, 3, 1); u.skipped || u.gradNorm == 0 {
		t.Errorf("the update after an overflow is skipped (%t), or its gradient is %v", u.skipped, u.gradNorm)
	}
	calm.learn(t, 3, 1)
	sameBits(t, "after an overflow", r.model.bits(), calm.model.bits())
	if want := (progress{Applied: 2, Skipped: 2}); !reflect.DeepEqual(r.progress, want) {
		t.Errorf("progress %+v, want %+v", r.progress, want)
	}
}

// A learning rate that destroys the policy with the first update: as many updates are skipped as skip_limit says, their rows and
// checkpoints are kept, and then the run ends, wherever it was interrupted.
func TestRunEndsAfterSkippedUpdates(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny_sft.cue", "sft.steps=9", "sft.skip_limit=2", "sft.module_rate.decoder=1e30", "checkpoint.every=1", "checkpoint.keep=9", "eval.examples=0")
	for name, interrupted := range map[string]bool{"left alone": false, "interrupted": true} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := w.run(ctx, in, dir, Options{Progress: func(e Event) {
				if interrupted && e.Phase == "train" && e.Done == 1 {
					cancel()
				}
			}})
			if interrupted {
				if !errors.As(err, new(*Interrupted)) {
					t.Fatal(err)
				}
				err = w.run(t.Context(), in, dir, Options{})
			}
			var diverged *Diverged
			if !errors.As(err, &diverged) || diverged.Update != 4 || diverged.Skipped != 2 {
				t.Fatalf("got %v, want divergence at update 4 after 2 that were skipped", err)
			}
			mentions(t, err.Error(), []string{"step 4: update 4: the gradient norm is NaN, as in the 2 updates before it, which were skipped", "lower learning_rate"})
			rows := rowsOf[table.Metrics](t, dir)
			if len(rows) != 3 || rows[0].GradNorm == nil || rows[1].GradNorm != nil || rows[2].GradNorm != nil {
				t.Errorf("%d rows of metrics, want 3, the last two without a norm", len(rows))
			}
			var states []checkpointState
			for step := 1; step <= 3; step++ {
				text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("checkpoints/step-%06d", step), stateFile))
				check(t, err)
				var s checkpointState
				check(t, json.Unmarshal(text, &s))
				states = append(states, s)
			}
			for i, want := range []progress{{Applied: 1}, {Applied: 1, Skipped: 1, Row: 1}, {Applied: 1, Skipped: 2, Row: 2}} {
				var got progress
				check(t, json.Unmarshal(states[i].Progress, &got))
				got.Monitors = want.Monitors // what they saw is not the matter here
				if !reflect.DeepEqual(got, want) {
					t.Errorf("checkpoint %d: %+v, want %+v", i+1, got, want)
				}
				for file, sum := range states[0].SHA256 {
					if states[i].SHA256[file] != sum {
						t.Errorf("checkpoint %d: %s is not that of the last update that was made", i+1, file)
					}
				}
			}
			if m, err := table.ReadManifest(dir); err != nil || m.Status != table.Diverged {
				t.Errorf("status %s, %v", m.Status, err)
			}
		})
	}
}

// A checkpoint of an earlier version, which says nothing of updates, is of a run that made all of them.
func TestCheckpointWithoutProgress(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.iterations=2", "checkpoint.every=1", frozen)
	want := results(t, w.finished(in, Options{}))
	dir := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	err := w.run(ctx, in, dir, Options{Progress: func(e Event) {
		if e.Phase == "train" && e.Done == 1 {
			cancel()
		}
	}})
	var interrupted *Interrupted
	if !errors.As(err, &interrupted) {
		t.Fatal(err)
	}
	check(t, change(fmt.Sprintf("checkpoints/step-%06d/state.json", interrupted.Step), func(text []byte) []byte {
		var s checkpointState
		check(t, json.Unmarshal(text, &s))
		s.Progress = nil
		old, err := json.Marshal(s)
		check(t, err)
		if strings.Contains(string(old), "progress") {
			t.Errorf("%s: want a file as it was", old)
		}
		return old
	})(dir))
	check(t, w.run(t.Context(), in, dir, Options{}))
	sameResults(t, "resumed", results(t, dir), want)
}

// The reference is in a checkpoint when it is not the initial weights any more, and comes back from it.
func TestReferenceInCheckpoint(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", frozen)
	r := w.prepared(in)
	dir := t.TempDir()
	sealed, err := r.progress.seal()
	check(t, err)
	check(t, r.model.saveCheckpoint(dir, 1, sealed))
	if _, err := os.Stat(filepath.Join(dir, referenceFile)); !os.IsNotExist(err) {
		t.Errorf("the initial weights stand in the checkpoint as the reference: %v", err)
	}
	for _, q := range r.model.program.Trainable() {
		for i := range r.model.reference[q.Name].Float32() {
			r.model.reference[q.Name].Float32()[i] += float32(i%7) / 64
		}
	}
	r.model.synced = true
	check(t, r.model.saveCheckpoint(dir, 1, sealed))
	other := w.prepared(in)
	check(t, other.model.loadCheckpoint(dir, 1, &other.progress))
	if !other.model.synced {
		t.Error("the reference counts as the initial weights")
	}
	for name, x := range r.model.reference {
		if !slices.Equal(other.model.reference[name].Float32(), x.Float32()) {
			t.Errorf("%s of the reference differs", name)
		}
	}
	check(t, flip(referenceFile)(dir))
	if err := other.model.loadCheckpoint(dir, 1, &other.progress); err == nil || !strings.Contains(err.Error(), referenceFile+" is damaged") {
		t.Errorf("got %v, want an error that names the reference", err)
	}
}

// Gradients are shown in the order of the units, whoever computes them, before they are summed.
func TestObserveSeesUnitsInOrder(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open("tiny_sft.cue"))
	name := r.model.program.Trainable()[0].Name
	var seen []int
	sum := make([]float32, r.model.sum[name].Len())
	r.observe = func(i int, gradients map[string]*ort.Tensor) error {
		seen = append(seen, i)
		for k, x := range gradients["g."+name].Float32() {
			sum[k] += x
		}
		return nil
	}
	r.learn(t, 0, 1)
	if !slices.Equal(seen, []int{0, 1}) || !slices.Equal(sum, r.model.sum[name].Float32()) {
		t.Errorf("units %v were seen, and their sum is that of the update: %t", seen, slices.Equal(sum, r.model.sum[name].Float32()))
	}
	r.observe = func(int, map[string]*ort.Tensor) error { return errors.New("seen enough") }
	if _, err := r.update(t.Context(), 1, 1, func(*lane, int) (*unit, error) { return &unit{}, nil }); err == nil || err.Error() != "seen enough" {
		t.Errorf("got %v", err)
	}
}
