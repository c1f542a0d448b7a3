package train

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"mixr/runtime/table"
)

// The policy that a run leaves is exactly what it trained: an evaluation of it, as a run of its own, gives the rows that the run
// gave after training. It trains nothing and leaves nothing else, and goes on after an interruption.
func TestEvaluationRun(t *testing.T) {
	w := newWorld(t)
	trained := w.finished(w.open("tiny.cue", "grpo.steps=2", "eval.samples=3", "eval.temperature=1"), Options{})
	in := w.open("tiny.cue", "stage=eval", "policy.init=weights", "policy.from="+filepath.Join(trained, PolicyFolder),
		"eval.samples=3", "eval.temperature=1")
	dir := w.finished(in, Options{Workers: 2})

	var want []table.Eval
	for _, row := range rowsOf[table.Eval](t, trained) {
		if row.When == "after" {
			row.Step = 0
			want = append(want, row)
		}
	}
	got := rowsOf[table.Eval](t, dir)
	if len(got) != len(want) || len(want) != 5*3 {
		t.Fatalf("%d rows, %d of the run that trained, want %d", len(got), len(want), 5*3)
	}
	for i, row := range got {
		if row.When != "after" || row.Step != 0 || row.ExampleID != want[i].ExampleID || row.Completion != want[i].Completion || row.Reward != want[i].Reward {
			t.Errorf("row %d: got %s, step %d, %s: %q, reward %v; want %s: %q, reward %v", i, row.When, row.Step, row.ExampleID,
				row.Completion, row.Reward, want[i].ExampleID, want[i].Completion, want[i].Reward)
		}
	}
	m, err := table.ReadManifest(dir)
	check(t, err)
	if m.Status != table.Done || m.Summary[table.RewardAfter] != meanReward(got) || len(m.Summary) != 1 || len(m.Tables) != 1 || len(m.Checkpoints) != 0 {
		t.Errorf("the manifest is %+v", m)
	}
	for _, name := range []string{PolicyFolder, AdapterFolder, "checkpoints", "metrics.parquet", "graphs/gradient.onnx"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("an evaluation leaves %s (%v)", name, err)
		}
	}

	again := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = w.run(ctx, in, again, Options{Progress: func(e Event) {
		if e.Phase != "evaluate" {
			t.Errorf("phase %q", e.Phase)
		}
		cancel()
	}})
	if !errors.As(err, new(*Interrupted)) {
		t.Fatalf("got %v, want an interruption", err)
	}
	check(t, w.run(t.Context(), in, again, Options{Workers: 3}))
	a, err := os.ReadFile(filepath.Join(dir, "eval.parquet"))
	check(t, err)
	b, err := os.ReadFile(filepath.Join(again, "eval.parquet"))
	check(t, err)
	if !bytes.Equal(a, b) {
		t.Error("an interrupted evaluation gives another table")
	}
}
