package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"mixr/runtime/spec"
	"mixr/runtime/table"
	"mixr/runtime/weights"
)

// Each file of testdata/bad is one broken policy or data set: a sentence, lines of instructions, files that replace those of a good
// world, and the error that the trial must end with (paths relative to the world). MIXR_UPDATE=1 rewrites the latter; read the
// difference. Instructions are
//
//	run: FILE                          the experiment; tiny.cue if there is none
//	set: OVERRIDE
//	do: remove|cut|empty FILE          before anything is opened
//	do: copy FILE TO
//	do: replace FILE "OLD" "NEW"       all of them, as Go strings
//	do: weight drop|nan NAME           in policy/model.safetensors
//	do: weight add|reshape NAME D...
//	late: ...                          the same, after data and policy were opened and checked
func TestBadPolicyAndData(t *testing.T) {
	cases, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(cases) < 25 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	good := newWorld(t)
	r := good.prepared(good.open("tiny.cue"))
	check(t, r.model.export(r.in, good.path("policy")))
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			check(t, err)
			w := &world{t, t.TempDir()}
			check(t, os.CopyFS(w.dir, os.DirFS(good.dir)))
			want := &archive.Files[len(archive.Files)-1]
			for _, f := range archive.Files[:len(archive.Files)-1] {
				w.write(f.Name, string(f.Data))
			}
			err = w.broken(string(archive.Comment))
			if err == nil {
				t.Fatal("the trial runs to its end")
			}
			got := strings.ReplaceAll(err.Error(), w.dir+"/", "") + "\n"
			if os.Getenv("MIXR_UPDATE") == "1" {
				want.Data = []byte(got)
				check(t, os.WriteFile(file, txtar.Format(archive), 0o644))
			} else if got != string(want.Data) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want.Data)
			}
		})
	}
}

// broken follows the instructions of a case and returns how the trial ends.
func (w *world) broken(instructions string) error {
	w.t.Helper()
	file, overrides := "tiny.cue", []string{"eval.examples=0", frozen}
	var late []string
	for line := range strings.Lines(instructions) {
		key, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "run":
			file = rest
		case "set":
			overrides = append(overrides, rest)
		case "do":
			w.damage(rest)
		case "late":
			late = append(late, rest)
		}
	}
	f, mistakes := spec.Load(w.path(file), overrides)
	if len(mistakes) > 0 {
		return mistakes
	}
	in, err := Open(f.Rungs[0].Resolved)
	if err != nil {
		return err
	}
	for _, line := range late {
		w.damage(line)
	}
	err = w.run(w.t.Context(), in, w.path("run"), Options{})
	return err
}

// damage carries out one instruction.
func (w *world) damage(line string) {
	w.t.Helper()
	word := strings.Fields(line)
	switch word[0] {
	case "remove":
		check(w.t, remove(word[1])(w.dir))
	case "cut":
		check(w.t, cut(word[1])(w.dir))
	case "empty":
		w.write(word[1], "")
	case "copy":
		text, err := os.ReadFile(w.path(word[1]))
		check(w.t, err)
		w.write(word[2], string(text))
	case "replace":
		var from, to string
		_, err := fmt.Sscanf(strings.Join(word[2:], " "), "%q %q", &from, &to)
		check(w.t, err)
		text, err := os.ReadFile(w.path(word[1]))
		check(w.t, err)
		if !strings.Contains(string(text), from) {
			w.t.Fatalf("%s does not hold %q", word[1], from)
		}
		w.write(word[1], strings.ReplaceAll(string(text), from, to))
	case "weight":
		w.damageWeight(word[1], word[2], word[3:])
	default:
		w.t.Fatalf("unknown instruction %q", line)
	}
}

// damageWeight rewrites the policy's weights with one of them dropped, added, in another shape or with a NaN.
func (w *world) damageWeight(how, name string, dims []string) {
	w.t.Helper()
	s, err := weights.Open(w.path("policy"))
	check(w.t, err)
	var shape []int
	for _, d := range dims {
		n, err := strconv.Atoi(d)
		check(w.t, err)
		shape = append(shape, n)
	}
	names := s.Names()
	if how == "add" {
		names = append(names, name)
	} else if !s.Has(name) {
		w.t.Fatalf("there is no weight %s", name)
	}
	var tensors []weights.Tensor
	for _, n := range names {
		x := weights.Tensor{Name: n, Shape: s.Shape(n)}
		if n == name && shape != nil {
			x.Shape, x.Data = shape, make([]float32, product(shape))
		} else {
			x.Data = make([]float32, product(x.Shape))
			check(w.t, s.Float32(n, x.Data))
		}
		if n == name && how == "nan" {
			x.Data[len(x.Data)/2] = float32(math.NaN())
		}
		if n != name || how != "drop" {
			tensors = append(tensors, x)
		}
	}
	check(w.t, s.Close())
	check(w.t, weights.Write(w.path("policy/model.safetensors"), tensors, "F32", nil))
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// The patch embedding is a convolution in checkpoints, [32, 3, 2, 14, 14], and a matrix here: both load.
func TestConvolutionWeightLoads(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open("tiny.cue"))
	check(t, r.model.export(r.in, w.path("policy")))
	s, err := weights.Open(w.path("policy"))
	check(t, err)
	var tensors []weights.Tensor
	for _, n := range s.Names() {
		x := weights.Tensor{Name: n, Shape: s.Shape(n), Data: make([]float32, product(s.Shape(n)))}
		check(t, s.Float32(n, x.Data))
		if n == "visual.patch_embed.proj.weight" {
			x.Shape = []int{32, 3, 2, 14, 14}
		}
		tensors = append(tensors, x)
	}
	check(t, s.Close())
	check(t, weights.Write(w.path("policy/model.safetensors"), tensors, "F32", nil))
	w.prepared(w.open("tiny.cue", "policy.init=weights"))
}

// A failed run says so in its manifest, with the reason, and the next attempt goes on once the cause is gone. A cause that comes
// together with an interruption is not hidden by it. The steps before the failure are kept, checkpoint or not.
func TestFailedRunContinues(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "data.sources.grounding.weight=1e6", "checkpoint.every=50")
	want := results(t, w.finished(in, Options{}))
	good := w.path("good")
	check(t, os.Rename(w.path("images"), good))
	check(t, os.CopyFS(w.path("images"), os.DirFS(good)))
	dir := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := w.run(ctx, in, dir, Options{Progress: func(e Event) {
		if e.Phase == "train" && e.Done == 2 {
			for i := range 4 {
				w.damage(fmt.Sprintf("empty images/grounding-%d.png", i))
			}
		}
	}})
	var interrupted *Interrupted
	if err == nil || errors.As(err, &interrupted) || !strings.Contains(err.Error(), "step 3: example grounding-") {
		t.Fatalf("got %v, want an error of step 3 that names the example", err)
	}
	m, err := table.ReadManifest(dir)
	check(t, err)
	if exit := m.Attempts[0].Exit; m.Status != table.Failed || !strings.Contains(exit, "grounding-") {
		t.Errorf("status %s, exit %q: want failed, with the reason", m.Status, exit)
	}
	if rows := rowsOf[table.Metrics](t, dir); last(m.Checkpoints) != 2 || len(rows) != 2 {
		t.Errorf("%d rows of metrics and the checkpoints %v are kept, want those of step 2", len(rows), m.Checkpoints)
	}
	check(t, os.RemoveAll(w.path("images")))
	check(t, os.Rename(good, w.path("images")))
	err = w.run(t.Context(), in, dir, Options{})
	check(t, err)
	sameResults(t, "failed", results(t, dir), want)
}

// Where no update may be skipped, a gradient that is not finite is a *Diverged, changes nothing, and the steps before it are kept.
func TestDivergedStepIsNotMade(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open("tiny_sft.cue", "sft.steps=3", "sft.skip_limit=0", "checkpoint.every=50"))
	name := r.model.program.Trainable()[0].Name
	var before []float32
	r.opts.Progress = func(e Event) {
		if e.Done == 1 {
			r.model.weights[name].Float32()[0] = float32(math.NaN())
			before = slices.Concat(r.model.weights[name].Float32(), r.model.m[name].Float32(), r.model.v[name].Float32())
		}
	}
	var diverged *Diverged
	if _, err := r.train(t.Context()); !errors.As(err, &diverged) || diverged.Update != 2 {
		t.Fatalf("got %v, want divergence at update 2", err)
	}
	after := slices.Concat(r.model.weights[name].Float32(), r.model.m[name].Float32(), r.model.v[name].Float32())
	if !slices.EqualFunc(before, after, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
		t.Error("the update changed weights or moments")
	}
	if rows := rowsOf[table.Metrics](t, r.run.Dir()); len(rows) != 1 || last(r.run.Manifest().Checkpoints) != 1 {
		t.Errorf("%d rows of metrics and the checkpoints %v are kept, want those of step 1", len(rows), r.run.Manifest().Checkpoints)
	}
}

// A shelf reads a card once and still checks its rows for every experiment.
func TestShelfChecksEveryExperiment(t *testing.T) {
	w := newWorld(t)
	w.damage(`replace train.jsonl "\"target\":" "\"meta\":"`)
	shelf := NewShelf()
	one, err := shelf.Open(w.resolve("tiny.cue"))
	check(t, err)
	two, err := shelf.Open(w.resolve("tiny.cue", "seed=2", "data.sources.mcq.weight=2"))
	check(t, err)
	if one.Data.Card("mcq") != two.Data.Card("mcq") || one.Policy != two.Policy {
		t.Error("card or policy was read twice")
	}
	var mistakes spec.Diagnostics
	if _, err := shelf.Open(w.resolve("tiny_sft.cue")); !errors.As(err, &mistakes) || !strings.Contains(err.Error(), "train.jsonl:") {
		t.Errorf("rows without targets: got %v, want mistakes with their lines", err)
	}
}
