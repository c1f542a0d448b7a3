package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mixr/runtime/table"
)

// ladder makes a study of three rungs with so many seeds. Rung +mcq answers yesno much better than base, and has examples of its own;
// +kl changes nothing but by chance.
func ladder(t *testing.T, seeds int) (results string) {
	t.Helper()
	results = t.TempDir()
	for r, rung := range []string{"base", "+mcq", "+kl"} {
		for seed := 1; seed <= seeds; seed++ {
			rng := rand.New(rand.NewPCG(uint64(r), uint64(seed)))
			var rows []table.Eval
			for i := range 40 {
				chance := []float64{0.4, 0.8, 0.8}[r] + 0.02*rng.NormFloat64()
				rows = append(rows, evalRow("nlvr", "yesno", i, after, rng.Float64() < chance))
			}
			for i := range 30 {
				if r > 0 {
					rows = append(rows, evalRow("nlvr_mcq", "mcq", i, after, rng.Float64() < 0.5))
				}
			}
			name := fmt.Sprintf("ladder-%d%d", r, seed)
			m := table.Manifest{
				Name: "ladder", Trial: fmt.Sprintf("ladder/%s/seed-%d", rung, seed), Seed: uint64(seed),
				Labels:      map[string]string{"study": "ladder", "rung": rung, "seed": fmt.Sprint(seed)},
				Fingerprint: map[string]string{"combined": hash(fmt.Sprint(seed)), "data": hash(fmt.Sprint(r))},
				Versions:    map[string]string{"mixr": "v0.1.0", "go": "go1.26.8"},
			}
			prov := table.Provenance{
				"seed":    {Value: json.RawMessage(fmt.Sprint(seed)), Writers: []string{"l.cue:9:9"}},
				"grpo.kl": {Value: json.RawMessage([]string{"0.04", "0.04", "0"}[r]), Writers: []string{"l.cue:3:4"}},
			}
			writeRun(t, results, name, m, prov, rows)
		}
	}
	return results
}

// record writes the record of the study that ladder makes.
func record(t *testing.T, results string, seeds int) {
	t.Helper()
	s := table.Study{Name: "ladder", Rungs: []string{"base", "+mcq", "+kl"}}
	for r, rung := range []string{"base", "+mcq", "+kl"} {
		for seed := 1; seed <= seeds; seed++ {
			s.Trials = append(s.Trials, table.StudyTrial{Rung: rung, Seed: uint64(seed), Run: fmt.Sprintf("ladder-%d%d", r, seed)})
		}
	}
	if err := table.WriteStudy(results, s, false); err != nil {
		t.Fatal(err)
	}
}

func makeTable(t *testing.T, results string, o TableOptions) *Table {
	t.Helper()
	s, err := ReadStudy(results, "ladder")
	if err != nil {
		t.Fatal(err)
	}
	got, err := MakeTable(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTable(t *testing.T) {
	results := ladder(t, 4)
	record(t, results, 5) // the fifth seed has not run
	tab := makeTable(t, results, TableOptions{})
	if got := strings.Join(tab.Columns, " "); got != "yesno mcq all" {
		t.Errorf("columns %q", got)
	}
	if r := tab.Rows[0]; r.Rung != "base" || len(r.Seeds) != 4 || r.Planned != 5 || r.Cells[1].N != 0 || r.Cells[0].Delta != nil {
		t.Errorf("base: %+v", r)
	}
	gain := tab.Rows[1].Cells[0]
	if gain.N != 40 || gain.Delta.N != 40 || gain.Delta.Seeds != 4 || !gain.Delta.Test.Significant() || gain.Delta.Test.Holm < gain.Delta.Test.P {
		t.Errorf("+mcq: %+v %+v", gain, gain.Delta)
	}
	// Against base, the new task has no partner, and all is on the 40 examples of both.
	if c := tab.Rows[1].Cells; c[1].Delta != nil || c[2].Delta.N != 40 || c[2].N != 70 {
		t.Errorf("+mcq: %+v", c)
	}
	if c := tab.Rows[2].Cells; c[2].Delta.N != 70 || c[2].Delta.Test.Significant() {
		t.Errorf("+kl: %+v", c[2].Delta)
	}
	if tab.Tests != 5 {
		t.Errorf("%d tests", tab.Tests)
	}
	if base := makeTable(t, results, TableOptions{Base: true}); base.Rows[2].Cells[2].Delta.N != 40 || base.Against != "base" {
		t.Errorf("against base: %+v", base.Rows[2].Cells[2].Delta)
	}
	if correct := makeTable(t, results, TableOptions{Metric: "correct"}); correct.Rows[1].Cells[0].Mean != gain.Mean {
		t.Errorf("correct: %+v", correct.Rows[1].Cells[0])
	}
	for _, format := range TableFormats {
		var out bytes.Buffer
		if err := tab.Write(&out, format, Style{}); err != nil {
			t.Fatal(err)
		}
		golden(t, "table."+format, out.String())
		if missing := Missing(out.String(), "before\r\n"+strings.ReplaceAll(out.String(), "\n", "\r\n")+"after"); missing != nil {
			t.Errorf("%s: its own lines are missing: %q", format, missing)
		}
		if missing := Missing(out.String(), strings.Replace(out.String(), "0.", "0.9", 1)); len(missing) != 1 {
			t.Errorf("%s: another number: %q", format, missing)
		}
	}
	if err := tab.Write(&bytes.Buffer{}, "pdf", Style{}); err == nil || !strings.Contains(err.Error(), "text, markdown") {
		t.Errorf("pdf: %v", err)
	}
}

// TestTableOneSeed: however large the difference, one seed earns no mark, and two none either.
func TestTableOneSeed(t *testing.T) {
	for seeds := 1; seeds <= 2; seeds++ {
		var out bytes.Buffer
		tab := makeTable(t, ladder(t, seeds), TableOptions{})
		if err := tab.Write(&out, "markdown", Style{}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "**") || strings.Contains(out.String(), ` \*`) && !strings.Contains(out.String(), `: \* significant`) {
			t.Errorf("%d seeds:\n%s", seeds, out.String())
		}
		for _, r := range tab.Rows {
			for _, c := range r.Cells {
				if c.Delta != nil && (c.difference().text != fmt.Sprintf("%+.3f", c.Delta.Delta) && c.Delta.N == c.N) {
					t.Errorf("%d seeds: %q", seeds, c.difference().text)
				}
			}
		}
	}
}

func TestReadStudy(t *testing.T) {
	results := ladder(t, 2)
	byLabels, err := ReadStudy(results, "ladder")
	if err != nil {
		t.Fatal(err)
	}
	record(t, results, 2)
	byRecord, err := ReadStudy(results, "ladder")
	if err != nil {
		t.Fatal(err)
	}
	// All runs of the test start in one second, so that labels alone leave the order of rungs open.
	for _, r := range byRecord.Rungs {
		for _, s := range byLabels.Rungs {
			if s.Name == r.Name && fmt.Sprint(s) != fmt.Sprint(r) {
				t.Errorf("by labels %v, by record %v", s, r)
			}
		}
	}
	if g, ok := byRecord.Group("+mcq"); !ok || len(g.Runs) != 2 || g.Name != "ladder/+mcq" {
		t.Errorf("group %+v", g)
	}
	if _, ok := byRecord.Group("nope"); ok {
		t.Error("there is no such rung")
	}
	if _, err := ReadStudy(results, "other"); err == nil || !strings.Contains(err.Error(), `no runs of a study "other"`) {
		t.Errorf("other: %v", err)
	}
	// Part of the study ran again: what did not stays.
	more := table.Study{Name: "ladder", Rungs: []string{"base", "+mcq", "+kl", "+new"}, Trials: []table.StudyTrial{{Rung: "base", Seed: 2, Run: "ladder-11"}, {Rung: "+new", Seed: 1, Run: "none"}}}
	if err := table.WriteStudy(results, more, true); err != nil {
		t.Fatal(err)
	}
	again, err := ReadStudy(results, "ladder")
	if err != nil || len(again.Rungs) != 4 || filepath.Base(again.Rungs[0].Runs[1].Dir) != "ladder-11" || again.Rungs[3].Runs[0].Dir != "" {
		t.Errorf("%+v, %v", again, err)
	}
	for text, want := range map[string]string{
		"{": "delete it", `{"format": "mixr.study/2"}`: `format is "mixr.study/2"`,
		`{"format": "mixr.study/1", "trials": [{"rung": "a", "seed": "1", "run": "../etc"}]}`: "not the name of a run folder",
	} {
		if err := os.WriteFile(filepath.Join(results, "ladder.study.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadStudy(results, "ladder"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestRewardDiffers: what makes rewards of two rows no measure of the same thing.
func TestRewardDiffers(t *testing.T) {
	there := Side{Value: json.RawMessage("1")}
	for _, c := range []struct {
		path       string
		both, want bool
	}{
		{"rewards.format.weight", true, true}, {"rewards.format.weight", false, true}, {"rewards.overlong.buffer", false, true},
		{"rewards.repetition.ngram", false, true}, {"rewards.combine", true, true}, {"rewards.chart.tolerance", true, true},
		{"rewards.chart.tolerance", false, false}, {"route.open", true, true}, {"grpo.kl", true, false},
	} {
		ch := Change{Path: c.path, B: there}
		if c.both {
			ch.A = there
		}
		if got := rewardDiffers(ch); got != c.want {
			t.Errorf("%s, on both sides %v: got %v", c.path, c.both, got)
		}
	}
}
