package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"mixr/runtime/table"
)

// TestHostile: whatever a model, a data set or a manifest says, no writer lets it become markup or control codes.
func TestHostile(t *testing.T) {
	const evil = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\x07\u202e\xff\xfe\n```\n# heading | [a](javascript:x) `` ` \\begin{x} $^_&%"
	results := t.TempDir()
	var dirs []string
	for i, name := range []string{"a", "b"} {
		e := evalRow("s", "open", 1, after, i == 1)
		e.Source, e.ExampleID, e.Completion, e.Question, e.Gold, e.Image = evil, evil, evil, ptr(evil), ptr(evil), ptr(evil)
		more := evalRow("t", "mcq", 1, after, i == 0)
		m := table.Manifest{Name: evil, Trial: evil, Versions: map[string]string{evil: name + evil, "mixr": name}}
		dirs = append(dirs, writeRun(t, results, name, m, table.Provenance{evil: {Value: json.RawMessage(`"` + name + `"`), Writers: []string{evil}}}, []table.Eval{e, more}))
	}
	c, err := Diff(dirs[0], dirs[1], DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &Study{Name: evil, Rungs: []Rung{{evil, []Replicate{{1, dirs[0]}}}, {evil + "2", []Replicate{{1, dirs[1]}}}}}
	tab, err := MakeTable(s, TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	of, err := DiffStudies(s, s, DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	control := regexp.MustCompile("[\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u202e]")
	fences := regexp.MustCompile("(?s)````+text\n.*?\n````+")
	for name, write := range map[string]func(*bytes.Buffer) error{
		"diff text":      func(b *bytes.Buffer) error { return c.Text(b, Style{}) },
		"diff markdown":  func(b *bytes.Buffer) error { return c.Markdown(b) },
		"diff html":      func(b *bytes.Buffer) error { return c.HTML(b) },
		"study text":     func(b *bytes.Buffer) error { return of.Text(b, Style{}) },
		"study html":     func(b *bytes.Buffer) error { return of.HTML(b) },
		"study markdown": func(b *bytes.Buffer) error { return of.Markdown(b) },
		"table text":     func(b *bytes.Buffer) error { return tab.Write(b, "text", Style{}) },
		"table markdown": func(b *bytes.Buffer) error { return tab.Write(b, "markdown", Style{}) },
		"table html":     func(b *bytes.Buffer) error { return tab.Write(b, "html", Style{}) },
		"table latex":    func(b *bytes.Buffer) error { return tab.Write(b, "latex", Style{}) },
		"list": func(b *bytes.Buffer) error {
			runs, err := List(results)
			if err != nil {
				return err
			}
			return ListText(b, Style{}, runs)
		},
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text := out.String()
		if !utf8.ValidString(text) {
			t.Errorf("%s: not UTF-8", name)
		}
		if at := control.FindStringIndex(text); at != nil {
			t.Errorf("%s: a control code in %q", name, text[max(0, at[0]-20):at[1]])
		}
		if strings.HasSuffix(name, "markdown") {
			text = fences.ReplaceAllString(text, "") // what is fenced is shown as it is
		}
		if strings.HasSuffix(name, "html") || strings.HasSuffix(name, "markdown") {
			if at := regexp.MustCompile(`(?i)<(script|img)`).FindStringIndex(text); at != nil {
				t.Errorf("%s: markup: %q", name, text[at[0]:min(len(text), at[0]+40)])
			}
		}
		if strings.HasSuffix(name, "markdown") && regexp.MustCompile(`[^\\]\]\(javascript`).MatchString(text) || strings.HasSuffix(name, "latex") && strings.Contains(text, `\begin{x}`) {
			t.Errorf("%s: a link or a command:\n%s", name, text)
		}
	}
}

// plant puts a file in the place of a run's eval table, as one that its manifest lists.
func plant(t *testing.T, dir string, file []byte) {
	t.Helper()
	path := filepath.Join(dir, "run.json")
	m, err := table.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	for i := range m.Tables {
		if m.Tables[i].Table == "eval" {
			m.Tables[i].Bytes, m.Tables[i].SHA256 = int64(len(file)), hex.EncodeToString(sum[:])
			if err := os.WriteFile(filepath.Join(dir, m.Tables[i].Path), file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// foreign is an eval table that mixr would not write.
func foreign(t *testing.T, version string, rows ...table.Eval) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[table.Eval](&buf, parquet.Compression(&zstd.Codec{}), parquet.KeyValueMetadata("mixr.table", version))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestForeignTables: a table that cannot be read is an error that names the file, of every report and never a panic.
func TestForeignTables(t *testing.T) {
	_, dirA, dirB := twoRuns(t)
	good := foreign(t, "eval/3", evalRow("nlvr", "yesno", 1, after, true))
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":     {nil, "no Parquet file, or truncated"},
		"truncated": {good[:len(good)-20], "no Parquet file, or truncated"},
		"middle":    {append(good[:100:100], good[200:]...), ""},
		"text":      {[]byte("step,when\n"), "no Parquet file"},
		"older":     {foreign(t, "eval/0"), "written by another version of mixr"},
		"newer":     {foreign(t, "eval/4"), "written by another version of mixr"},
	} {
		plant(t, dirB, c.file)
		_, errDiff := Diff(dirA, dirB, DiffOptions{})
		_, errShow := Show(dirB)
		_, errTable := MakeTable(&Study{Name: "s", Rungs: []Rung{{"a", []Replicate{{1, dirB}}}}}, TableOptions{})
		for report, err := range map[string]error{"diff": errDiff, "show": errShow, "table": errTable} {
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), filepath.Join(dirB, "eval.parquet")) {
				t.Errorf("%s, %s: %v", name, report, err)
			}
		}
	}
}

// TestNotFinite: NaN and infinities are left out and counted; no number of a report is one of them, so JSON takes them all.
func TestNotFinite(t *testing.T) {
	_, dirA, dirB := twoRuns(t)
	var rows []table.Eval
	for i := range 20 {
		for _, when := range []string{before, after} {
			r := evalRow("nlvr", "yesno", i, when, i%2 == 0)
			switch i {
			case 0:
				r.Reward = math.NaN()
			case 1:
				r.Reward = math.Inf(1)
			case 2:
				r.Format = ptr(math.NaN())
			}
			rows = append(rows, r)
		}
	}
	plant(t, dirB, foreign(t, "eval/3", rows...))
	c, err := Diff(dirA, dirB, DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Eval[0].N != 18 || !strings.Contains(strings.Join(c.Warnings, "\n"), "B: 2 completions left out: reward is null, NaN or infinite there") {
		t.Errorf("%+v %q", c.Eval, c.Warnings)
	}
	run, err := Show(dirB)
	if err != nil {
		t.Fatal(err)
	}
	scores, err := ReadEvaluation(dirB)
	if err != nil {
		t.Fatal(err)
	}
	tab, err := MakeTable(&Study{Name: "s", Rungs: []Rung{{"a", []Replicate{{1, dirB}}}}}, TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, report := range map[string]any{"diff": c, "show": run, "scores": scores, "table": tab} {
		if _, err := json.Marshal(report); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.Contains(strings.Join(run.Gain.Warnings, "\n"), "4 completions left out") || scores.Scores[0].N != 18 {
		t.Errorf("%q, %+v", run.Gain.Warnings, scores)
	}
}

// TestFewExamples: none and one.
func TestFewExamples(t *testing.T) {
	results := t.TempDir()
	one := []table.Eval{evalRow("s", "mcq", 1, after, true)}
	dirA := writeRun(t, results, "a", table.Manifest{Name: "a"}, nil, one)
	dirB := writeRun(t, results, "b", table.Manifest{Name: "b"}, nil, []table.Eval{evalRow("s", "mcq", 1, after, false)})
	none := writeRun(t, results, "none", table.Manifest{Name: "none"}, nil, nil)
	c, err := Diff(dirA, dirB, DiffOptions{})
	if err != nil || c.Eval[0].N != 1 || c.Eval[0].Interval != nil || !strings.Contains(c.Verdict, "over 1 example and 1 seed") {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = Diff(dirA, none, DiffOptions{}); err != nil || len(c.Eval) != 0 || c.Verdict != "" {
		t.Errorf("%+v, %v", c, err)
	}
	tab, err := MakeTable(&Study{Name: "s", Rungs: []Rung{{"a", []Replicate{{1, none}}}, {"b", []Replicate{{1, dirA}, {2, dirB}}}, {"c", []Replicate{{1, ""}}}}}, TableOptions{})
	if err != nil || tab.Rows[1].Cells[0].Mean != 0.5 || len(tab.Rows[2].Seeds) != 0 {
		t.Errorf("%+v, %v", tab, err)
	}
	for _, format := range TableFormats {
		if err := tab.Write(&bytes.Buffer{}, format, Style{}); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
}
