package table

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// killDir tells the child process of TestKilled which run folder to work on.
const killDir = "MIXR_TABLE_TEST_KILL_DIR"

// TestKilled kills a writing process again and again, anywhere, and expects the tables of one that was left alone.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		workOn(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	whole := filepath.Join(t.TempDir(), "run")
	workOn(t, whole)

	dir := filepath.Join(t.TempDir(), "run")
	rng := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for {
		// Long enough to start and commit a little, short enough to die often; more patient each time, so that a loaded
		// machine gets there too.
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(40+rng.IntN(60)+3*kills)*time.Millisecond)
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		out, err := cmd.CombinedOutput()
		timedOut := ctx.Err() != nil
		cancel()
		if err == nil {
			break
		}
		if !timedOut {
			t.Fatalf("after %d kills: %v\n%s", kills, err, out)
		}
		kills++
	}
	t.Logf("%d kills", kills)
	for _, name := range []string{"metrics", "completions", "eval"} {
		want, err := os.ReadFile(filepath.Join(whole, name+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, name+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s.parquet differs after %d kills", name, kills)
		}
	}
}

// workOn does what a run does when it is started: create or go on, train to the end.
func workOn(t *testing.T, dir string) {
	m := testManifest()
	m.Steps = 60
	r, err := Create(dir, m)
	if errors.Is(err, fs.ErrExist) {
		r, err = Open(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Manifest().Status == Done {
		return
	}
	train(t, r, 2, 0)
}
