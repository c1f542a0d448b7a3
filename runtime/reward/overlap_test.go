package reward

import (
	"math"
	"strings"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// scoreText scores by one measure.
func scoreText(t *testing.T, measure, answer string, references ...string) float64 {
	t.Helper()
	j, err := newOverlap(&spec.Text{Measure: measure})
	if err != nil {
		t.Fatal(err)
	}
	v, err := j.score(data.Example{Answers: references}, answer, moment{})
	if err != nil {
		t.Fatal(err)
	}
	return v.value
}

func TestTextVectors(t *testing.T) {
	for _, c := range readVectors(t).Text {
		for measure, want := range map[string]float64{"rouge_l": c.RougeL, "bleu": c.BLEU, "ngram_f": c.NGramF} {
			if got := scoreText(t, measure, c.Answer, c.References...); math.Abs(got-want) > exact {
				t.Errorf("%s of %q against %q: got %v, want %v", measure, c.Answer, c.References, got, want)
			}
		}
	}
}

func TestTextMeasures(t *testing.T) {
	for _, c := range []struct {
		measure, answer, reference string
		want                       float64
	}{
		{"rouge_l", "the cat sat", "The cat, it sat!", 6. / 7}, {"rouge_l", "sat cat the", "the cat sat", 1. / 3}, {"", "a b", "a b", 1},
		{"bleu", "cat", "cat", 1}, {"bleu", "a cat", "A CAT.", 1}, {"bleu", "dog", "cat", 0},
		{"ngram_f", "cat", "cat", 1}, {"ngram_f", "a b", "b a", 0.5}, {"ngram_f", "a", "a b", (2./3 + 0) / 2},
		{"rouge_l", "???", "cat", 0}, {"rouge_l", "\u00c9t\u00e9", "\u00e9t\u00e9", 1}, {"rouge_l", "e\u0301te\u0301", "\u00e9t\u00e9", 1},
	} {
		if got := scoreText(t, c.measure, c.answer, c.reference); math.Abs(got-c.want) > exact {
			t.Errorf("%s of %q against %q: got %v, want %v", c.measure, c.answer, c.reference, got, c.want)
		}
	}
	j := wordOverlap{best(rougeL)}
	for _, gold := range [][]string{nil, {"..."}, {"a", ""}} {
		if j.checkGold(data.Example{Answers: gold}) == nil {
			t.Errorf("gold %q was accepted", gold)
		}
	}
	if _, err := newOverlap(&spec.Text{Measure: "meteor"}); err == nil {
		t.Error("an unknown measure was accepted")
	}
}

func TestTextReward(t *testing.T) {
	exp := experiment()
	exp.Route["open"], exp.Rewards.Text = Text, &spec.Text{Weight: 2}
	r, err := newScorer(t, exp).Score(data.Example{Task: data.Open, Answers: []string{"a cat", "the cat sat"}}, "<think>t</think><answer>The cat sat.</answer>", Frame{})
	if err != nil || *r.Text != 1 || r.BMAS != nil || r.Task != Text || r.TaskScore() != 1 || r.Reward != 2.5 {
		t.Errorf("got %+v, %v", r, err)
	}
	exp.Rewards.Text = nil
	if _, err := NewScorer(exp, Options{Embedder: letterTable(t), Space: ResizedPixels}); err == nil || !strings.Contains(err.Error(), "not declared") {
		t.Errorf("an undeclared reward: got %v", err)
	}
}

// FuzzText: bounded, 1 for a text with itself, the same in upper case (of ASCII) and with other blanks; symmetric but for BLEU.
func FuzzText(f *testing.F) {
	f.Add("the cat sat on the mat", "a cat")
	f.Add("\u0130", "i\u0307 \xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 4096 {
			return
		}
		for _, measure := range []string{"rouge_l", "bleu", "ngram_f"} {
			x := scoreText(t, measure, a, b)
			if !(x >= 0 && x <= 1) {
				t.Errorf("%s of %q, %q: %v", measure, a, b, x)
			}
			if y := scoreText(t, measure, b, a); measure != "bleu" && math.Abs(x-y) > exact {
				t.Errorf("%s of %q, %q: %v, the other way %v", measure, a, b, x, y)
			}
			if y := scoreText(t, measure, a, a); len(wordsOf(a)) > 0 && math.Abs(y-1) > exact {
				t.Errorf("%s of %q with itself: %v", measure, a, y)
			}
			spaced := "\n" + strings.ReplaceAll(a, " ", " \t ") + "  "
			if ascii(a) {
				spaced = strings.ToUpper(spaced)
			}
			if y := scoreText(t, measure, spaced, b); y != x {
				t.Errorf("%s of %q, %q: %v, with other blanks and case %v", measure, a, b, x, y)
			}
		}
	})
}
