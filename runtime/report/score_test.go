package report

import (
	"bytes"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"mixr/runtime/table"
)

// evalRun makes a finished run of stage eval with those rows.
func evalRun(t *testing.T, name string, rows []table.Eval) string {
	t.Helper()
	r, err := table.Create(filepath.Join(t.TempDir(), name), table.Manifest{
		Name: name, Stage: evalStage, Fingerprint: map[string]string{"combined": hash("e")},
	})
	if err == nil {
		err = table.Write(r, 0, 0, rows)
	}
	if err == nil {
		err = r.Finish(table.End{Summary: map[string]float64{table.RewardAfter: 0.5}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.Dir()
}

// answers are 40 rows of yesno, of which right are right, and 10 of open, without right or wrong, with two samples each.
func answers(right int) (rows []table.Eval) {
	for i := range 40 {
		e := evalRow("nlvr", "yesno", i, after, i < right)
		e.Step, e.Parsed, e.Format = 0, i%4 > 0, ptr(float64(i%2))
		rows = append(rows, e)
	}
	for i := range 10 {
		for sample := range int32(2) {
			e := evalRow("talk", "open", i, after, false)
			e.Step, e.Correct, e.Sample, e.Reward, e.Finish = 0, nil, sample, float64(i)/10+float64(sample), "length"
			rows = append(rows, e)
		}
	}
	return rows
}

func TestReadEvaluation(t *testing.T) {
	dir := evalRun(t, "one", answers(30))
	e, err := ReadEvaluation(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Scores) != 3 || len(e.Warnings) != 1 || !strings.HasPrefix(e.Warnings[0], "20 of 60 completions were cut") {
		t.Fatalf("got %+v", e)
	}
	yesno, open, all := e.Scores[0], e.Scores[1], e.Scores[2]
	if yesno.N != 40 || yesno.Reward != 0.75 || *yesno.Accuracy != 0.75 || *yesno.Format != 0.5 || yesno.Parsed != 0.75 {
		t.Errorf("yesno: %+v", yesno)
	}
	// Of 30 of 40, the normal interval is 0.75 -+ 1.96 sqrt(0.75 * 0.25 / 40) = 0.616 to 0.884; the bootstrap's ends are multiples of 1/40.
	if i := yesno.AccuracyInterval; math.Abs(i.Low-0.616) > 0.026 || math.Abs(i.High-0.884) > 0.026 {
		t.Errorf("yesno: %+v", i)
	}
	if open.N != 10 || math.Abs(open.Reward-0.95) > 1e-12 || open.Accuracy != nil || open.Format != nil || open.Parsed != 1 {
		t.Errorf("open: %+v", open)
	}
	if all.N != 50 || all.Task != "" || all.Accuracy != nil || math.Abs(all.Reward-(0.75*40+0.95*10)/50) > 1e-12 {
		t.Errorf("all: %+v", all)
	}
	if again, err := ReadEvaluation(dir); err != nil || *again.Scores[0].AccuracyInterval != *yesno.AccuracyInterval {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// A run that only evaluates claims no gain, and two of them compare like any others.
func TestEvaluationRuns(t *testing.T) {
	a, b := evalRun(t, "one", answers(20)), evalRun(t, "two", answers(30))
	run, err := Show(a)
	if err != nil {
		t.Fatal(err)
	}
	if run.Gain != nil || len(run.Scores.Scores) != 3 || run.Before != nil || *run.After != 0.5 {
		t.Errorf("got gain %+v, scores %+v", run.Gain, run.Scores)
	}
	var out bytes.Buffer
	if err := run.Text(&out, Style{}); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "accuracy") || strings.Contains(text, "before") || strings.Contains(text, "of 0 steps") {
		t.Errorf("got\n%s", text)
	}
	c, err := Diff(a, b, DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if yesno := c.Eval[0]; yesno.Delta != 0.25 || yesno.Flips.Up != 10 || c.Unmatched != (Unmatched{}) {
		t.Errorf("got %+v, %+v", yesno, c.Unmatched)
	}
	out.Reset()
	if err := c.Text(&out, Style{}); err != nil || strings.Contains(out.String(), "after training") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}
