package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/profile"
)

// profiler measures a few steps of a run, for Options.Profile. A nil profiler measures nothing; its methods may be called all the same.
//
// The first step of a process warms up arena and caches and is left out where there are others. Of the next one or two the phases are
// timed, with two readings of the clock a run of a graph; of the one after them, the operations. That slows its runs down, so only the
// shares of operations are taken from it.
type profiler struct {
	r             *runner
	first, last   int // steps whose phases are timed
	traced        int // step whose operations are timed
	current, done int // step at work (0: none) and the last one timed

	mu     sync.Mutex
	phase  *phaseTime // at work; nil: none
	began  time.Time
	cpu    time.Duration // of the process when the phase began
	phases []*phaseTime
	saves  int   // commits that were timed
	saved  int   // steps that they wrote
	broken error // why nothing is measured any more
	graphs []profile.Graph
	memory []profile.Part
	most   int64 // resident memory at any time so far, which mostResident forgets
}

// phaseTime is what a phase took in all steps that were timed.
type phaseTime struct {
	name      string
	wall, cpu time.Duration
	runs      map[string]*runTime // by graph
	peak      int64
}

type runTime struct {
	n         int
	wall, cpu time.Duration
}

// Names of phases. What a step does beside the others is otherPhase; checkpoints and tables are written between steps.
const (
	rolloutPhase    = "rollout"
	rewardPhase     = "reward"
	scorePhase      = "score"
	gradientPhase   = "gradient"
	optimizerPhase  = "optimizer"
	otherPhase      = "other"
	checkpointPhase = "checkpoint"
	tablesPhase     = "tables"
)

// phases are all of them in the order in which a profile has them.
var phases = []string{rolloutPhase, rewardPhase, scorePhase, gradientPhase, optimizerPhase, otherPhase, checkpointPhase, tablesPhase}

// newProfiler plans which of the steps that are left are measured.
func newProfiler(r *runner) *profiler {
	p := &profiler{r: r}
	switch from, n := r.run.Step()+1, r.steps-r.run.Step(); {
	case n >= 4:
		p.first, p.last, p.traced = from+1, from+2, from+3
	case n == 3:
		p.first, p.last, p.traced = from+1, from+1, from+2
	case n == 2:
		p.first, p.last, p.traced = from, from, from+1
	default:
		p.first, p.last, p.traced = from, from, from
	}
	return p
}

// begin announces a step.
func (p *profiler) begin(step int) {
	if p == nil || p.broken != nil {
		return
	}
	if step >= p.first && step <= p.last {
		p.current = step
		for _, s := range p.r.model.sessions {
			s.Watch(p.ran)
		}
		p.enter(otherPhase)
	}
	if step == p.traced {
		if p.broken = p.trace(); p.broken != nil {
			p.untrace()
		}
	}
}

// end tells that the step that began is done.
func (p *profiler) end(step int) {
	if p == nil {
		return
	}
	p.enter("")
	if p.current > 0 {
		p.done, p.current = p.current, 0
		for _, s := range p.r.model.sessions {
			s.Watch(nil)
		}
	}
	if p.broken != nil {
		return
	}
	if step == p.done {
		p.memory, p.broken = p.held()
	}
	if step == p.traced && p.broken == nil {
		if p.broken = p.endTrace(); p.broken != nil {
			p.untrace()
		}
	}
}

// enter ends the phase at work, if any, and begins another; one without a name none. Outside of steps that are timed only what is written
// between steps counts.
func (p *profiler) enter(name string) {
	if p == nil || p.current == 0 && name != checkpointPhase && name != tablesPhase && name != "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, cpu := time.Now(), processTime()
	if ph := p.phase; ph != nil {
		ph.wall += now.Sub(p.began)
		ph.cpu += cpu - p.cpu
		most := mostResident()
		p.most = max(p.most, most)
		if len(p.graphs) == 0 { // else traces have been read, which takes memory that a run without a profile does not
			ph.peak = max(ph.peak, most)
		}
	}
	p.phase = nil
	if name == "" {
		return
	}
	i := slices.IndexFunc(p.phases, func(ph *phaseTime) bool { return ph.name == name })
	if i < 0 {
		i = len(p.phases)
		p.phases = append(p.phases, &phaseTime{name: name, runs: map[string]*runTime{}})
	}
	p.phase, p.began, p.cpu = p.phases[i], now, cpu
	p.most = max(p.most, mostResident())
	forgetResident()
}

// save begins the writing of some steps, at a checkpoint.
func (p *profiler) save(steps int) {
	if p != nil {
		p.saves, p.saved = p.saves+1, p.saved+steps
		p.enter(checkpointPhase)
	}
}

// ran is told of every run of a graph; lanes tell it at once.
func (p *profiler) ran(run ort.Run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == nil {
		return
	}
	t := p.phase.runs[run.Graph]
	if t == nil {
		t = &runTime{}
		p.phase.runs[run.Graph] = t
	}
	t.n, t.wall, t.cpu = t.n+1, t.wall+run.Wall, t.cpu+run.CPU
}

// mostEvents is how many events of a graph are recorded, about: each is half a kilobyte of memory until the step is done. Of a graph that
// runs more often only every n-th run is traced.
const mostEvents = 100_000

// tracePrefix begins the names of ONNX Runtime's traces, which are there while a step is traced.
const tracePrefix = "trace-"

// trace has the nodes of every graph timed from now on.
func (p *profiler) trace() error {
	if err := os.MkdirAll(p.folder(), 0o755); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(p.folder(), tracePrefix+"*")) // by a process that died
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	for _, g := range p.r.model.program.Graphs() {
		s := p.r.model.sessions[g.Name()]
		if s == nil {
			continue
		}
		events := p.runs(g.Name()).n / max(p.timed(), 1) * g.Nodes()
		if err := s.Trace(g, filepath.Join(p.folder(), tracePrefix+g.Name()), 1+events/mostEvents); err != nil {
			return err
		}
	}
	return nil
}

// untrace gives up the traces that are at work, if any.
func (p *profiler) untrace() {
	for _, s := range p.r.model.sessions {
		if file, err := s.EndTrace(); err == nil { // else it was not traced
			_ = os.Remove(file) // a file too many is no reason to stop a run
		}
	}
}

// endTrace sums up the traces and removes their files.
func (p *profiler) endTrace() error {
	for _, g := range p.r.model.program.Graphs() {
		s := p.r.model.sessions[g.Name()]
		if s == nil {
			continue
		}
		file, err := s.EndTrace()
		if err != nil {
			return err
		}
		sum, err := p.read(file, g)
		if err := errors.Join(err, os.Remove(file)); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		if sum.Runs > 0 {
			p.graphs = append(p.graphs, *sum)
		}
	}
	return nil
}

func (p *profiler) read(file string, g *graph.Graph) (*profile.Graph, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	perRun := 0.0
	if t := p.runs(g.Name()); t.n > 0 && p.traced > p.last {
		perRun = t.wall.Seconds() / float64(t.n)
	}
	return profile.ReadTrace(f, g.Name(), perRun)
}

// runs is what a graph took in all phases.
func (p *profiler) runs(graph string) (sum runTime) {
	for _, ph := range p.phases {
		if t := ph.runs[graph]; t != nil {
			sum.n, sum.wall, sum.cpu = sum.n+t.n, sum.wall+t.wall, sum.cpu+t.cpu
		}
	}
	return sum
}

// timed is how many steps were timed.
func (p *profiler) timed() int { return max(p.done-p.first+1, 0) }

// mostResident is the most resident memory of the process since the run began, where a profile made the system forget it.
func (p *profiler) mostResident() int64 {
	if p == nil {
		return 0
	}
	return p.most
}

// held says what the memory of the process is for.
func (p *profiler) held() (parts []profile.Part, err error) {
	m, rest := p.r.model, residentNow()
	add := func(name string, bytes int64, what string) {
		if bytes > 0 {
			parts = append(parts, profile.Part{Name: name, Bytes: bytes, What: what})
			rest -= bytes
		}
	}
	add("weights", sizeOf(m.weights), "of the policy")
	reference := maps.Clone(m.reference)
	maps.DeleteFunc(reference, func(name string, t *ort.Tensor) bool { return t == m.weights[name] })
	add("reference", sizeOf(reference), "weights of the reference that the policy's have left")
	add("moments", sizeOf(m.m)+sizeOf(m.v), "of AdamW")
	add("gradient", sizeOf(m.sum), "summed over the units of an update")
	caches := int64(0)
	for _, l := range p.r.lanes {
		caches += l.caches
	}
	if caches > 0 { // gone by now
		parts = append(parts, profile.Part{Name: "caches", Bytes: caches, What: "keys and values at most, on all lanes, while completions are sampled"})
	}
	for _, s := range m.sessions {
		held, _, err := s.Arena()
		if err != nil {
			return nil, err
		}
		add("arena", held, "ONNX Runtime's, touched or not: activations, gradients in flight, what graphs put out")
		break // all sessions share it
	}
	add("program", rest, "the rest of what is resident: libraries, sessions, Go's heap; less what of the arena was never touched")
	return parts, nil
}

func sizeOf(tensors map[string]*ort.Tensor) (bytes int64) {
	for _, t := range tensors {
		width := 4
		switch t.DType() {
		case graph.I64, graph.F64:
			width = 8
		case graph.Bool:
			width = 1
		}
		bytes += int64(t.Len() * width)
	}
	return bytes
}

func (p *profiler) folder() string { return filepath.Join(p.r.run.Dir(), profile.Folder) }

// write stores the profile in the run's folder. It is no part of a result: what fails is a warning.
func (p *profiler) write() {
	if p == nil {
		return
	}
	p.untrace() // a step that failed
	err := p.broken
	switch {
	case err != nil:
	case p.timed() == 0:
		err = errors.New("no step was measured")
	default:
		err = p.store()
	}
	if err != nil && p.r.opts.Warn != nil {
		p.r.opts.Warn(fmt.Sprintf("no profile is written: %v", err))
	}
}

func (p *profiler) store() error {
	sum := p.profile()
	text, err := json.MarshalIndent(sum, "", "  ")
	if err != nil {
		return err
	}
	var picture bytes.Buffer
	if err := sum.SVG(&picture); err != nil {
		return err
	}
	return errors.Join(p.r.run.WriteFile(profile.Folder+"/"+profile.File, append(text, '\n')),
		p.r.run.WriteFile(profile.Folder+"/"+profile.Picture, picture.Bytes()))
}

// profile sums up what was measured, for one step. A checkpoint is shared by the steps up to the next one, also where the run ends before.
func (p *profiler) profile() *profile.Profile {
	out := &profile.Profile{
		Run: filepath.Base(p.r.run.Dir()), Traced: p.traced, Workers: len(p.r.lanes), Graphs: p.graphs, Memory: p.memory,
		Phases: []profile.Phase{},
	}
	for s := p.first; s <= p.done; s++ {
		out.Steps = append(out.Steps, s)
	}
	slices.SortStableFunc(p.phases, func(a, b *phaseTime) int { return slices.Index(phases, a.name) - slices.Index(phases, b.name) })
	for _, ph := range p.phases {
		times := p.timed()
		switch ph.name {
		case checkpointPhase:
			times = p.saves * p.r.exp.Checkpoint.Every
		case tablesPhase:
			times = p.saved
		}
		one := ph.profile(float64(times), out.Workers)
		out.WallS += one.WallS
		out.Phases = append(out.Phases, one)
	}
	return out
}

// profile is the phase in one step, of the given number that were timed. Graphs that run beside the lanes (accumulate) may take more than
// the lanes have; then all are shortened to fit.
func (t *phaseTime) profile(steps float64, lanes int) profile.Phase {
	out := profile.Phase{Name: t.name, WallS: t.wall.Seconds() / steps, PeakB: t.peak, Graphs: []profile.Runs{}}
	all, cpu := out.WallS*float64(lanes), t.cpu
	for _, name := range slices.Sorted(maps.Keys(t.runs)) {
		run := t.runs[name]
		out.Graphs = append(out.Graphs, profile.Runs{
			Graph: name, N: float64(run.n) / steps, Seconds: run.wall.Seconds() / steps, CPUS: run.cpu.Seconds() / steps,
		})
		cpu -= run.cpu
	}
	inside := out.OrtS()
	if inside > all {
		for i := range out.Graphs {
			out.Graphs[i].Seconds *= all / inside
		}
		inside = all
	}
	slices.SortStableFunc(out.Graphs, func(a, b profile.Runs) int {
		return int(math.Copysign(1, b.Seconds-a.Seconds))
	})
	out.HostS = min(max(cpu.Seconds()/steps, 0), all-inside)
	out.WaitS = all - inside - out.HostS
	return out
}

// processTime is what all threads of the process have computed so far.
func processTime() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
