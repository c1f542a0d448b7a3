package train

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mixr/runtime/table"
)

// Variables that make this test binary a child which runs the trial of a world into a folder.
const (
	childWorld = "MIXR_TRAIN_TEST_WORLD"
	childDir   = "MIXR_TRAIN_TEST_DIR"
)

// killed is the trial of these tests: enough steps, checkpoints and evaluations for a kill to land anywhere, and a rule that stops it.
func killed(w *world) *Inputs {
	return w.open("tiny.cue", "grpo.steps=14", "checkpoint.every=1", "checkpoint.keep=2", "grpo.batch_size=8", "grpo.learning_rate=0.05",
		"eval.every=2", "eval.keep_best=reward", `stop_when=[{metric: "eval.reward", above: -1000, for: 6}]`)
}

// child starts a process on the trial.
func child(t *testing.T, w *world, dir string) (cmd *exec.Cmd, output *bytes.Buffer) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-test.run=^TestKilledRunContinues$")
	cmd.Env = append(os.Environ(), childWorld+"="+w.dir, childDir+"="+dir)
	output = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	check(t, cmd.Start())
	return cmd, output
}

// TestKilledRunContinues kills the process of a run again and again, from its start to its end, and expects each time that the next
// process goes on, and in the end the bytes of a run that was left alone.
func TestKilledRunContinues(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		w := &world{t, os.Getenv(childWorld)}
		err := w.run(t.Context(), killed(w), dir, Options{Workers: 2})
		check(t, err)
		return
	}
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	w := newWorld(t)
	whole := filepath.Join(t.TempDir(), "run")
	start := time.Now()
	cmd, output := child(t, w, whole)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	length := time.Since(start)
	want, end := results(t, whole), manifestOf(t, whole)
	if end.Stop == nil || end.Best == nil {
		t.Fatalf("the run ended with %+v, best %+v", end.Stop, end.Best)
	}

	const kills = 10
	rng := rand.New(rand.NewPCG(1, 2))
	done, resumed := 0, map[int]bool{}
	for folder := 0; done < kills; folder++ {
		dir, reached := filepath.Join(t.TempDir(), "run"), 0
		for attempt := 0; ; attempt++ {
			// The machine may be slower by now than when the length was measured: later attempts get longer, so that one of them ends.
			limit := length + length/4*time.Duration(attempt)
			cmd, output := child(t, w, dir)
			timer := time.AfterFunc(time.Duration(rng.Int64N(int64(limit))), func() { _ = cmd.Process.Kill() }) // it may have ended by itself
			err := cmd.Wait()
			timer.Stop()
			if err != nil && cmd.ProcessState.Exited() {
				t.Fatalf("attempt %d in folder %d failed by itself: %v\n%s", attempt, folder, err, output)
			}
			m, unread := table.ReadManifest(dir) // a kill may come before there is one
			for _, began := range m.Attempts {
				if began.PID == cmd.Process.Pid && began.FromStep != reached {
					t.Fatalf("attempt %d in folder %d began at step %d, where the one before left %d", attempt, folder, began.FromStep, reached)
				}
			}
			reached = last(m.Checkpoints)
			if err == nil {
				break
			}
			done++
			if unread == nil {
				resumed[reached] = true
			}
		}
		sameResults(t, "killed", results(t, dir), want)
		if m := manifestOf(t, dir); m.Status != end.Status || *m.Stop != *end.Stop || *m.Best != *end.Best {
			t.Errorf("killed: %s with %+v, best %+v; want %s with %+v, best %+v", m.Status, m.Stop, m.Best, end.Status, end.Stop, end.Best)
		}
	}
	t.Logf("%d kills of a run of %v; checkpoints that were left: %v", done, length.Round(time.Millisecond), resumed)
	if len(resumed) < 3 {
		t.Errorf("the kills left checkpoints %v only: they do not spread over the run", resumed)
	}
}

// TestSecondProcessIsRefused starts a run in a folder that another process works on.
func TestSecondProcessIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills a process")
	}
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "run")
	cmd, output := child(t, w, dir)
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if h, held := table.HeldBy(dir); held && h.PID == cmd.Process.Pid {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the child never took the folder\n%s", output)
		}
	}
	err := w.run(t.Context(), killed(w), dir, Options{})
	var held *table.HeldError
	if !errors.As(err, &held) || held.Holder.PID != cmd.Process.Pid {
		t.Fatalf("got %v, want the folder held by pid %d", err, cmd.Process.Pid)
	}
	for _, part := range []string{dir, "pid ", "since ", "wait for it or stop it"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}
