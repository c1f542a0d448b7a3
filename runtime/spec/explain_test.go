package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The account of values that were written in every way there is. MIXR_UPDATE=1 rewrites the golden.
func TestExplain(t *testing.T) {
	golden, err := filepath.Abs("testdata/explain.golden")
	if err != nil {
		t.Fatal(err)
	}
	f := load1(t, ladder, "grpo.steps=20", "grpo.learning_rate=2e-6")
	last := f.Rungs[2].WithSeed(f.Seeds[1])
	var got strings.Builder
	for _, path := range []string{"grpo.steps", "grpo.kl", "grpo.clip_low", "policy.freeze", "data.sources.b", "seed", "name"} {
		found, err := last.Explain(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range found {
			got.WriteString(l.String())
		}
	}
	if os.Getenv("MIXR_UPDATE") == "1" {
		write(t, golden, got.String())
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
	if last.Experiment.Seed != 8 || f.Rungs[2].Experiment.Seed != 1 {
		t.Error("WithSeed changed the rung that it was called on, or did not change its copy")
	}
	for path, want := range map[string]string{
		"grpo.clip_lo":  `the experiment has no value grpo.clip_lo (did you mean "grpo.clip_low"?)`,
		"learning_rate": `the experiment has no value learning_rate (did you mean "grpo.learning_rate"?)`,
		"zebra":         `the experiment has no value zebra`,
	} {
		if _, err := last.Explain(path); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// A value that follows another names that one's writer.
func TestExplainFollows(t *testing.T) {
	f := load1(t, good, "grpo.max_completion_tokens=32")
	l, err := f.Rungs[0].Explain("eval.max_completion_tokens")
	if err != nil || l[0].Value != "32" || l[0].Writers[0].Pos.File != CommandLine || l[0].Writers[1].Pos.Line != 8 {
		t.Errorf("%v %v", l, err)
	}
}

// Every leaf has a writer or is a default, and names its constraint.
func TestLeavesAreComplete(t *testing.T) {
	f := load1(t, ladder)
	for _, r := range f.Rungs {
		have := values(r.Experiment)
		for _, l := range r.Leaves {
			if l.Rule.IsZero() || l.Want == "" || l.Doc == "" {
				t.Errorf("%+v", l)
			}
			if v, ok := have[l.Path]; ok && v != l.Value {
				t.Errorf("%s: leaf %s, experiment %s", l.Path, l.Value, v)
			}
			delete(have, l.Path)
		}
		if len(have) > 0 {
			t.Errorf("%s: no leaf for %v", r.Name, have)
		}
	}
}
