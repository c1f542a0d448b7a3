// Package profile says where the time and memory of a run's steps went.
//
// In: what was measured of some steps (by package train: phases, runs of graphs, bytes), and ONNX Runtime's own traces of the graphs
// (ReadTrace), which it sums up while it reads. Out: a Profile, which is profile.json, as a flame graph (SVG). Package report prints it.
// It measures nothing itself and knows nothing of experiments.
//
// Time is counted in lane-seconds: a step of 3 s on 2 lanes (workers) has 6. Each belongs to a phase of the step, and there to one of
//
//	a graph   inside a run of ONNX Runtime; an operation has the share of it that it had of the traced runs of that graph
//	host      the processor worked, on Go code: sampling's bookkeeping, tokenisation, rewards, rows, garbage collection
//	waiting   nothing ran: a lane had no unit left, or waited for a disk or for a processor that others use
package profile

// Profile is where the time and memory of a run's steps went; profile.json holds one. All seconds are means over Steps, of one step.
type Profile struct {
	Run     string  `json:"run"`
	Steps   []int   `json:"steps"`  // whose phases were timed
	Traced  int     `json:"traced"` // the step whose operations were timed, which slows it down; it is one of Steps where a run has but one
	Workers int     `json:"workers"`
	WallS   float64 `json:"wall_s"`
	Phases  []Phase `json:"phases"`
	Graphs  []Graph `json:"graphs"`
	Memory  []Part  `json:"memory"`
}

// Phase is a part of a step. Its lane-seconds, WallS times Workers, are the sum of those of its graphs, HostS and WaitS.
type Phase struct {
	Name   string  `json:"phase"`
	WallS  float64 `json:"wall_s"`
	HostS  float64 `json:"host_s"`
	WaitS  float64 `json:"wait_s"`
	Graphs []Runs  `json:"graphs"`
	PeakB  int64   `json:"peak_b"` // most resident memory of the process during the phase; 0: the system does not say
}

// Runs are the runs of a graph in a phase.
type Runs struct {
	Graph   string  `json:"graph"`
	N       float64 `json:"n"`
	Seconds float64 `json:"seconds"` // all of them together
	CPUS    float64 `json:"cpu_s"`   // of these, in which the processor worked for them and not for other programs
}

// Graph is what its traced runs were made of.
type Graph struct {
	Name     string  `json:"graph"`
	Runs     int     `json:"runs"`      // that were traced
	Slowdown float64 `json:"slowdown"`  // time of a traced run over that of others; 0: unknown
	BetweenF float64 `json:"between_f"` // share of the time that lies between its operations
	Ops      []Op    `json:"ops"`       // the largest first
}

// Op is a kind of operation on tensors of one class of shapes.
type Op struct {
	Op      string  `json:"op"`    // its ONNX type
	Shape   string  `json:"shape"` // [107..483, 512] × [1408, 512]: of a matrix product both factors, of others the first input or output
	Product bool    `json:"product,omitempty"`
	N       float64 `json:"n"`                 // a run of the graph
	F       float64 `json:"f"`                 // share of the graph's time
	GFLOPS  float64 `json:"gflop_s,omitempty"` // of a matrix product: 1e9 multiplications and additions a second
}

// Part is memory that the process holds for one purpose.
type Part struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	What  string `json:"what"`
}

// LaneS is the lane-seconds of a step.
func (p *Profile) LaneS() float64 { return p.WallS * float64(p.Workers) }

// OrtS is the lane-seconds of a phase that ONNX Runtime computed.
func (p *Phase) OrtS() float64 {
	sum := 0.0
	for _, g := range p.Graphs {
		sum += g.Seconds
	}
	return sum
}

// Stolen is the share of the time inside ONNX Runtime in which the processor did not work for it: other programs had it. Where it is
// large nothing here says how fast the machine is.
func (p *Profile) Stolen() float64 {
	wall, cpu := 0.0, 0.0
	for _, ph := range p.Phases {
		for _, g := range ph.Graphs {
			wall, cpu = wall+g.Seconds, cpu+g.CPUS
		}
	}
	if wall == 0 {
		return 0
	}
	return max(1-cpu/wall, 0)
}

// Slowdown is how many times as long the traced runs took as they do untraced, all graphs together; 0 where it is not known.
func (p *Profile) Slowdown() float64 {
	plain, traced := 0.0, 0.0
	for _, g := range p.Graphs {
		if g.Slowdown > 0 {
			seconds, _ := p.GraphS(g.Name)
			plain, traced = plain+seconds, traced+seconds*g.Slowdown
		}
	}
	if plain == 0 {
		return 0
	}
	return traced / plain
}

// Split is the lane-seconds of a step inside ONNX Runtime, on the host, and waiting.
func (p *Profile) Split() (ort, host, wait float64) {
	for i := range p.Phases {
		ph := &p.Phases[i]
		ort, host, wait = ort+ph.OrtS(), host+ph.HostS, wait+ph.WaitS
	}
	return ort, host, wait
}

// GraphS is the lane-seconds of a graph in all phases, and how often it ran.
func (p *Profile) GraphS(name string) (seconds, runs float64) {
	for _, ph := range p.Phases {
		for _, g := range ph.Graphs {
			if g.Graph == name {
				seconds, runs = seconds+g.Seconds, runs+g.N
			}
		}
	}
	return seconds, runs
}

// graph is what the traced runs of a graph were made of; nil if none was traced.
func (p *Profile) graph(name string) *Graph {
	for i := range p.Graphs {
		if p.Graphs[i].Name == name {
			return &p.Graphs[i]
		}
	}
	return nil
}

// A run's profile is in this folder of its own, under these names.
const (
	Folder  = "profile"
	File    = "profile.json"
	Picture = "profile.svg"
)
