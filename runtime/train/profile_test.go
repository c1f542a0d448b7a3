package train

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/profile"
	"mixr/runtime/table"
)

// profileOf reads what a run with a profile has left, and checks what holds of every profile: phases fill the step, what happens in a
// phase fills it, operations fill their graphs, and no trace is left behind.
func profileOf(t *testing.T, dir string) *profile.Profile {
	t.Helper()
	folder := filepath.Join(dir, profile.Folder)
	entries, err := os.ReadDir(folder)
	check(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{profile.File, profile.Picture}) {
		t.Errorf("the folder has %q, want %s and %s", names, profile.File, profile.Picture)
	}
	text, err := os.ReadFile(filepath.Join(folder, profile.File))
	check(t, err)
	p := &profile.Profile{}
	check(t, json.Unmarshal(text, p))
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*(1+want) || got < 0 {
			t.Errorf("%s: got %g, want %g", what, got, want)
		}
	}
	wall := 0.0
	for _, ph := range p.Phases {
		wall += ph.WallS
		near(ph.Name, ph.OrtS()+ph.HostS+ph.WaitS, ph.WallS*float64(p.Workers))
		if ph.HostS < 0 || ph.WaitS < 0 || runtime.GOOS == "linux" && ph.PeakB <= 0 && ph.Name != checkpointPhase && ph.Name != tablesPhase {
			t.Errorf("phase %+v", ph)
		}
	}
	near("a step", wall, p.WallS)
	if p.WallS <= 0 || runtime.GOOS == "linux" && len(p.Memory) < 5 {
		t.Errorf("a step of %g s, memory %+v", p.WallS, p.Memory)
	}
	for _, g := range p.Graphs {
		sum := g.BetweenF
		for _, o := range g.Ops {
			sum += o.F
		}
		// A run and its nodes are timed apart, in whole microseconds.
		if sum < 1-1e-9 || sum > 1.2 {
			t.Errorf("%s: operations and what is between them take %g of a run", g.Name, sum)
		}
	}
	return p
}

// runsOf lists the graphs of each phase with the number of their runs.
func runsOf(p *profile.Profile) string {
	var out []string
	for _, ph := range p.Phases {
		var graphs []string
		for _, g := range ph.Graphs {
			n := ""
			if g.Graph != "decode" { // as long as the longest completion
				n = fmt.Sprint(" ", g.N)
			}
			graphs = append(graphs, g.Graph+n)
		}
		slices.Sort(graphs)
		out = append(out, ph.Name+": "+strings.Join(graphs, ", "))
	}
	return strings.Join(out, "\n")
}

// TestProfile: a profile changes no result, and says of each phase what it ran.
func TestProfile(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.steps=5", frozen)
	plain := w.finished(in, Options{Workers: 2})
	dir := filepath.Join(t.TempDir(), "run")
	check(t, w.run(t.Context(), in, dir, Options{Workers: 2, Profile: true, Warn: func(text string) { t.Error(text) }, Progress: func(e Event) {
		if e.Phase == "train" && e.Done == 1 { // a trace that a process left that died
			check(t, os.MkdirAll(filepath.Join(dir, profile.Folder), 0o755))
			check(t, os.WriteFile(filepath.Join(dir, profile.Folder, tracePrefix+"decode_old.json"), nil, 0o644))
		}
	}}))
	sameResults(t, "with a profile", results(t, dir), results(t, plain))
	if _, err := os.Stat(filepath.Join(plain, profile.Folder)); !os.IsNotExist(err) {
		t.Errorf("a run without a profile has a folder for one: %v", err)
	}
	p := profileOf(t, dir)
	if p.Run != filepath.Base(dir) || !slices.Equal(p.Steps, []int{2, 3}) || p.Traced != 4 || p.Workers != 2 {
		t.Errorf("profile of %s, steps %v, traced %d, %d lanes", p.Run, p.Steps, p.Traced, p.Workers)
	}
	// Three groups a step; the gradients of the first are copied, not added.
	const want = `rollout: decode, prefill 3, vision 3
reward: 
score: score 3
gradient: accumulate 2, gradient 3
optimizer: norm 1, optimizer 1
other: 
checkpoint: 
tables: `
	if got := runsOf(p); got != want {
		t.Errorf("phases\n%s\nwant\n%s", got, want)
	}
	traced := map[string]int{}
	for _, g := range p.Graphs {
		traced[g.Name] = g.Runs
		if g.Slowdown <= 0 {
			t.Errorf("%s: slowed down %g times", g.Name, g.Slowdown)
		}
	}
	if traced["prefill"] != 3 || traced["decode"] < 2 || traced["gradient"] != 3 || traced["optimizer"] != 1 || traced["accumulate"] != 2 {
		t.Errorf("traced runs %v", traced)
	}
	// What is small beside a run that waited for the processor is joined, so shapes are not compared.
	for _, g := range p.Graphs {
		computes := slices.ContainsFunc(g.Ops, func(o profile.Op) bool { return o.Product && o.GFLOPS > 0 })
		if computes != !slices.Contains([]string{"accumulate", "norm", "optimizer"}, g.Name) {
			t.Errorf("%s: matrix products: %t, among %+v", g.Name, computes, g.Ops)
		}
	}
	// Timing knows the time anyway: the two agree on what a step took.
	times := rowsOf[table.Timing](t, dir)
	mean := (times[1].WallS + times[2].WallS) / 2
	steps := 0.0
	for _, ph := range p.Phases {
		if ph.Name != checkpointPhase && ph.Name != tablesPhase {
			steps += ph.WallS
		}
	}
	if steps < mean || steps > 1.1*mean+0.01 { // it begins before the step and ends behind it
		t.Errorf("phases of a step take %g s, table timing says %g", steps, mean)
	}
}

// TestProfileShort: of a run with fewer steps what there is is measured, and of one that goes on the steps that are left.
func TestProfileShort(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		file   string
		steps  int
		timed  []int
		traced int
	}{
		{"tiny_sft.cue", 1, []int{1}, 1},
		{"tiny_sft.cue", 2, []int{1}, 2},
		{"tiny_sft.cue", 3, []int{2}, 3},
		{"tiny.cue", 1, []int{1}, 1},
	} {
		stage := map[string]string{"tiny.cue": "grpo", "tiny_sft.cue": "sft"}[c.file]
		in := w.open(c.file, fmt.Sprintf("%s.steps=%d", stage, c.steps), "eval.examples=0")
		p := profileOf(t, w.finished(in, Options{Workers: 1, Profile: true, Warn: func(text string) { t.Error(text) }}))
		if !slices.Equal(p.Steps, c.timed) || p.Traced != c.traced || len(p.Graphs) == 0 {
			t.Errorf("%s of %d steps: timed %v, traced %d, %d graphs; want %v and %d", c.file, c.steps, p.Steps, p.Traced, len(p.Graphs), c.timed, c.traced)
		}
	}
}

// TestProfileLayered: the parts of a policy that is computed layer by layer are graphs like others.
func TestProfileLayered(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.steps=4", "eval.examples=0", "policy.recompute=true")
	p := profileOf(t, w.finished(in, Options{Workers: 2, Profile: true, Warn: func(text string) { t.Error(text) }}))
	layers := float64(in.Policy.Model.Decoder().Layers)
	text := runsOf(p)
	for _, want := range []string{fmt.Sprint("layer_gradient ", 3*layers), "embed 3", "norm_gradient 3"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestProfileFails: where no trace can be written the run goes on, to the same results, and says so.
func TestProfileFails(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.steps=4", "eval.examples=0")
	plain := w.finished(in, Options{Workers: 2})
	dir := filepath.Join(t.TempDir(), "run")
	var said []string
	check(t, w.run(t.Context(), in, dir, Options{Workers: 2, Profile: true, Warn: func(text string) { said = append(said, text) },
		Progress: func(e Event) {
			if e.Done == 1 { // after the first step a file stands where the folder of the traces belongs
				check(t, os.WriteFile(filepath.Join(dir, profile.Folder), nil, 0o644))
			}
		}}))
	if len(said) != 1 || !strings.Contains(said[0], "no profile is written: profile: ") {
		t.Errorf("warnings %q, want one", said)
	}
	sameResults(t, "with a profile that failed", results(t, dir), results(t, plain))
}
