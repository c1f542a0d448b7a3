package reward

import (
	"math"
	"strings"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

func experiment() *spec.Experiment {
	return &spec.Experiment{
		Route: map[string]string{"yesno": "matching", "mcq": "matching", "chart": "chart", "grounding": "iou", "open": "bmas"},
		Rewards: spec.Rewards{
			Matching: &spec.Matching{Weight: 1}, Chart: &spec.Chart{Weight: 1, Tolerance: 0.05}, IoU: &spec.IoU{Weight: 2},
			BMAS: &spec.BMAS{Weight: 1}, Format: &spec.Format{Weight: 0.5},
		},
	}
}

func newScorer(t *testing.T, exp *spec.Experiment) *Scorer {
	t.Helper()
	s, err := NewScorer(exp, Options{Embedder: letterTable(t), Space: ResizedPixels})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScore(t *testing.T) {
	s := newScorer(t, experiment())
	box := data.Example{ID: "g", Task: data.Grounding, Boxes: []data.Box{{0, 0, 50, 100}}, ImageSize: [2]int{100, 100}}
	frame := Frame{100, 100, 56, 56}
	for _, c := range []struct {
		name       string
		ex         data.Example
		completion string
		task       string
		value      float64
		format     float64
		reward     float64
		parsed     bool
	}{
		{"right", data.Example{Task: data.YesNo, Answers: []string{"yes"}}, "<think>t</think><answer>yes</answer>", Matching, 1, 1, 1.5, true},
		{"wrong", data.Example{Task: data.YesNo, Answers: []string{"no"}}, "<think>t</think><answer>yes</answer>", Matching, 0, 1, 0.5, true},
		{"right without format", data.Example{Task: data.YesNo, Answers: []string{"yes"}}, "<answer>yes</answer>", Matching, 1, 0, 1, true},
		{"last block", data.Example{Task: data.YesNo, Answers: []string{"no"}}, "<answer>yes</answer><answer>no</answer>", Matching, 1, 0, 1, true},
		{"no block", data.Example{Task: data.YesNo, Answers: []string{"yes"}}, "yes", Matching, 0, 0, 0, false},
		{"empty block", data.Example{Task: data.Open, Answers: []string{"abc"}}, "<think>t</think><answer> </answer>", BMAS, 0, 0, 0, false},
		{"mcq", data.Example{Task: data.MCQ, Choices: []string{"x", "y"}, Answers: []string{"B"}}, "<think>t</think><answer>(B) y</answer><|im_end|>", Matching, 1, 1, 1.5, true},
		{"chart", data.Example{Task: data.Chart, Answers: []string{"10"}}, "<think>t</think><answer>10.5 cm</answer>", Chart, 1, 1, 1.5, true},
		{"open", data.Example{Task: data.Open, Answers: []string{"abc"}}, "<think>t</think><answer>cba</answer>", BMAS, 1, 1, 1.5, true},
		{"grounding with weight", box, "<think>t</think><answer>[0,0,28,56]</answer>", IoU, 1, 1, 2.5, true},
		{"grounding half", box, "<think>t</think><answer>[0,0,56,56]</answer>", IoU, 0.5, 1, 1.5, true},
	} {
		r, err := s.Score(c.ex, c.completion, frame)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r.Task != c.task || math.Abs(r.TaskScore()-c.value) > 1e-6 || *r.Format != c.format || math.Abs(r.Reward-c.reward) > 1e-6 || r.Parsed != c.parsed {
			t.Errorf("%s: got %+v, want %+v", c.name, r, c)
		}
		if !r.Parsed && !strings.HasPrefix(r.Note, "unparsed") {
			t.Errorf("%s: note %q does not say why", c.name, r.Note)
		}
		applies := 0
		for _, v := range []*float64{r.Matching, r.Chart, r.IoU, r.BMAS} {
			if v != nil {
				applies++
			}
		}
		if applies != 1 {
			t.Errorf("%s: %d task components apply, want 1; the others are null", c.name, applies)
		}
	}
}

func TestScoreWithoutFormat(t *testing.T) {
	exp := experiment()
	exp.Rewards.Format = nil
	r, err := newScorer(t, exp).Score(data.Example{Task: data.YesNo, Answers: []string{"yes"}}, "<answer>yes</answer>", Frame{})
	if err != nil || r.Format != nil || r.Reward != 1 {
		t.Errorf("got %+v, %v; want a null format and reward 1", r, err)
	}
}

func TestScorerErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		want string
		edit func(*spec.Experiment)
	}{
		{"unknown reward", "unknown reward", func(e *spec.Experiment) { e.Route["open"] = "judge" }},
		{"unknown task", "unknown task", func(e *spec.Experiment) { e.Route["video"] = "bmas" }},
		{"undeclared reward", "not declared", func(e *spec.Experiment) { e.Rewards.IoU = nil }},
		{"reward of another task", "judges", func(e *spec.Experiment) { e.Route["open"] = "iou" }},
		{"task without route", "no route", func(e *spec.Experiment) {
			e.Data.Sources = map[string]spec.Source{"s": {Task: "open"}}
			delete(e.Route, "open")
		}},
	} {
		exp := experiment()
		c.edit(exp)
		if _, err := NewScorer(exp, Options{Embedder: letterTable(t), Space: ResizedPixels}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := NewScorer(experiment(), Options{Space: ResizedPixels}); err == nil || !strings.Contains(err.Error(), "embedding table") {
		t.Errorf("bmas without an embedder: got %v", err)
	}
	if _, err := NewScorer(experiment(), Options{Embedder: letterTable(t)}); err == nil || !strings.Contains(err.Error(), "coordinate space") {
		t.Errorf("iou for a family without a coordinate space: got %v", err)
	}
	s := newScorer(t, experiment())
	for _, ex := range []data.Example{
		{ID: "a", Task: "video"},
		{ID: "b", Task: data.YesNo, Answers: []string{"perhaps"}},
		{ID: "c", Task: data.Chart},
		{ID: "d", Task: data.Grounding},
	} {
		if err := s.CheckGold(ex); err == nil || !strings.Contains(err.Error(), "example "+ex.ID) {
			t.Errorf("%+v: got %v, want an error that names the example", ex, err)
		}
	}
	if _, err := s.Score(data.Example{ID: "a", Task: "video"}, "<answer>yes</answer>", Frame{}); err == nil || !strings.Contains(err.Error(), "no route") {
		t.Errorf("a task without a route: got %v", err)
	}
}

// FuzzScore: whatever a policy writes is scored, within bounds, for every task.
func FuzzScore(f *testing.F) {
	f.Add("<think>a</think><answer>(B) [1,2,3,4] 12% yes</answer>")
	exp := experiment()
	e, err := NewEmbedding(letters{}, make([]float32, 27*2), 2, []int{26})
	if err != nil {
		f.Fatal(err)
	}
	s, err := NewScorer(exp, Options{Embedder: e, Space: ResizedPixels})
	if err != nil {
		f.Fatal(err)
	}
	examples := []data.Example{
		{Task: data.YesNo, Answers: []string{"yes"}},
		{Task: data.MCQ, Answers: []string{"A"}, Choices: []string{"x", "y"}},
		{Task: data.Chart, Answers: []string{"12%"}},
		{Task: data.Grounding, Boxes: []data.Box{{1, 1, 5, 5}}, ImageSize: [2]int{10, 10}},
		{Task: data.Open, Answers: []string{"abc"}},
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, ex := range examples {
			r, err := s.Score(ex, text, Frame{10, 10, 28, 28})
			if err != nil || !(r.TaskScore() >= 0 && r.TaskScore() <= 1) || *r.Format != 0 && *r.Format != 1 {
				t.Errorf("%s: got %+v, %v", ex.Task, r, err)
			}
		}
	})
}
