package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mixr/runtime/profile"
)

// profiled is a step of 2 s on 2 lanes, half of it in ONNX Runtime, where the processor worked half of the time.
func profiled() *profile.Profile {
	return &profile.Profile{
		Run: "tiny-0123abcd", Steps: []int{2, 3}, Traced: 4, Workers: 2, WallS: 2,
		Phases: []profile.Phase{{Name: "rollout", WallS: 2, HostS: 0.5, WaitS: 1.5, PeakB: 5e6,
			Graphs: []profile.Runs{{Graph: "decode", N: 40, Seconds: 2, CPUS: 1}}}},
		Graphs: []profile.Graph{{Name: "decode", Runs: 40, Slowdown: 1.25, BetweenF: 0.25,
			Ops: []profile.Op{{Op: "MatMul", Shape: "[8, 2] × [2, 2]", Product: true, N: 3, F: 0.5, GFLOPS: 12.5}, {Op: "Mul\x1b[31m", Shape: "[8]", N: 1, F: 0.25}}}},
		Memory: []profile.Part{{Name: "weights", Bytes: 3e6, What: "of the policy"}},
	}
}

func textOf(t *testing.T, p *profile.Profile) string {
	t.Helper()
	var b strings.Builder
	if err := ProfileText(&b, Style{}, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestProfileText(t *testing.T) {
	const want = `
Where a step's time went
phase     seconds    share  ONNX Runtime    host  waiting  runs  most memory
────────────────────────────────────────────────────────────────────────────
rollout     2.000  100.0 %        50.0 %  12.5 %   37.5 %               5 MB
  decode            50.0 %                                   40
a step      2.000                 50.0 %  12.5 %   37.5 %
shares are of the time of all lanes (2); outside ONNX Runtime: 50.0 %
note: other programs had the processor for 50.0 % of the time inside ONNX Runtime: measure again
when they rest; of what it worked for this run, 33.3 % was outside ONNX Runtime

Operations that took most
 share  graph   operation           shapes           a run  GFLOP/s
───────────────────────────────────────────────────────────────────
25.0 %  decode  MatMul              [8, 2] × [2, 2]      3     12.5
12.5 %  decode  Mul�[31m            [8]                  1
12.5 %  decode  between operations
note: timed in step 4, where runs took 1.25 times as long: small operations count for more than they
take

What the memory is for
held     bytes
─────────────────────────────
weights   3 MB  of the policy
`
	if got := textOf(t, profiled()); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestProfileTextBare: what was not measured is not printed, and a step that was traced itself is named as such.
func TestProfileTextBare(t *testing.T) {
	p := profiled()
	p.Graphs, p.Memory, p.Traced, p.Phases[0].PeakB = nil, nil, 2, 0
	p.Phases[0].Graphs[0].CPUS = 2
	got := textOf(t, p)
	for _, absent := range []string{"Operations", "memory is for", "other programs", "MB", "NaN"} {
		if strings.Contains(got, absent) {
			t.Errorf("%q in %s", absent, got)
		}
	}
	if !strings.Contains(got, "timed in the same step") {
		t.Errorf("no warning in %s", got)
	}
}

func TestReadProfile(t *testing.T) {
	dir := t.TempDir()
	if p, err := ReadProfile(dir); p != nil || err != nil {
		t.Errorf("of a run without a profile: %v, %v", p, err)
	}
	file := filepath.Join(dir, profile.Folder, profile.File)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`{"run": 1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadProfile(dir); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
}
