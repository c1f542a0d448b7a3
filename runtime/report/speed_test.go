package report

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"mixr/runtime/table"
)

// largeRuns makes two runs of 5,000 examples of five tasks, with completions of about 600 characters.
func largeRuns(t testing.TB, results string) (a, b string) {
	t.Helper()
	var dirs []string
	for i, name := range []string{"a", "b"} {
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		var rows []table.Eval
		for j := range 5000 {
			task := []string{"yesno", "mcq", "chart", "grounding", "open"}[j%5]
			r := evalRow("set_"+task, task, j, after, rng.Float64() < 0.5+0.02*float64(i))
			r.Completion = strings.Repeat(fmt.Sprint("some thought ", rng.Uint64(), " "), 18) + r.Completion
			if task == "grounding" || task == "open" {
				r.Correct, r.Reward = nil, rng.Float64()
			}
			rows = append(rows, r)
		}
		prov := table.Provenance{"seed": {Value: json.RawMessage(fmt.Sprint(i)), Writers: []string{"a.cue:1:1"}}}
		m := table.Manifest{Name: name, Seed: uint64(i), Fingerprint: map[string]string{"combined": hash(name)}}
		dirs = append(dirs, writeRun(t, results, name, m, prov, rows))
	}
	return dirs[0], dirs[1]
}

// TestWriteLargeRuns writes them for bench/diff, into the folder MIXR_BENCH_RUNS.
func TestWriteLargeRuns(t *testing.T) {
	results := os.Getenv("MIXR_BENCH_RUNS")
	if results == "" {
		t.Skip("MIXR_BENCH_RUNS names no folder to write to")
	}
	largeRuns(t, results)
}

func BenchmarkDiff(b *testing.B) {
	dirA, dirB := largeRuns(b, b.TempDir())
	for b.Loop() {
		if _, err := Diff(dirA, dirB, DiffOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
