package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/table"
)

// The estimate is the share of the sets of k samples that have a right one in them, counted set by set.
func TestPassAt(t *testing.T) {
	for n := 1; n <= 8; n++ {
		for right := 0; right <= n; right++ {
			for k := 1; k <= n; k++ {
				sets, with := 0, 0
				for set := uint(0); set < 1<<n; set++ {
					if bits.OnesCount(set) == k {
						sets++
						if set&(1<<right-1) != 0 { // the first samples are the right ones
							with++
						}
					}
				}
				if got, want := passAt(n, right, k), float64(with)/float64(sets); math.Abs(got-want) > 1e-14 { // n products of numbers near 1
					t.Errorf("n %d, right %d, k %d: got %v, want %v", n, right, k, got, want)
				}
			}
		}
	}
	// C(1000, 500) has 300 digits.
	if got := passAt(1000, 1, 500); math.Abs(got-0.5) > 1e-12 {
		t.Errorf("one right sample of 1000: pass@500 is %v, want 0.5", got)
	}
	for metric, want := range map[string]int{"pass@1": 1, "pass@64": 64, "pass@0": 0, "pass@": 0, "pass@01": 0, "pass@x": 0, "passes@1": 0} {
		if k, ok := passed(metric); k != want || ok != (want > 0) || IsMetric(metric) != ok {
			t.Errorf("%s: %d, %v", metric, k, ok)
		}
	}
}

// sampled is evaluations with 4 samples of 12 examples, of which example i has right[when](i) right ones, and 3 of an open task; with all
// samples and beside, also evaluations on the way and greedy completions, which are worth 99.
func sampled(right map[string]func(i int) int, more bool) (rows []table.Eval) {
	for _, when := range []string{before, "during", after} {
		steps := []int32{4}
		if when == "during" {
			steps = []int32{1, 3}
		}
		if when == "during" && !more {
			continue
		}
		for _, step := range steps {
			if when == before {
				step = 0
			}
			for i := range 15 {
				task, source := "yesno", "nlvr"
				if i >= 12 {
					task, source = "open", "talk"
				}
				for sample := range int32(5) {
					e := evalRow(source, task, i, when, false)
					e.Step, e.Sample = step, sample
					if task == "open" {
						e.Correct, e.Reward = nil, 0.5
					} else if f := right[when]; f != nil && int(sample) < f(i) {
						e.Correct, e.Reward = ptr(true), 1
					}
					if sample == 4 {
						e.Sample, e.Reward, e.Correct, e.Greedy = -1, 99, ptr(true), ptr(true)
						if !more {
							continue
						}
					} else if when == "during" {
						e.Reward = 99
					}
					rows = append(rows, e)
				}
			}
		}
	}
	return rows
}

var (
	few  = func(i int) int { return i % 2 }       // 0.5 of 4
	many = func(i int) int { return min(i%5, 4) } // 0 to 4
	both = map[string]func(i int) int{before: few, after: many}
	less = map[string]func(i int) int{before: few, after: few}
)

// asked is a spec with pass_k and a greedy completion.
func asked(greedy string) table.Provenance {
	return table.Provenance{
		"eval.pass_k": {Value: json.RawMessage(`[1, 4]`), Writers: []string{"x.cue:1:1"}},
		"eval.greedy": {Value: json.RawMessage(greedy), Writers: []string{}},
	}
}

// Rows of evaluations on the way and of greedy completions are in no number that is of the samples after, or before, training.
func TestNothingLeaksIntoSamples(t *testing.T) {
	results := t.TempDir()
	m := func(fp string) table.Manifest {
		return table.Manifest{Name: "x", Fingerprint: map[string]string{"combined": hash(fp)}}
	}
	plain := writeRun(t, results, "plain", m("a"), asked("false"), sampled(both, false))
	full := writeRun(t, results, "full", m("a"), asked("false"), sampled(both, true))
	other := writeRun(t, results, "other", m("b"), asked("false"), sampled(less, true))
	for name, read := range map[string]func(dir string) any{
		"gain":       func(dir string) any { g, err := ReadGain(dir); return []any{g, err} },
		"evaluation": func(dir string) any { e, err := ReadEvaluation(dir); return []any{e, err} },
		"diff": func(dir string) any {
			c, err := Diff(other, dir, DiffOptions{})
			return []any{c.Eval, c.Verdict, c.Flips, c.Unmatched, err}
		},
		"table": func(dir string) any {
			tab, err := MakeTable(&Study{Name: "s", Rungs: []Rung{{"a", []Replicate{{1, other}}}, {"b", []Replicate{{1, dir}}}}}, TableOptions{Metric: "correct"})
			return []any{tab.Rows, err}
		},
		"pass@2": func(dir string) any {
			c, err := Diff(other, dir, DiffOptions{Metric: "pass@2"})
			return []any{c.Eval, err}
		},
	} {
		a, errA := json.Marshal(read(plain))
		b, errB := json.Marshal(read(full))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: with further rows it is\n%s\nwithout\n%s", name, b, a)
		}
	}
}

// pass@k and greedy completions stand in every report, with how many examples they are of.
func TestFurtherMetrics(t *testing.T) {
	dir := writeRun(t, t.TempDir(), "x", table.Manifest{Name: "x", Fingerprint: map[string]string{"combined": hash("a")}}, asked("true"), sampled(both, true))
	pass := func(k int, right func(int) int) (sum float64) {
		for i := range 12 {
			sum += passAt(4, right(i), k) / 12
		}
		return sum
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }
	g, err := ReadGain(dir)
	if err != nil || len(g.Others) != 4 {
		t.Fatalf("%+v, %v", g, err)
	}
	for i, want := range []Other{{"pass@1", Delta{N: 12, A: pass(1, few), B: pass(1, many)}}, {"pass@4", Delta{N: 12, A: pass(4, few), B: pass(4, many)}},
		{greedy, Delta{N: 15, A: 99, B: 99}}, {greedyCorrect, Delta{N: 15, A: 1, B: 1}}} {
		if o := g.Others[i]; o.Metric != want.Metric || o.N != want.N || !near(o.A, want.A) || !near(o.B, want.B) || (o.Interval == nil) != (i >= 2) {
			t.Errorf("got %+v, want %+v", o, want)
		}
	}
	e, err := ReadEvaluation(dir)
	if err != nil || len(e.Scores) != 3 {
		t.Fatalf("%+v, %v", e, err)
	}
	metrics := func(s Score) (names []string) {
		for _, v := range s.Others {
			names = append(names, fmt.Sprint(v.Metric, " ", v.N))
		}
		return names
	}
	for i, want := range [][]string{
		{"pass@1 12", "pass@4 12", "greedy 12", "greedy_correct 12"}, {"greedy 3", "greedy_correct 3"}, {"pass@1 12", "pass@4 12", "greedy 15", "greedy_correct 15"},
	} {
		if got := metrics(e.Scores[i]); !slices.Equal(got, want) {
			t.Errorf("score %d: %v, want %v", i, got, want)
		}
	}
	if v := e.Scores[0].Others[1]; !near(v.Mean, pass(4, many)) || v.Interval == nil {
		t.Errorf("%+v", v)
	}
	c, err := Diff(dir, dir, DiffOptions{Metric: "pass@4"})
	if err != nil || len(c.Eval) != 1 || c.Eval[0].N != 12 || !near(c.Eval[0].A, pass(4, many)) ||
		!strings.Contains(strings.Join(c.Warnings, "\n"), "12 completions left out: pass@4 is null") {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = Diff(dir, dir, DiffOptions{Metric: "pass@5"}); err != nil || len(c.Eval) != 0 {
		t.Errorf("pass@5 of 4 samples: %+v, %v", c.Eval, err)
	}

	run, err := Show(dir)
	if err != nil || run.Course == nil || !slices.Equal(run.Course.Steps, []int{0, 1, 3, 4}) {
		t.Fatalf("%+v, %v", run.Course, err)
	}
	for _, curve := range run.Course.Curves {
		if curve.Name == "pass@4" && (!near(*curve.Values[0], pass(4, few)) || *curve.Values[1] != 0 || !near(*curve.Values[3], pass(4, many))) {
			t.Errorf("%v", curve.Values)
		}
	}
	var out bytes.Buffer
	if err := run.Text(&out, Style{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Held-out examples on the way: 4 evaluations, steps 0 to 4", "pass@4", "greedy_correct"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// A stopped run and the best policy are told in every list, and a comparison with a stopped run says so.
func TestEndsAreTold(t *testing.T) {
	results, dirA, _ := twoRuns(t)
	dir := filepath.Join(results, "short")
	r, err := table.Create(dir, table.Manifest{Name: "short", Stage: "grpo", Steps: 9})
	if err == nil {
		err = table.Write(r, 0, 0, at(sampled(both, true), before))
	}
	if err == nil {
		err = table.Write(r, 4, 4, at(sampled(both, true), after))
	}
	if err == nil {
		err = r.Finish(table.End{Best: &table.Best{Step: 2, Metric: "reward", Value: 0.75}, Stop: &table.Stop{Step: 4, Rule: "kl above 0.5 for 3 steps", Value: 0.61}})
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := ListOne(dir)
	if err != nil || l.State != "stopped" || l.Step != 4 || len(l.Ends()) != 2 {
		t.Fatalf("%+v, %v", l, err)
	}
	run, err := Show(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list, show bytes.Buffer
	if err := ListText(&list, Style{}, []Listing{l}); err != nil {
		t.Fatal(err)
	}
	if err := run.Text(&show, Style{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"at step 4 of 9: kl above 0.5 for 3 steps (last 0.610)", "of step 2, chosen for the highest reward (0.750)"} {
		for name, text := range map[string]string{"ls": list.String(), "show": show.String()} {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
				t.Errorf("%s does not say %q:\n%s", name, want, text)
			}
		}
	}
	c, err := Diff(dirA, dir, DiffOptions{})
	if err != nil || !strings.Contains(strings.Join(c.Warnings, "\n"), "B was stopped at step 4 of 9: kl above 0.5 for 3 steps") {
		t.Errorf("%+v, %v", c, err)
	}
}
