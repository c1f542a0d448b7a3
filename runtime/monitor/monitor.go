package monitor

import (
	"maps"
	"slices"
	"strings"

	"mixr/runtime/spec"
)

// Step is what one step measured.
type Step struct {
	Step        int
	KL, Entropy *float64    // nats a token; nil: not measured
	Reward      *float64    // mean over all completions
	Parts       []Part      // one a task and source with prompts in the step
	Gradients   []Gradient  // one a task; nil at a step that did not measure them
	Evaluation  *Evaluation // the newest made before the step
}

// Part is what a step measured of one task of one source. Means are over completions.
type Part struct {
	Task, Source string `json:"-"`

	Groups      int      `json:"groups"`
	Flat        int      `json:"flat"` // groups whose rewards are all equal
	Completions int      `json:"completions"`
	Truncated   int      `json:"truncated"`      // completions cut at their longest length
	Score       float64  `json:"score"`          // mean of the task's own reward, without weight and format
	Format      float64  `json:"format"`         // mean of the format reward
	Length      float64  `json:"length"`         // mean tokens
	Repeat      float64  `json:"repeat"`         // mean share of 4-grams that stood in the completion before
	BMAS        *Spread  `json:"bmas,omitempty"` // nil where nothing is scored by it
	Answers     []Answer `json:"answers"`        // most common ones first
}

// Spread is a mean, and the mean over groups of the standard deviation within a group.
type Spread struct {
	Mean   float64 `json:"mean"`
	Within float64 `json:"within"`
}

// Answer is an extracted answer, by a hash of it, and how many completions have it.
type Answer struct {
	Hash  uint64 `json:"hash"`
	Count int    `json:"count"`
}

// Gradient is that of the loss of one task's groups.
type Gradient struct {
	Task string    `json:"task"`
	Dots []float64 `json:"dots"` // its dot product with that of each task, in the order of the step's Gradients
}

// Evaluation is one on held-out examples in the course of training.
type Evaluation struct {
	Step  int     `json:"step"`  // updates that the policy had seen
	Score float64 `json:"score"` // mean over examples: share of right answers, or the reward where nothing is right or wrong
	Error float64 `json:"error"` // its standard error
}

// Finding is one thing that is wrong at a step.
type Finding struct {
	Monitor      string // name, one of spec.Monitors
	Task, Source string // empty: of the whole step; Source alone empty: of the task in all sources
	Other        string // of cross_task_interference: the task whose gradient is most against it
	Value, Limit float64
	Since        int // step at which it began
	Step         int
}

// Name is the finding's identity: "advantage_collapse mcq/nlvr".
func (f Finding) Name() string { return strings.TrimSpace(f.Monitor + " " + f.Where()) }

// Where is TASK/SOURCE, TASK, or empty.
func (f Finding) Where() string { return strings.TrimSuffix(f.Task+"/"+f.Source, "/") }

// Named is the finding of a Name, without its numbers.
func Named(name string) Finding {
	var f Finding
	f.Monitor, f.Task, _ = strings.Cut(name, " ")
	f.Task, f.Source, _ = strings.Cut(f.Task, "/")
	return f
}

// New reports whether the finding began at its step.
func (f Finding) New() bool { return f.Since == f.Step }

// State is all that a Watch keeps between two steps. The zero value stands before the first.
type State struct {
	Parts     map[string]history `json:"parts,omitempty"` // by TASK/SOURCE
	Rewards   window[float64]    `json:"rewards"`
	Entropy   *float64           `json:"entropy,omitempty"` // of the first step
	Gradients [][]Gradient       `json:"gradients,omitempty"`
	Best      *best              `json:"best,omitempty"`
	Latest    *Evaluation        `json:"latest,omitempty"`
	Open      map[string]span    `json:"open,omitempty"` // findings of the last Window steps, by name
}

// span is when a finding began and was last there.
type span struct {
	Since int `json:"since"`
	Last  int `json:"last"`
}

// Watch looks at the steps of one run.
type Watch struct {
	limits spec.MonitorLimits
	state  State
}

// New goes on from a state, whose maps become the Watch's.
func New(limits spec.MonitorLimits, state State) *Watch {
	if state.Parts == nil {
		state.Parts = map[string]history{}
	}
	if state.Open == nil {
		state.Open = map[string]span{}
	}
	return &Watch{limits, state}
}

// State is the state after the last step. It holds until the next Observe.
func (w *Watch) State() State { return w.state }

// Observe takes in a step and returns what is wrong at it, in order of Name. A finding that comes back within Window steps is the old one.
func (w *Watch) Observe(s Step) []Finding {
	w.remember(s)
	var found []Finding
	for _, rule := range rules {
		found = append(found, rule(w, s)...)
	}
	for i := range found {
		f := &found[i]
		name := f.Name()
		f.Step, f.Since = s.Step, s.Step
		if was, ok := w.state.Open[name]; ok {
			f.Since = was.Since
		}
		w.state.Open[name] = span{f.Since, s.Step}
	}
	maps.DeleteFunc(w.state.Open, func(_ string, o span) bool { return s.Step-o.Last >= w.limits.Window })
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Name(), b.Name()) })
	return found
}

// remember adds a step to the state.
func (w *Watch) remember(s Step) {
	n := w.limits.Window
	for _, p := range s.Parts {
		key := p.Task + "/" + p.Source
		h := w.state.Parts[key]
		h.add(p, n)
		w.state.Parts[key] = h
	}
	if s.Reward != nil {
		w.state.Rewards.add(*s.Reward, n)
	}
	if w.state.Entropy == nil {
		w.state.Entropy = s.Entropy
	}
	if s.Gradients != nil {
		w.state.Gradients = append(w.state.Gradients, s.Gradients)
		w.state.Gradients = w.state.Gradients[max(0, len(w.state.Gradients)-gradientsKept):]
	}
	w.evaluate(s)
}
