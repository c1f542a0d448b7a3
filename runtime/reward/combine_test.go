package reward

import (
	"math"
	"strings"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

func TestForms(t *testing.T) {
	for _, c := range []struct {
		require, text string
		want          float64
	}{
		{"think_answer", "<think>a</think><answer>b</answer>", 1}, {"think_answer", "<think>a</think> x <answer>b</answer>", 0},
		{"open_r1", "<think>a</think>\n<answer>b</answer>", 1}, {"open_r1", "<think>a</think><answer>b</answer> c <answer>d</answer>", 1},
		{"open_r1", "<think>a</think><answer></answer>", 1}, {"open_r1", "x<think>a</think><answer>b</answer>", 0}, {"open_r1", "<think>a</think>x<answer>b</answer>", 0},
		{"tags", "<think>a</think><answer>b</answer>", 1}, {"tags", "<think>a", 0.25}, {"tags", "<think><think></think><answer>", 0.5}, {"tags", "", 0},
		{"answer", "so <answer>b</answer>.", 1}, {"answer", "<answer>b</answer><answer>c</answer>", 0}, {"answer", "<answer> </answer>", 0}, {"answer", "b", 0},
		{"boxed", `so \boxed{b}.`, 1}, {"boxed", `\boxed{b} \boxed{c}`, 0}, {"boxed", `\boxed{ }`, 0}, {"boxed", `\boxed{b`, 0}, {"boxed", "b", 0},
	} {
		form, err := newForm(c.require)
		if err != nil {
			t.Fatal(err)
		}
		if got := form(c.text); got != c.want {
			t.Errorf("%s: %q: got %v, want %v", c.require, c.text, got, c.want)
		}
	}
	if _, err := newForm("xml"); err == nil {
		t.Error("an unknown form was accepted")
	}
}

func TestCombine(t *testing.T) {
	ex := data.Example{Task: data.YesNo, Answers: []string{"yes"}}
	good, bare, wrong := "<think>t</think><answer>yes</answer>", "<answer>yes</answer>", "<think>t</think><answer>no</answer>"
	for _, c := range []struct {
		combine, text string
		want          float64
	}{
		{"", good, 2.25}, {"sum", good, 2.25}, {"sum", bare, 2}, {"sum", wrong, 0.25},
		{"convex", good, 1.75}, {"convex", bare, 1.5}, {"convex", wrong, 0.25},
		{"gated", good, 2.25}, {"gated", bare, 0}, {"gated", wrong, 0.25},
	} {
		exp := experiment()
		exp.Rewards.Combine, exp.Rewards.Matching.Weight, exp.Rewards.Format.Weight = c.combine, 2, 0.25
		r, err := newScorer(t, exp).Score(ex, c.text, Frame{})
		if err != nil || r.Reward != c.want || *r.Matching != indicator(c.text != wrong) {
			t.Errorf("%q, %q: got %+v, %v, want %v", c.combine, c.text, r, err, c.want)
		}
	}
	exp := experiment()
	exp.Rewards.Combine, exp.Rewards.Format.Require = "gated", "tags"
	if r, err := newScorer(t, exp).Score(ex, bare, Frame{}); err != nil || r.Reward != 0.25 {
		t.Errorf("half a form opens no gate: got %+v, %v", r, err)
	}
	exp.Rewards.Combine = "product"
	if _, err := NewScorer(exp, Options{Embedder: letterTable(t), Space: ResizedPixels}); err == nil || !strings.Contains(err.Error(), `"product"`) {
		t.Errorf("an unknown rule: got %v", err)
	}
}

// TestOverlong has DAPO's figures: 20480 tokens, of which the last 4096 are the buffer.
func TestOverlong(t *testing.T) {
	for n, want := range map[int]float64{0: 0, 16384: 0, 16385: -1. / 4096, 18432: -0.5, 20480: -1, 30000: -1} {
		if got := overlong(n, 20480, 4096); got != want {
			t.Errorf("%d tokens: got %v, want %v", n, got, want)
		}
	}
}

func TestRepetition(t *testing.T) {
	for _, c := range readVectors(t).Repetition {
		if got := repetition(c.Text, c.NGram); math.Abs(got-c.Penalty) > exact {
			t.Errorf("%d-grams of %q: got %v, want %v", c.NGram, c.Text, got, c.Penalty)
		}
	}
	if got := repetition(strings.Repeat("EF = DF. ", 300), 3); got > -0.99 {
		t.Errorf("a loop: got %v", got)
	}
	if got := repetition("The the  THE\nthe", 2); math.Abs(got+2./3) > exact {
		t.Errorf("case and blanks: got %v", got)
	}
}

func TestPenalties(t *testing.T) {
	exp := experiment()
	exp.Eval.MaxCompletionTokens = 100
	exp.Rewards.Overlong, exp.Rewards.Repetition = &spec.Overlong{Weight: 2, Buffer: 40}, &spec.Repetition{Weight: 3, NGram: 1}
	s := newScorer(t, exp)
	ex := data.Example{Task: data.YesNo, Answers: []string{"yes"}}
	r, err := s.ScoreCompletion(ex, Completion{Text: "<think>a a</think> <answer>yes</answer>", NumTokens: 80}, Frame{})
	if err != nil || *r.Overlong != -0.5 || *r.Repetition != 0 || r.Reward != 1+0.5-1 {
		t.Errorf("got %+v, %v", r, err)
	}
	r, err = s.ScoreCompletion(ex, Completion{Text: "b b b b"}, Frame{})
	if err != nil || *r.Overlong != 0 || *r.Repetition != -0.75 || r.Reward != -2.25 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := s.Score(ex, "yes", Frame{}); err == nil || !strings.Contains(err.Error(), "number of tokens") {
		t.Errorf("scored without the number of tokens: %v", err)
	}
	if r, err := newScorer(t, experiment()).Score(ex, "b b b b", Frame{}); err != nil || r.Overlong != nil || r.Repetition != nil {
		t.Errorf("penalties that the experiment does not have: %+v, %v", r, err)
	}
	exp.Rewards.Overlong.Buffer = 101
	if _, err := NewScorer(exp, Options{Embedder: letterTable(t), Space: ResizedPixels}); err == nil {
		t.Error("a buffer above the limit was accepted")
	}
}

// FuzzScoreOptions: with every option that reads more, whatever a policy writes is scored within bounds.
func FuzzScoreOptions(f *testing.F) {
	for _, s := range []string{"<answer>(B) [1,2,3,4] 12% yes", `\boxed{2\sqrt{3}}`, "the answer is 25 Dec 2018, not A", "</think>1, 2 and 3 3 3"} {
		f.Add(s)
	}
	exp := experiment()
	exp.Rewards = spec.Rewards{
		Extract: []string{"answer", "unclosed", "boxed", "cue", "last", "whole"}, Combine: "gated",
		Matching: &spec.Matching{Weight: 1, Strictness: "lenient"},
		Chart:    &spec.Chart{Weight: 1, Numbers: "math", Years: "wide", Codes: true, Dates: "day_first", Lists: "any_order", Text: "anls"},
		IoU:      &spec.IoU{Weight: 1, Overlap: "giou", Boxes: "all", Divide: "f", Schedule: "dynamic", Space: "unit", Order: "xywh"},
		BMAS:     &spec.BMAS{Weight: 1, Combine: "f1", Punctuation: "drop", StopWords: "drop", Frequency: "idf", Centre: true, Floor: 0.4},
		Format:   &spec.Format{Weight: 0.5, Require: "tags"}, Overlong: &spec.Overlong{Weight: 1, Limit: 100, Buffer: 50}, Repetition: &spec.Repetition{Weight: 1, NGram: 2},
	}
	e, err := NewEmbedding(letters{}, make([]float32, 27*2), 2, []int{26})
	if err != nil {
		f.Fatal(err)
	}
	s, err := NewScorer(exp, Options{Embedder: e, References: []string{"abc"}})
	if err != nil {
		f.Fatal(err)
	}
	examples := []data.Example{
		{Task: data.YesNo, Answers: []string{"yes"}},
		{Task: data.MCQ, Answers: []string{"A"}, Choices: []string{"x", "y"}},
		{Task: data.Chart, Answers: []string{"12%", "3, 4", "25/12/2018", "007", "word"}},
		{Task: data.Grounding, Boxes: []data.Box{{1, 1, 5, 5}}, ImageSize: [2]int{10, 10}},
		{Task: data.Open, Answers: []string{"abc"}},
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, ex := range examples {
			r, err := s.ScoreCompletion(ex, Completion{Text: text, NumTokens: len(text), Progress: 0.2}, Frame{10, 10, 28, 28})
			if err != nil {
				t.Errorf("%s: %v", ex.Task, err)
				continue
			}
			for name, v := range map[string]float64{r.Task: r.TaskScore(), Format: *r.Format, Overlong: 1 + *r.Overlong, Repetition: 1 + *r.Repetition} {
				if !(v >= 0 && v <= 1) {
					t.Errorf("%s: %s is %v", ex.Task, name, v)
				}
			}
		}
	})
}
