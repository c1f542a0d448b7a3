package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"

	"mixr/runtime/table"
)

// golden compares with a stored text; MIXR_UPDATE=1 rewrites it. Read the difference.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("MIXR_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func TestDiff(t *testing.T) {
	_, dirA, dirB := twoRuns(t)
	c, err := Diff(dirA, dirB, DiffOptions{Flips: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Spec.Changed) != 2 || c.Spec.Equal != 2 {
		t.Errorf("spec: %+v", c.Spec)
	}
	if ch := c.Spec.Changed[1]; ch.Path != "grpo.kl" || ch.A.Where != "experiments/quickstart.cue:14:6" || string(ch.B.Value) != "0" {
		t.Errorf("grpo.kl: %+v", ch)
	}
	if len(c.Hidden) != 1 || c.Hidden[0].Name != "onnxruntime" || c.Hidden[0].A != "1.30.0" || c.Hidden[0].B != "1.31.0" ||
		!strings.Contains(c.Hidden[0].Matters, "the last bits") {
		t.Errorf("hidden: %+v", c.Hidden)
	}
	if len(c.Fingerprint) != 1 || c.Fingerprint[0].Name != "spec" {
		t.Errorf("fingerprint: %+v", c.Fingerprint)
	}
	yesno := c.Eval[0]
	if yesno.N != 40 || yesno.A != 0.5 || yesno.B != 0.7 || math.Abs(yesno.Delta-0.2) > 1e-12 {
		t.Errorf("yesno: %+v", yesno)
	}
	if f := *yesno.Flips; f.Up != 12 || f.Down != 4 || f.BothRight != 16 || f.BothWrong != 8 || math.Abs(f.P-0.0768) > 5e-5 {
		t.Errorf("flips: %+v", f)
	}
	if all := c.Eval[2]; all.Task != "" || all.N != 60 {
		t.Errorf("all: %+v", all)
	}
	var out bytes.Buffer
	if err := c.Text(&out, Style{Width: 80}); err != nil {
		t.Fatal(err)
	}
	golden(t, "diff.txt", out.String())
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
	// The same digits every time.
	again, err := Diff(dirA, dirB, DiffOptions{Flips: 3})
	if err != nil || *again.Eval[0].Interval != *yesno.Interval {
		t.Errorf("again: %+v, %v", again.Eval[0], err)
	}
}

func TestDiffRefuses(t *testing.T) {
	_, dirA, dirB := twoRuns(t)
	if _, err := Diff(dirA, t.TempDir(), DiffOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no run: %v", err)
	}
	path := filepath.Join(dirB, "eval.parquet")
	if err := os.WriteFile(path, []byte("PAR1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Diff(dirA, dirB, DiffOptions{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("damaged table: %v", err)
	}
}

// TestDiffUnfinished: what can be compared is; the rest is a warning.
func TestDiffUnfinished(t *testing.T) {
	_, dirA, _ := twoRuns(t)
	r, err := table.Create(filepath.Join(t.TempDir(), "run"), table.Manifest{Name: "x", Steps: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.WriteFile("spec.json", []byte(`{"name": "x", "grpo": {"kl": 0.04, "loss": "grpo"}, "policy": {"freeze": ["vision"]}}`)); err != nil {
		t.Fatal(err)
	}
	c, err := Diff(dirA, r.Dir(), DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c.B.State != "running" || len(c.Eval) != 0 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "B has no evaluation") {
		t.Errorf("%+v", c)
	}
	// spec.json alone gives values without positions; kl and freeze are equal, clip_high is in A alone.
	if c.Spec.Equal != 2 || len(c.Spec.Changed) != 2 || c.Spec.Changed[0].B.Value != nil || c.Spec.Changed[1].B.Where != "" {
		t.Errorf("spec: %+v", c.Spec)
	}
}

func TestMatch(t *testing.T) {
	row := func(id, sha string, sample int32, reward float64) table.Eval {
		return table.Eval{ExampleID: id, Source: "s", Task: "open", ItemSHA: sha, Sample: sample, Reward: reward}
	}
	a := []table.Eval{row("1", "x", 0, 0.2), row("1", "x", 1, 0.4), row("2", "x", 0, 1), row("3", "x", 0, 1), row("4", "x", 0, 0)}
	b := []table.Eval{row("4", "x", 0, 0.5), row("1", "x", 1, 0.8), row("1", "x", 0, 0.6), row("1", "x", 2, 9), row("2", "other", 0, 0), row("5", "x", 0, 1)}
	examples, u := match(a, b)
	if u != (Unmatched{OnlyA: 1, OnlyB: 1, Changed: 1, Samples: 1}) {
		t.Errorf("unmatched: %+v", u)
	}
	if len(u.warnings("A", "B")) != 2 {
		t.Errorf("warnings: %q", u.warnings("A", "B"))
	}
	d := deltas(examples, "k")
	if len(d) != 1 || d[0].N != 2 {
		t.Fatalf("deltas: %+v", d)
	}
	// Example 1: means 0.3 and 0.7 over its two paired samples; example 4: 0 and 0.5.
	if math.Abs(d[0].A-0.15) > 1e-12 || math.Abs(d[0].B-0.6) > 1e-12 || d[0].Flips != nil {
		t.Errorf("%+v", d[0])
	}
	// A reward outside 0 and 1 without a verdict is no flip, one of exactly 0 or 1 is.
	if _, ok := right(row("1", "x", 0, 0.5)); ok {
		t.Error("0.5 is neither right nor wrong")
	}
	if is, ok := right(row("1", "x", 0, 1)); !is || !ok {
		t.Error("1 is right")
	}
}

func TestDeltasGroups(t *testing.T) {
	var a, b []table.Eval
	for i := range 3 {
		for _, s := range []struct{ source, task string }{{"clevr", "open"}, {"nlvr", "yesno"}, {"gqa", "yesno"}} {
			a = append(a, evalRow(s.source, s.task, i, after, false))
			b = append(b, evalRow(s.source, s.task, i, after, i == 0))
		}
	}
	examples, _ := match(a, b)
	var got []string
	for _, d := range deltas(examples, "k") {
		got = append(got, d.Task+"/"+d.Source)
	}
	if want := "yesno/gqa yesno/nlvr yesno/ open/clevr /"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFlipsAlternate(t *testing.T) {
	_, dirA, dirB := twoRuns(t)
	c, err := Diff(dirA, dirB, DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var way []float64
	for _, f := range c.Flips {
		way = append(way, f.RewardB-f.RewardA)
	}
	if len(way) != 5 || way[0] != 1 || way[1] != -1 || way[2] != 1 || way[3] != -1 || way[4] != 1 {
		t.Errorf("moves %v", way)
	}
	if none, err := Diff(dirA, dirB, DiffOptions{Flips: -1}); err != nil || len(none.Flips) != 0 {
		t.Errorf("none: %v, %v", none.Flips, err)
	}
}

func TestGain(t *testing.T) {
	_, _, dirB := twoRuns(t)
	g, err := ReadGain(dirB)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Deltas) != 3 || g.Deltas[0].A != 0.25 || g.Deltas[0].B != 0.7 || g.Deltas[0].Flips == nil {
		t.Errorf("%+v", g.Deltas)
	}
	var out bytes.Buffer
	if err := g.Text(&out, Style{Width: 80}); err != nil {
		t.Fatal(err)
	}
	golden(t, "gain.txt", out.String())
}

func TestListAndShow(t *testing.T) {
	results, dirA, _ := twoRuns(t)
	r, err := table.Create(filepath.Join(results, "now-cccccccc"), table.Manifest{Name: "now", Steps: 9, Seed: 7, Versions: map[string]string{"mixr": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(results, "no-run"), 0o755); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(results, "broken-dddddddd")
	if err := os.MkdirAll(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "run.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	states := func() map[string]string {
		runs, err := List(results)
		if err != nil {
			t.Fatal(err)
		}
		of := map[string]string{}
		for _, l := range runs {
			of[filepath.Base(l.Dir)] = l.State + l.Broken
		}
		var out bytes.Buffer
		if err := ListText(&out, Style{}, runs); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "broken-dddddddd: cannot be read") {
			t.Errorf("list:\n%s", out.String())
		}
		return of
	}
	if s := states(); len(s) != 4 || s["now-cccccccc"] != "running" || s["quickstart-aaaaaaaa"] != "done" {
		t.Errorf("states %q", s)
	}
	show := func(dir string) string {
		run, err := Show(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(run); err != nil {
			t.Error(err)
		}
		var out bytes.Buffer
		if err := run.Text(&out, Style{Width: 80}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if s := show(r.Dir()); !strings.Contains(s, "running      pid ") || !strings.Contains(s, "no evaluation yet") {
		t.Errorf("running:\n%s", s)
	}
	if err := r.Close(); err != nil { // as a kill would
		t.Fatal(err)
	}
	if s := states(); s["now-cccccccc"] != Interrupted {
		t.Errorf("states %q", s)
	}
	if s := show(r.Dir()); !strings.Contains(s, "killed") {
		t.Errorf("killed:\n%s", s)
	}
	s := show(dirA)
	for _, want := range []string{"reward_mean", "▁▃▆█", "512 MB peak", "before", "onnxruntime  1.30.0", "4 of 4 steps"} {
		if !strings.Contains(s, want) {
			t.Errorf("show lacks %q:\n%s", want, s)
		}
	}
	if runs, err := List(filepath.Join(results, "nowhere")); err != nil || len(runs) != 0 {
		t.Errorf("no results folder: %v, %v", runs, err)
	}
}

// TestTerminal: whatever names and texts a run holds, plain output has no control characters and keeps its width.
func TestTerminal(t *testing.T) {
	results := t.TempDir()
	long := strings.Repeat("a-rather-long-name-", 3)
	var eval []table.Eval
	for i := range 4 {
		for _, when := range []string{before, after} {
			e := evalRow(long, "grounding", i, when, false)
			e.Correct, e.Reward = nil, float64(i)/10
			e.Question, e.Completion = ptr("see\nbelow"), "\x1b[2J\a\u202e図を見て"+strings.Repeat("長い文章。", 400)
			if when == after {
				e.Reward = 0.9
			}
			eval = append(eval, e)
		}
	}
	prov := table.Provenance{"prompt.templates.open": {Value: json.RawMessage(`"` + strings.Repeat("word ", 100) + `"`), Writers: []string{long + ".cue:1:2"}}}
	dirA := writeRun(t, results, "a", table.Manifest{Name: long}, prov, eval)
	for i := range eval {
		eval[i].Reward /= 2
	}
	dirB := writeRun(t, results, "b", table.Manifest{Name: long}, table.Provenance{}, eval)
	c, err := Diff(dirA, dirB, DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{80, 100} {
		var out bytes.Buffer
		if err := c.Text(&out, Style{Width: width}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if w := lipgloss.Width(line); w > width {
				t.Errorf("width %d: a line of %d: %s", width, w, line)
			}
			if strings.ContainsAny(line, "\x1b\a\u202e") {
				t.Errorf("control characters: %q", line)
			}
		}
	}
	var out bytes.Buffer
	if err := c.Text(&out, Style{Color: true}); err != nil || !strings.Contains(out.String(), "\x1b[") {
		t.Errorf("colour was asked for and is not there, %v", err)
	}
}

func TestSparkline(t *testing.T) {
	v := func(xs ...float64) []*float64 {
		var out []*float64
		for _, x := range xs {
			if math.IsNaN(x) {
				out = append(out, nil)
			} else {
				out = append(out, &x)
			}
		}
		return out
	}
	for _, c := range []struct {
		values []*float64
		width  int
		want   string
	}{
		{v(0, 1, 2, 3, 4, 5, 6, 7), 8, "▁▂▃▄▅▆▇█"},
		{v(0, 0, 7, 7), 2, "▁█"},
		{v(3, 3), 8, "▅▅"},
		{v(1, math.NaN(), 2), 8, "▁ █"},
		{v(math.NaN()), 8, " "},
		{nil, 8, ""},
	} {
		if got := sparkline(c.values, c.width); got != c.want {
			t.Errorf("%d values in %d: %q, want %q", len(c.values), c.width, got, c.want)
		}
	}
}
