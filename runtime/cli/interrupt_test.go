package cli_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"mixr/runtime/cli"
	"mixr/runtime/table"
)

// TestInterrupt stops a run between two steps, as Ctrl-C does, and lets the same command go on to the same tables.
func TestInterrupt(t *testing.T) {
	lib := library(t)
	dir := t.TempDir()
	if err := makeTiny(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for name, value := range map[string]string{
		"MIXR_ORT_LIB": lib, "MIXR_UPDATE": "", "XDG_CONFIG_HOME": filepath.Join(dir, "config"),
	} {
		t.Setenv(name, value)
	}
	mixr := func(ctx context.Context, watch *trigger, want int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if got := cli.Main(ctx, &out, watch, args); got != want {
			t.Fatalf("mixr %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), got, want, out.String(), watch.text.String())
		}
		return watch.text.String()
	}

	ctx, cancel := context.WithCancel(t.Context())
	said := mixr(ctx, &trigger{on: "evaluate before 4/4", do: cancel}, 130, "run", "tiny.cue", "--results", "stopped")
	for _, want := range []string{"stopping after this step", "stopped after step 1 of 2", "run the same command again to go on"} {
		if !strings.Contains(said, want) {
			t.Errorf("an interrupted run said nothing of %q:\n%s", want, said)
		}
	}

	// While another process has the run, it is left alone.
	found, err := filepath.Glob("stopped/tiny-*")
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v; want one run", found, err)
	}
	held, err := table.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	said = mixr(t.Context(), &trigger{}, 1, "run", "tiny.cue", "--results", "stopped")
	if !strings.Contains(said, "tiny  running  pid ") || !strings.Contains(said, "is in use by pid ") {
		t.Errorf("a run in use was not said to be:\n%s", said)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}

	said = mixr(t.Context(), &trigger{}, 0, "run", "tiny.cue", "--results", "stopped")
	if want := "incomplete: resumes at step 1 of 2"; !strings.Contains(said, want) {
		t.Errorf("the second run did not say %q:\n%s", want, said)
	}
	mixr(t.Context(), &trigger{}, 0, "run", "tiny.cue", "--results", "whole")

	var folders []string
	for _, results := range []string{"stopped", "whole"} {
		found, err := filepath.Glob(filepath.Join(results, "tiny-*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s holds %v, %v; want one run", results, found, err)
		}
		folders = append(folders, found[0])
	}
	mixr(t.Context(), &trigger{}, 0, "diff", folders[0], folders[1])
}

// trigger keeps what is written and calls do the first time a text appears in it.
type trigger struct {
	text bytes.Buffer
	on   string
	do   func()
}

func (w *trigger) Write(p []byte) (int, error) {
	n, err := w.text.Write(p)
	if w.do != nil && strings.Contains(w.text.String(), w.on) {
		w.do()
		w.do = nil
	}
	return n, err
}
