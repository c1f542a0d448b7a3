package train

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedRun damages the folder of an interrupted run and expects an error that names the file and says how to go on, or a run
// that goes on by itself with a warning; never lost rows, and in the end always the tables of a run that was left alone.
func TestDamagedRun(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.steps=5", "grpo.batch_size=8", frozen)
	want := results(t, w.finished(in, Options{}))

	// Stopped after step 4, with the checkpoints of steps 2 and 4.
	stopped := filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(t.Context())
	err := w.run(ctx, in, stopped, Options{Progress: func(e Event) {
		if e.Phase == "train" && e.Done == 3 {
			cancel()
		}
	}})
	var interrupted *Interrupted
	if !errors.As(err, &interrupted) || interrupted.Step != 4 {
		t.Fatal(err)
	}

	const four, two = "checkpoints/step-000004", "checkpoints/step-000002"
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		says   []string               // of the error; or of the warning, where the run goes on
		repair func(dir string) error // what the error advises; nil where the run goes on by itself
	}{
		{name: "nothing", damage: func(string) error { return nil }},
		{name: "policy truncated", damage: cut(four + "/model.safetensors"), repair: remove(four),
			says: []string{four + "/model.safetensors is damaged", "delete the folder", "continue from the checkpoint before it"}},
		{name: "optimizer bit flipped", damage: flip(four + "/optimizer.safetensors"), repair: remove(four),
			says: []string{four + "/optimizer.safetensors is damaged", "delete the folder", four}},
		{name: "policy missing", damage: remove(four + "/model.safetensors"), repair: remove(four),
			says: []string{four + "/model.safetensors", "no such file", "delete the folder"}},
		{name: "optimizer missing", damage: remove(four + "/optimizer.safetensors"), repair: remove(four),
			says: []string{four + "/optimizer.safetensors", "no such file", "delete the folder"}},
		{name: "seal missing", damage: remove(four + "/state.json"), repair: remove(four),
			says: []string{four + "/state.json", "no such file", "delete the folder"}},
		{name: "seal truncated", damage: cut(four + "/state.json"), repair: remove(four),
			says: []string{four + "/state.json", "delete the folder"}},
		{name: "seal empty", damage: put(four+"/state.json", `{"step": 4}`), repair: remove(four),
			says: []string{four + "/state.json", "does not list", "delete the folder"}},
		{name: "of another step", damage: func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, four)), os.CopyFS(filepath.Join(dir, four), os.DirFS(filepath.Join(dir, two))))
		}, repair: remove(four), says: []string{four + " is of step 2, want 4", "delete the folder"}},
		{name: "both checkpoints damaged", damage: join(cut(four+"/model.safetensors"), cut(two+"/model.safetensors")), repair: remove("checkpoints"),
			says: []string{four + "/model.safetensors is damaged"}},
		{name: "newest checkpoint gone", damage: remove(four), says: []string{"the checkpoint of step 4 is missing", "resume from the checkpoint of step 2"}},
		{name: "all checkpoints gone", damage: remove("checkpoints"), says: []string{"start again from the initial weights"}},
		{name: "part truncated", damage: cut("parts/completions-000003-000004.parquet"), repair: remove("parts/completions-000003-000004.parquet"),
			says: []string{"parts/completions-000003-000004.parquet", "truncated", "delete the file", "resume from the checkpoint of step 2"}},
		{name: "part bit flipped", damage: flip("parts/metrics-000001-000002.parquet"), repair: remove("parts/metrics-000001-000002.parquet"),
			says: []string{"parts/metrics-000001-000002.parquet", "sha256", "delete the file", "start again from the initial weights"}},
		{name: "evaluation part empty", damage: put("parts/eval-000000-000000.parquet", ""), repair: remove("parts/eval-000000-000000.parquet"),
			says: []string{"parts/eval-000000-000000.parquet", "truncated", "delete the file"}},
		{name: "part gone", damage: remove("parts/slices-000003-000004.parquet"),
			says: []string{"parts/slices-000003-000004.parquet is missing", "resume from the checkpoint of step 2"}},
		{name: "leftovers", damage: join(put("parts/metrics-000005-000005.parquet", "half"), put(".writing/x", "half"), put("checkpoints/step-000005/model.safetensors", "half"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "run")
			check(t, os.CopyFS(dir, os.DirFS(stopped)))
			check(t, c.damage(dir))
			before := tree(t, dir)
			var warnings []string
			began := false
			err := w.run(t.Context(), in, dir, Options{
				Warn: func(text string) {
					warnings = append(warnings, text)
					if began {
						t.Error("a warning comes after the work has begun")
					}
				},
				Progress: func(Event) { began = true },
			})
			if c.repair != nil {
				if err == nil {
					t.Fatal("the damage was not found")
				}
				mentions(t, err.Error(), c.says)
				after := tree(t, dir)
				for path, text := range before {
					if path != "run.json" && path != "lock" && after[path] != text {
						t.Errorf("the refused run changed or removed %s", path)
					}
				}
				check(t, c.repair(dir))
				check(t, w.run(t.Context(), in, dir, Options{}))
			} else {
				check(t, err)
				mentions(t, strings.Join(warnings, "\n"), c.says)
			}
			sameResults(t, c.name, results(t, dir), want)
		})
	}
}

// Folders in which a run must not even begin are refused and stay as they are.
func TestForeignFolderIsRefused(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.steps=1", "eval.examples=0")
	other := w.finished(w.open("tiny.cue", "grpo.steps=1", "eval.examples=0", "seed=2"), Options{})
	for _, c := range []struct {
		name string
		make func(dir string) error
		says []string
	}{
		{"another trial", func(dir string) error { return os.CopyFS(dir, os.DirFS(other)) }, []string{"holds a run of another trial", "name another"}},
		{"another trial, killed", join(func(dir string) error { return os.CopyFS(dir, os.DirFS(other)) }, edit("run.json", `"status": "done"`, `"status": "running"`)),
			[]string{"holds a run of another trial", "name another"}},
		{"no run", put("notes.txt", "mine"), []string{"is not empty (notes.txt) and holds no run", "name another folder"}},
		{"manifest garbage", put("run.json", "{"), []string{"run.json", "unexpected end of JSON"}},
		{"manifest of another version", put("run.json", `{"format": "mixr.run/9"}`), []string{"run.json", `"mixr.run/9"`, `"mixr.run/1"`}},
		{"a file", func(dir string) error { return os.WriteFile(dir, nil, 0o644) }, []string{"not a directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			check(t, c.make(dir))
			before := tree(t, dir)
			err := w.run(t.Context(), in, dir, Options{})
			if err == nil {
				t.Fatal("accepted")
			}
			mentions(t, err.Error(), append(c.says, dir))
			after := tree(t, dir)
			delete(after, "lock")
			delete(before, "lock")
			for path, text := range before {
				if after[path] != text {
					t.Errorf("%s was changed or removed", path)
				}
				delete(after, path)
			}
			for path := range after {
				t.Errorf("%s was added", path)
			}
		})
	}
}

// A policy that a run exported is a policy: another experiment starts from it.
func TestExportedPolicyOpens(t *testing.T) {
	w := newWorld(t)
	from := filepath.Join(w.finished(w.open("tiny_sft.cue", "sft.steps=1", "eval.examples=0"), Options{}), "policy")
	in := w.open("tiny.cue", "policy.from="+from, "policy.init=weights", "grpo.steps=1")
	check(t, w.run(t.Context(), in, filepath.Join(t.TempDir(), "run"), Options{}))
	if in.WeightsHash == w.open("tiny.cue").WeightsHash {
		t.Error("weights do not count in the hash of the policy")
	}
}

// tree is the text of every file in a folder by path; the file itself under "." if it is one.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		text, err := os.ReadFile(path)
		files[filepath.ToSlash(rel)] = string(text)
		return err
	}))
	return files
}

func mentions(t *testing.T, text string, parts []string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}

// Damage to a file of a run folder.

func cut(name string) func(string) error {
	return change(name, func(b []byte) []byte { return b[:len(b)/2] })
}

func flip(name string) func(string) error {
	return change(name, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
}

func edit(name, old, new string) func(string) error {
	return change(name, func(b []byte) []byte { return []byte(strings.Replace(string(b), old, new, 1)) })
}

func change(name string, f func([]byte) []byte) func(string) error {
	return func(dir string) error {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), f(b), 0o644)
	}
}

func put(name, text string) func(string) error {
	return func(dir string) error {
		path := filepath.Join(dir, name)
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
}

func remove(name string) func(string) error {
	return func(dir string) error {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return err
		}
		return os.RemoveAll(filepath.Join(dir, name))
	}
}

func join(all ...func(string) error) func(string) error {
	return func(dir string) (err error) {
		for _, f := range all {
			err = errors.Join(err, f(dir))
		}
		return err
	}
}
