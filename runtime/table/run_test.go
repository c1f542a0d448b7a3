package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testManifest() Manifest {
	return Manifest{
		Name: "quickstart", Stage: "grpo", Steps: 12, Seed: 1<<63 + 1,
		Fingerprint: map[string]string{"combined": "0123456789abcdef"},
		Versions:    map[string]string{"mixr": "test"},
	}
}

func ptr[T any](x T) *T { return &x }

// rowsOf makes deterministic rows for the steps first to last, with zeros, empty texts and nulls among them.
func metricsOf(first, last int) []Metrics {
	var rows []Metrics
	for s := first; s <= last; s++ {
		m := Metrics{Step: int32(s), Loss: ptr(1 / float64(s+1)), LR: 1e-3, NumPrompts: 2, NumCompletions: 16}
		if s%3 == 0 {
			m.RewardMean, m.LenMax = ptr(0.0), ptr(int32(0))
		}
		rows = append(rows, m)
	}
	return rows
}

func completionsOf(first, last, perStep int) []Completion {
	var rows []Completion
	for s := first; s <= last; s++ {
		for g := range perStep {
			rows = append(rows, Completion{
				Step: int32(s), ExampleID: fmt.Sprintf("e%d", s%7), Source: "charts", Task: "chart", Gen: int32(g),
				Prompt: ptr("How many?"), Completion: strings.Repeat("x", (s*31+g)%97), Finish: "eos",
				TokenIDs: []int32{int32(s), int32(g), 7}, Logp: []float32{-0.5, 0, -float32(g)}, LogpSum: -0.5 - float64(g),
				Chart: ptr(float64(g % 2)), Reward: float64(g % 2), Advantage: float64(g%2) - 0.5,
			})
		}
	}
	return rows
}

func timingOf(first, last, attempt int) []Timing {
	var rows []Timing
	for s := first; s <= last; s++ {
		rows = append(rows, Timing{Step: int32(s), Attempt: int32(attempt), WallS: 0.5, TEnd: time.Unix(1700000000, 0).UTC()})
	}
	return rows
}

// train plays a training loop: from the run's step to the end, a checkpoint every so many steps.
// It stops without a word after the step `die`, as a killed process would; 0 is never.
func train(t *testing.T, r *Run, every, die int) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if r.Step() == 0 && !r.Covers("eval", 0) {
		must(Write(r, 0, 0, []Eval{{When: "before", ExampleID: "e", Finish: "eos"}}))
		must(r.Commit(0))
	}
	last := r.m.Steps
	for s := r.Step() + 1; s <= last; s += every {
		e := min(s+every-1, last)
		must(Write(r, s, e, metricsOf(s, e)))
		must(Write(r, s, e, completionsOf(s, e, 40)))
		must(Write(r, s, e, timingOf(s, e, r.Attempt())))
		must(os.MkdirAll(r.CheckpointDir(e), 0o755))
		if die > 0 && e >= die {
			must(r.Close())
			return
		}
		must(r.Commit(e))
		must(r.Prune(2))
	}
	must(Write(r, last, last, []Eval{{Step: int32(last), When: "after", ExampleID: "e", Finish: "eos", Reward: 1}}))
	if die > 0 {
		must(r.Close())
		return
	}
	must(r.Finish(End{Summary: map[string]float64{"reward_after": 1}}))
}

func create(t *testing.T) *Run {
	t.Helper()
	r, err := Create(filepath.Join(t.TempDir(), "run"), testManifest())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func reopen(t *testing.T, dir string) *Run {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// TestInterruptedEqualsUninterrupted is the promise of the package: whatever the checkpoint interval and wherever the
// process dies, every table but timing has the same bytes.
func TestInterruptedEqualsUninterrupted(t *testing.T) {
	whole := create(t)
	train(t, whole, 12, 0)
	for _, c := range []struct{ every, die int }{{5, 3}, {5, 5}, {5, 10}, {1, 7}, {4, 12}, {12, 13}} {
		r := create(t)
		train(t, r, c.every, c.die)
		r = reopen(t, r.Dir())
		if r.Attempt() != 2 {
			t.Errorf("every %d, die %d: attempt %d", c.every, c.die, r.Attempt())
		}
		train(t, r, c.every, 0)
		for _, name := range []string{"metrics", "completions", "eval"} {
			want, err := os.ReadFile(filepath.Join(whole.Dir(), name+".parquet"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(r.Dir(), name+".parquet"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("every %d, die %d: %s.parquet differs", c.every, c.die, name)
			}
		}
		m, err := ReadManifest(r.Dir())
		if err != nil {
			t.Fatal(err)
		}
		if m.Status != Done || len(m.Parts) != 0 || len(m.Tables) != 4 || len(m.Checkpoints) > 2 {
			t.Errorf("every %d, die %d: manifest %+v", c.every, c.die, m)
		}
		if a := m.Attempts[1]; a.ToStep != 12 || a.End.IsZero() || !m.Attempts[0].End.IsZero() {
			t.Errorf("every %d, die %d: attempts %+v", c.every, c.die, m.Attempts)
		}
		if m.Seed != 1<<63+1 {
			t.Errorf("seed came back as %d", m.Seed)
		}
		for _, gone := range []string{tmpDir, partsDir} {
			if _, err := os.Stat(filepath.Join(r.Dir(), gone)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is still there", gone)
			}
		}
	}
}

func TestFinishRepeatable(t *testing.T) {
	r := create(t)
	train(t, r, 4, 13) // all steps committed, the last evaluation written and not committed
	// A Finish that died after its renames and before its manifest leaves merged tables beside the parts.
	r = reopen(t, r.Dir())
	for _, merge := range []func(*Run, []File) ([]File, error){merge[Metrics], merge[Completion]} {
		if _, err := merge(r, r.m.Parts); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = reopen(t, r.Dir())
	train(t, r, 4, 0)
	rows, err := Read[Metrics](r.Dir())
	if err != nil || len(rows) != 12 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	// One that died after its manifest leaves parts; Open removes them.
	stray := filepath.Join(r.Dir(), partsDir, "metrics-000001-000004.parquet")
	if err := os.MkdirAll(filepath.Dir(stray), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stray, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r = reopen(t, r.Dir())
	if _, err := os.Stat(stray); err == nil {
		t.Error("the stray part is still there")
	}
	if r.Attempt() != 1+2 {
		t.Errorf("a done run got attempt %d", r.Attempt())
	}
	if err := Write(r, 12, 12, metricsOf(12, 12)); err == nil {
		t.Error("wrote into a done run")
	}
	if err := r.Finish(End{}); err == nil {
		t.Error("finished a done run again: its tables would be gone")
	}
}

func TestReadWhileRunning(t *testing.T) {
	r := create(t)
	train(t, r, 5, 12) // commits 5 and 10, writes 12
	rows, err := Read[Metrics](r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 10 || rows[9].Step != 10 {
		t.Errorf("%d rows, want the 10 committed", len(rows))
	}
	if _, err := Read[Slice](r.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a table the run never had: %v", err)
	}
}

func TestDamagedPart(t *testing.T) {
	r := create(t)
	train(t, r, 4, 12) // checkpoints 4 and 8
	part := filepath.Join(r.Dir(), "parts", "metrics-000005-000008.parquet")
	data, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"truncated": data[:len(data)/2],
		"flipped":   append([]byte{data[0] ^ 1}, data[1:]...),
	} {
		if err := os.WriteFile(part, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(r.Dir())
		if err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), "delete the file to resume from the checkpoint of step 4") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Read[Metrics](r.Dir()); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), remedy) {
			t.Errorf("%s: Read: %v", name, err)
		}
	}
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	if _, err := Read[Metrics](r.Dir()); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), remedy) {
		t.Errorf("missing: Read: %v", err)
	}
	r = reopen(t, r.Dir())
	if r.Step() != 4 || len(r.Warnings()) != 1 {
		t.Fatalf("step %d, warnings %q", r.Step(), r.Warnings())
	}
	if r.Covers("completions", 5) || !r.Covers("completions", 4) {
		t.Error("parts after the checkpoint are kept, or those before it are not")
	}
	train(t, r, 4, 0)
	if rows, err := Read[Completion](r.Dir()); err != nil || len(rows) != 12*40 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestMissingCheckpointAndStart(t *testing.T) {
	r := create(t)
	train(t, r, 4, 12)
	if err := os.RemoveAll(r.CheckpointDir(8)); err != nil {
		t.Fatal(err)
	}
	r = reopen(t, r.Dir())
	if r.Step() != 4 || len(r.Warnings()) != 1 || r.Covers("metrics", 5) {
		t.Errorf("step %d, warnings %q", r.Step(), r.Warnings())
	}
	r.Close()
	if err := os.Remove(filepath.Join(r.Dir(), "parts", "eval-000000-000000.parquet")); err != nil {
		t.Fatal(err)
	}
	r = reopen(t, r.Dir())
	if r.Step() != 0 || len(r.m.Parts) != 0 || len(r.Warnings()) != 1 {
		t.Errorf("step %d, parts %v, warnings %q", r.Step(), r.m.Parts, r.Warnings())
	}
	if _, err := os.Stat(r.CheckpointDir(4)); err == nil {
		t.Error("a checkpoint of the lost state is still there")
	}
	train(t, r, 4, 0)
}

func TestLock(t *testing.T) {
	r := create(t)
	_, err := Open(r.Dir())
	var held *HeldError
	if !errors.As(err, &held) || held.Holder.PID != os.Getpid() || !strings.Contains(err.Error(), "pid ") {
		t.Fatalf("second Open: %v", err)
	}
	if _, err := Create(r.Dir(), testManifest()); !errors.As(err, &held) {
		t.Errorf("second Create: %v", err)
	}
	if h, ok := HeldBy(r.Dir()); !ok || h.PID != os.Getpid() {
		t.Errorf("HeldBy: %v %v", h, ok)
	}
	if err := r.Stop(Failed, "out of memory"); err != nil {
		t.Fatal(err)
	}
	if _, ok := HeldBy(r.Dir()); ok {
		t.Error("held after Stop")
	}
	if _, err := Create(r.Dir(), testManifest()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a run: %v", err)
	}
	m, err := ReadManifest(r.Dir())
	if err != nil || m.Status != Failed || m.Attempts[0].Exit != "out of memory" || m.Attempts[0].End.IsZero() {
		t.Errorf("manifest after Stop: %+v, %v", m, err)
	}
	if err := Write(r, 1, 1, metricsOf(1, 1)); err == nil {
		t.Error("wrote after Stop")
	}
}

func TestOpenRefuses(t *testing.T) {
	empty := t.TempDir()
	if _, err := Open(empty); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no run: %v", err)
	}
	if entries, _ := os.ReadDir(empty); len(entries) != 0 {
		t.Error("Open left a file in a folder that is no run")
	}
	for name, text := range map[string]string{"newer": `{"format": "mixr.run/2"}`, "broken": `{"format": `} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, manifestFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), manifestFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Somebody's folder: Open would remove files from it later.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, testManifest()); err == nil || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("foreign folder: %v", err)
	}
	// A results folder that cannot be: a file is in its place.
	if _, err := Create(filepath.Join(dir, "thesis.tex", "run"), testManifest()); err == nil || !strings.Contains(err.Error(), "results folder") {
		t.Errorf("not a folder: %v", err)
	}
}

func TestNotWritable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write anywhere")
	}
	results := t.TempDir()
	if err := os.Chmod(results, 0o555); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(filepath.Join(results, "run"), testManifest()); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}

func TestCommitRefuses(t *testing.T) {
	r := create(t)
	if err := r.Commit(4); err == nil || !strings.Contains(err.Error(), "no checkpoint") {
		t.Errorf("no folder: %v", err)
	}
	if err := Write(r, 1, 5, metricsOf(1, 5)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(r.CheckpointDir(4), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(4); err == nil || !strings.Contains(err.Error(), "beyond") {
		t.Errorf("part beyond the checkpoint: %v", err)
	}
	for name, err := range map[string]error{
		"overlap":     Write(r, 5, 6, metricsOf(5, 6)),
		"outside":     Write(r, 6, 6, metricsOf(7, 7)),
		"descending":  Write(r, 6, 9, slices.Concat(metricsOf(7, 7), metricsOf(6, 6))),
		"inside out":  Write(r, 9, 6, metricsOf(6, 6)),
		"not finite":  Write(r, 6, 6, []Metrics{{Step: 6, Loss: ptr(nan)}}),
		"list":        Write(r, 6, 6, []Completion{{Step: 6, Logp: []float32{0, float32(nan)}}}),
		"no time":     Write(r, 6, 6, []Timing{{Step: 6}}),
		"escape":      r.WriteFile("../x", nil),
		"keep nought": r.Prune(0),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestWriteErrorIsKept: an error of the device reaches the caller, also one that only the Parquet footer meets.
func TestWriteErrorIsKept(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer full.Close()
	e := newEncoder[Metrics](full)
	if err := errors.Join(e.add(metricsOf(1, 1)), e.close()); !isNoSpace(err) {
		t.Errorf("got %v", err)
	}
	_, _, err = replace(t.TempDir(), filepath.Join(t.TempDir(), "x"), func(io.Writer) error { return errors.New("boom") })
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
}

func isNoSpace(err error) bool { return errors.Is(err, unix.ENOSPC) }
