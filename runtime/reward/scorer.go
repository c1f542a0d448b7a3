package reward

import (
	"cmp"
	"errors"
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
	Text     = "text"
	Format   = "format"

	Overlong   = "overlong"
	Repetition = "repetition"
)

// Result is the score of one completion.
type Result struct {
	// Components of the task, each in [0, 1]; nil = does not apply to this example. (BMAS by rewards.bmas.combine: sum is in [0, 2].)
	Matching *float64
	Chart    *float64
	IoU      *float64
	BMAS     *float64
	Text     *float64

	Format     *float64 // in [0, 1]; nil = the experiment has no format reward
	Overlong   *float64 // in [-1, 0]; nil = the experiment has no such penalty
	Repetition *float64 // in [-1, 0]; nil likewise

	Task      string  // name of the component that scored the task: matching, chart, iou, bmas or text
	Reward    float64 // the components by rewards.combine, plus weight * penalty for each penalty
	Extracted string  // the answer as rewards.extract found it, trimmed; empty without one
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
	case Text:
		return &r.Text
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
	// Space in which the policy writes boxes (SpaceOf); needed iff some task is routed to iou and rewards.iou.space is policy.
	Space Space
	// References are the gold answers of the training examples of open tasks; needed iff rewards.bmas.frequency is idf, which counts in
	// how many of them a token stands.
	References []string
}

// Completion is what a policy wrote, and what rewards may look at beside the text.
type Completion struct {
	Text      string  // special tokens stripped
	NumTokens int     // tokens as they were sampled; read by rewards.overlong
	Progress  float64 // step / steps of the training, above 0 to 1 (an evaluation: 1); read by rewards.iou.schedule
}

// Scorer scores completions for one experiment. It is immutable and safe for concurrent use.
type Scorer struct {
	routes       map[data.Task]route
	extract      extractor
	combine      string
	form         func(completion string) float64 // of the format reward
	formatWeight *float64                        // nil = no format reward
	penalties    spec.Rewards                    // Overlong with its limit, Repetition
}

// route is where examples of a task go.
type route struct {
	name   string
	weight float64
	judge  judge
}

// judge is one task reward. score gets the non-empty answer; last finds the last thing in a running text that it could read, false
// where it knows no such thing.
type judge interface {
	checkGold(ex data.Example) error
	score(ex data.Example, answer string, at moment) (verdict, error)
	last(text string) (string, bool)
}

// moment is what a judge may look at beside example and answer.
type moment struct {
	frame    Frame
	progress float64
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
	if err := s.compose(exp); err != nil {
		return nil, err
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

// compose reads what concerns every task: where answers stand, format, penalties and their combination.
func (s *Scorer) compose(exp *spec.Experiment) (err error) {
	r := exp.Rewards
	if s.extract, err = newExtractor(r.Extract); err != nil {
		return err
	}
	switch s.combine = r.Combine; s.combine {
	case "", "sum", "convex", "gated":
	default:
		return fmt.Errorf("rewards.combine: unknown rule %q, want sum, convex or gated", s.combine)
	}
	if f := r.Format; f != nil {
		s.formatWeight = &f.Weight
		if s.form, err = newForm(f.Require); err != nil {
			return err
		}
	}
	if o := r.Overlong; o != nil {
		limit, path := exp.OverlongLimit()
		if o.Buffer < 1 || o.Buffer > limit {
			return fmt.Errorf("rewards.overlong.buffer: got %d tokens, want 1 to the %d of %s", o.Buffer, limit, path)
		}
		s.penalties.Overlong = &spec.Overlong{Weight: o.Weight, Limit: limit, Buffer: o.Buffer}
	}
	if p := r.Repetition; p != nil {
		if p.NGram < 1 {
			return fmt.Errorf("rewards.repetition.ngram: got %d, want at least 1", p.NGram)
		}
		s.penalties.Repetition = p
	}
	return nil
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
		j, err := newMatching(task, r.Matching)
		return route{name, r.Matching.Weight, j}, cmp.Or(err, fits(data.YesNo, data.MCQ))
	case Chart:
		if r.Chart == nil {
			return missing()
		}
		j, err := newChart(r.Chart)
		return route{name, r.Chart.Weight, j}, cmp.Or(err, fits(data.Chart))
	case IoU:
		if r.IoU == nil {
			return missing()
		}
		j, err := newGrounding(r.IoU, o.Space)
		return route{name, r.IoU.Weight, j}, cmp.Or(err, fits(data.Grounding))
	case BMAS:
		if r.BMAS == nil {
			return missing()
		}
		j, err := newSimilarity(r.BMAS, o)
		return route{name, r.BMAS.Weight, j}, cmp.Or(err, fits(data.Open))
	case Text:
		if r.Text == nil {
			return missing()
		}
		j, err := newOverlap(r.Text)
		return route{name, r.Text.Weight, j}, cmp.Or(err, fits(data.Open))
	}
	return route{}, fmt.Errorf("route.%s: unknown reward %q, want matching, chart, iou, bmas or text", task, name)
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

// Score scores the text of a completion of an example that CheckGold accepts: it does not check the gold again, which for bmas
// would embed it twice. The completion may be anything; an error means that the example has no route, that its image
// frame is another's, or that the experiment has a reward that looks beside the text, for which there is ScoreCompletion.
func (s *Scorer) Score(ex data.Example, completion string, frame Frame) (Result, error) {
	if s.penalties.Overlong != nil {
		return Result{}, errors.New("rewards.overlong needs the number of tokens: use ScoreCompletion")
	}
	if g, ok := s.routes[ex.Task].judge.(grounding); ok && g.dynamic {
		return Result{}, errors.New("rewards.iou.schedule needs the progress of the training: use ScoreCompletion")
	}
	return s.ScoreCompletion(ex, Completion{Text: completion}, frame)
}

// ScoreCompletion is Score for rewards that look at more than the text.
func (s *Scorer) ScoreCompletion(ex data.Example, c Completion, frame Frame) (Result, error) {
	r, ok := s.routes[ex.Task]
	if !ok {
		return Result{}, fmt.Errorf("example %s: task %q has no route", ex.ID, ex.Task)
	}
	text := trimEndOfTurn(c.Text)
	out := Result{Task: r.name}
	v := verdict{note: "unparsed: no answer block"}
	if len(s.extract) > 0 {
		v.note = "unparsed: no answer found"
	}
	if body, ok := s.extract.find(text, r.judge); ok {
		out.Extracted = body
		if body == "" {
			v.note = "unparsed: empty answer"
		} else {
			var err error
			if v, err = r.judge.score(ex, body, moment{frame, c.Progress}); err != nil {
				return Result{}, fmt.Errorf("example %s (%s): %w", ex.ID, ex.Task, err)
			}
		}
	}
	out.Parsed, out.Note = v.parsed, v.note
	*out.component(r.name) = &v.value
	if s.formatWeight != nil {
		f := s.form(text)
		out.Format = &f
	}
	out.Reward = s.total(r.weight, v.value, out.Format)
	if o := s.penalties.Overlong; o != nil {
		p := overlong(c.NumTokens, o.Limit, o.Buffer)
		out.Overlong = &p
		out.Reward += o.Weight * p
	}
	if o := s.penalties.Repetition; o != nil {
		p := repetition(text, o.NGram)
		out.Repetition = &p
		out.Reward += o.Weight * p
	}
	return out, nil
}

// total combines the task's component with the format, nil = none.
//
//	sum:    w t + a f
//	convex: (1 - a) w t + a f
//	gated:  w t + a f if f is 1, else a f
//
// Under advantages scaled by the group's or the batch's deviation, convex is the sum with a/(1 - a) for a.
func (s *Scorer) total(weight, task float64, format *float64) float64 {
	reward := weight * task
	if format == nil {
		return reward
	}
	switch {
	case s.combine == "convex":
		reward *= 1 - *s.formatWeight
	case s.combine == "gated" && *format < 1:
		reward = 0
	}
	reward += *s.formatWeight * *format
	return reward
}
