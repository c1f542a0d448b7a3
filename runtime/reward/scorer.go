package reward

import (
	"fmt"
	"slices"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// Names of the reward components, the keys of spec.Rewards.
const (
	Matching = "matching"
	Chart    = "chart"
	IoU      = "iou"
	BMAS     = "bmas"
	Format   = "format"
)

// Result is the score of one completion.
type Result struct {
	Matching *float64 // each component in [0, 1]; nil = does not apply to this example
	Chart    *float64
	IoU      *float64
	BMAS     *float64
	Format   *float64 // nil = the experiment has no format reward

	Task      string  // name of the component that scored the task: matching, chart, iou or bmas
	Reward    float64 // weight * task component + lambda * format
	Extracted string  // body of the answer block, trimmed; empty without one
	Parsed    bool    // the answer could be read as what its task asks for
	Note      string  // why not, or what was odd: "unparsed: ...", "boxes_extra=2"; empty if nothing was
}

// TaskScore is the value of the component named by Task, without weight and without format: what a data filter compares.
// It is defined on results of Score only.
func (r Result) TaskScore() float64 { return **r.component(r.Task) }

// component returns the field of a task component.
func (r *Result) component(name string) **float64 {
	switch name {
	case Matching:
		return &r.Matching
	case Chart:
		return &r.Chart
	case IoU:
		return &r.IoU
	}
	return &r.BMAS
}

// Frame relates the image the policy saw to the stored image that gold boxes refer to. The zero value is right for
// examples without an image.
type Frame struct {
	OriginalW, OriginalH int // pixels of the stored image
	ResizedW, ResizedH   int // pixels of the image after the policy family's resize rule
}

// Options hold what scoring needs beside the experiment.
type Options struct {
	// Embedder is needed iff some task is routed to bmas.
	Embedder Embedder
	// Space in which the policy writes boxes (SpaceOf); needed iff some task is routed to iou.
	Space Space
}

// Scorer scores completions for one experiment. It is immutable and safe for concurrent use.
type Scorer struct {
	routes       map[data.Task]route
	formatWeight *float64 // nil = no format reward
}

// route is where examples of a task go.
type route struct {
	name   string
	weight float64
	judge  judge
}

// judge is one task reward. score gets the non-empty body of the answer block.
type judge interface {
	checkGold(ex data.Example) error
	score(ex data.Example, answer string, frame Frame) (verdict, error)
}

// verdict is what a judge says about one answer.
type verdict struct {
	value  float64
	parsed bool
	note   string
}

// NewScorer resolves the experiment's routes. It is an error if a task of the mix has no route, if a route names a
// reward that the experiment does not declare or that cannot judge the task, or if bmas is used without an embedder.
func NewScorer(exp *spec.Experiment, o Options) (*Scorer, error) {
	s := &Scorer{routes: map[data.Task]route{}}
	if f := exp.Rewards.Format; f != nil {
		s.formatWeight = &f.Weight
	}
	mix := map[string]bool{}
	for _, source := range exp.Data.Sources {
		mix[source.Task] = true
	}
	for _, task := range data.Tasks {
		name, ok := exp.Route[string(task)]
		if !ok || len(mix) > 0 && !mix[string(task)] {
			continue // the route has every task, the block of rewards those of the mix
		}
		var err error
		if s.routes[task], err = newRoute(task, name, exp.Rewards, o); err != nil {
			return nil, err
		}
	}
	for task := range exp.Route {
		if !slices.Contains(data.Tasks, data.Task(task)) {
			return nil, fmt.Errorf("route: unknown task %q, want one of %v", task, data.Tasks)
		}
	}
	for name, source := range exp.Data.Sources {
		if _, ok := s.routes[data.Task(source.Task)]; !ok {
			return nil, fmt.Errorf("data.sources.%s: task %q has no route; add it to route", name, source.Task)
		}
	}
	return s, nil
}

func newRoute(task data.Task, name string, r spec.Rewards, o Options) (route, error) {
	missing := func() (route, error) {
		return route{}, fmt.Errorf("route.%s: reward %q is not declared under rewards", task, name)
	}
	fits := func(tasks ...data.Task) error {
		if !slices.Contains(tasks, task) {
			return fmt.Errorf("route.%s: reward %q judges %v only", task, name, tasks)
		}
		return nil
	}
	switch name {
	case Matching:
		if r.Matching == nil {
			return missing()
		}
		if task == data.YesNo {
			return route{name, r.Matching.Weight, yesNo{}}, nil
		}
		return route{name, r.Matching.Weight, choice{}}, fits(data.YesNo, data.MCQ)
	case Chart:
		if r.Chart == nil {
			return missing()
		}
		return route{name, r.Chart.Weight, chart{r.Chart.Tolerance}}, fits(data.Chart)
	case IoU:
		if r.IoU == nil {
			return missing()
		}
		if o.Space == "" {
			return route{}, fmt.Errorf("route.%s: the policy's family writes boxes in no known coordinate space: take the grounding sources out of the mix", task)
		}
		return route{name, r.IoU.Weight, grounding{o.Space}}, fits(data.Grounding)
	case BMAS:
		if r.BMAS == nil {
			return missing()
		}
		if o.Embedder == nil {
			return route{}, fmt.Errorf("route.%s: bmas needs the frozen embedding table of the initial policy", task)
		}
		return route{name, r.BMAS.Weight, similarity{o.Embedder}}, fits(data.Open)
	}
	return route{}, fmt.Errorf("route.%s: unknown reward %q, want matching, chart, iou or bmas", task, name)
}

// CheckGold reports whether the example's gold can be scored against; call it once for every example before Score.
func (s *Scorer) CheckGold(ex data.Example) error {
	r, ok := s.routes[ex.Task]
	if !ok {
		return fmt.Errorf("example %s: task %q has no route", ex.ID, ex.Task)
	}
	if err := r.judge.checkGold(ex); err != nil {
		return fmt.Errorf("example %s (%s): gold: %w", ex.ID, ex.Task, err)
	}
	return nil
}

// Score scores one completion of an example that CheckGold accepts: it does not check the gold again, which for bmas
// would embed it twice. The completion may be anything; an error means that the example has no route, or that its image
// frame is another's.
func (s *Scorer) Score(ex data.Example, completion string, frame Frame) (Result, error) {
	r, ok := s.routes[ex.Task]
	if !ok {
		return Result{}, fmt.Errorf("example %s: task %q has no route", ex.ID, ex.Task)
	}
	completion = trimEndOfTurn(completion)
	out := Result{Task: r.name}
	v := verdict{note: "unparsed: no answer block"}
	if body, ok := lastAnswer(completion); ok {
		out.Extracted = body
		if body == "" {
			v.note = "unparsed: empty answer"
		} else {
			var err error
			if v, err = r.judge.score(ex, body, frame); err != nil {
				return Result{}, fmt.Errorf("example %s (%s): %w", ex.ID, ex.Task, err)
			}
		}
	}
	out.Parsed, out.Note = v.parsed, v.note
	*out.component(r.name) = &v.value
	out.Reward = r.weight * v.value
	if s.formatWeight != nil {
		f := 0.0
		if wellFormed(completion) {
			f = 1
		}
		out.Format = &f
		out.Reward += *s.formatWeight * f
	}
	return out, nil
}
