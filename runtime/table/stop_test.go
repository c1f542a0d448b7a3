package table

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// stopEarly plays a run of 12 steps that a rule ends at step 8, with a checkpoint every 4 and an evaluation at each of them.
func stopEarly(t *testing.T, r *Run) {
	t.Helper()
	if err := writeTo(r, 4, 4, Eval{Step: 4, When: "during", ExampleID: "e"}); err != nil {
		t.Fatal(err)
	}
	if err := writeTo(r, 8, 4, Eval{Step: 8, When: "after", ExampleID: "e"}); err != nil {
		t.Fatal(err)
	}
	err := r.Finish(End{Best: &Best{4, "reward", 0.5}, Stop: &Stop{Step: 8, Rule: "kl above 1", Value: 2}})
	if err != nil {
		t.Fatal(err)
	}
}

// writeTo commits the steps up to last and leaves an evaluation there, which at 8, the end of stopEarly, is not committed.
func writeTo(r *Run, last, every int, row Eval) error {
	first := last - every + 1
	if err := Write(r, first, last, metricsOf(first, last)); err != nil {
		return err
	}
	if err := os.MkdirAll(r.CheckpointDir(last), 0o755); err != nil {
		return err
	}
	if err := r.Commit(last); err != nil {
		return err
	}
	if err := Write(r, last, last, []Eval{row}); err != nil || row.When == "after" {
		return err
	}
	return r.Commit(last)
}

// A run that stopped early has whole tables; one that goes on has no trace of its end, and the tables of a run that never stopped.
func TestStoppedRunGoesOn(t *testing.T) {
	r := create(t)
	dir := r.Dir()
	stopEarly(t, r)
	m, err := ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Status.Complete() || m.Status != Stopped || *m.Stop != (Stop{8, "kl above 1", 2}) || m.Best.Step != 4 || len(m.Tables) != 2 || len(m.Parts) != 3 {
		t.Errorf("the manifest is %+v", m)
	}
	if last := m.Attempts[0]; last.Exit != "stopped at step 8: kl above 1" || last.ToStep != 8 {
		t.Errorf("the attempt is %+v", last)
	}
	rows, err := Read[Eval](dir)
	if err != nil || len(rows) != 2 || rows[1].When != "after" {
		t.Fatalf("evaluations %+v, %v", rows, err)
	}

	r = reopen(t, dir)
	if m := r.Manifest(); m.Status != Running || m.Stop != nil || m.Best != nil || len(m.Tables) != 0 || r.Step() != 8 {
		t.Errorf("going on: %+v", m)
	}
	if r.Covers("eval", 8) || !r.Covers("eval", 4) {
		t.Error("the evaluation after the end is kept, or that on the way is not")
	}
	for _, name := range []string{"metrics.parquet", "eval.parquet"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s of the earlier end is still there", name)
		}
	}
	if rows, err := Read[Metrics](dir); err != nil || len(rows) != 8 {
		t.Errorf("%d steps, %v", len(rows), err)
	}
	end := func(r *Run) {
		t.Helper()
		if err := writeTo(r, 8, 0, Eval{Step: 8, When: "during", ExampleID: "e"}); err == nil {
			t.Fatal("steps that are there already were written")
		}
		if err := Write(r, 8, 8, []Eval{{Step: 8, When: "during", ExampleID: "e"}}); err != nil {
			t.Fatal(err)
		}
		if err := r.Commit(8); err != nil {
			t.Fatal(err)
		}
		if err := writeTo(r, 12, 4, Eval{Step: 12, When: "after", ExampleID: "e"}); err != nil {
			t.Fatal(err)
		}
		if err := r.Finish(End{}); err != nil {
			t.Fatal(err)
		}
	}
	end(r)
	whole := create(t)
	if err := writeTo(whole, 4, 4, Eval{Step: 4, When: "during", ExampleID: "e"}); err != nil {
		t.Fatal(err)
	}
	if err := writeTo(whole, 8, 4, Eval{Step: 8, When: "after", ExampleID: "e"}); err != nil { // not committed: dropped by reopen
		t.Fatal(err)
	}
	if err := whole.Close(); err != nil {
		t.Fatal(err)
	}
	whole = reopen(t, whole.Dir())
	end(whole)
	for _, name := range []string{"metrics.parquet", "eval.parquet"} {
		a, errA := os.ReadFile(filepath.Join(dir, name))
		b, errB := os.ReadFile(filepath.Join(whole.Dir(), name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from that of a run that never stopped (%v, %v)", name, errA, errB)
		}
	}
}

// Prune keeps the newest checkpoints and those that it is told to.
func TestPruneKeepsTheBest(t *testing.T) {
	r := create(t)
	for step := 1; step <= 6; step++ {
		if err := os.MkdirAll(r.CheckpointDir(step), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := r.Commit(step); err != nil {
			t.Fatal(err)
		}
		if err := r.Prune(2, 3); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.Manifest().Checkpoints; !slices.Equal(got, []int{3, 5, 6}) {
		t.Errorf("checkpoints %v", got)
	}
	if r = reopenAfterDeath(t, r); r.Step() != 6 {
		t.Errorf("resumes at step %d", r.Step())
	}
	for step := 1; step <= 6; step++ {
		_, err := os.Stat(r.CheckpointDir(step))
		if kept := err == nil; kept != (step == 3 || step >= 5) {
			t.Errorf("checkpoint %d: there: %v", step, kept)
		}
	}
}

func reopenAfterDeath(t *testing.T, r *Run) *Run {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return reopen(t, r.Dir())
}

// A run whose Finish failed once its manifest was written is complete all the same: another status would cost it its tables.
func TestCompleteRunStays(t *testing.T) {
	r := create(t)
	dir := r.Dir()
	if err := errors.Join(Write(r, 0, 0, []Eval{{When: "before", ExampleID: "e"}}), r.Commit(0)); err != nil {
		t.Fatal(err)
	}
	inTheWay := filepath.Join(dir, checkpointDir)
	if err := os.WriteFile(inTheWay, nil, 0o644); err != nil { // what is left over cannot be cleaned then
		t.Fatal(err)
	}
	if err := r.Finish(End{}); err == nil {
		t.Fatal("Finish has cleaned a folder that is none")
	}
	if err := r.Stop(Failed, "clean run folder"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	r = reopen(t, dir)
	if status := r.Manifest().Status; status != Done {
		t.Errorf("the run is %s", status)
	}
	if rows, err := Read[Eval](dir); err != nil || len(rows) != 1 {
		t.Errorf("evaluations %+v, %v", rows, err)
	}
}
