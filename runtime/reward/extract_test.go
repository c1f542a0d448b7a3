package reward

import (
	"strings"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

func TestExtract(t *testing.T) {
	mcq, number := choice{letters: true, texts: true}, chart{}
	for _, c := range []struct {
		places string
		judge  judge
		text   string
		want   string
		ok     bool
	}{
		{"answer", mcq, "<answer>A</answer> x <answer> B </answer>", "B", true},
		{"answer", mcq, "<answer>A", "", false},
		{"answer unclosed", mcq, "<answer>A</answer><answer>B", "A", true},
		{"unclosed answer", mcq, "<answer>A</answer><answer> B ", "B", true},
		{"unclosed", mcq, "<answer>A</answer>", "", false},
		{"boxed", number, `so \boxed{1} and \boxed{\frac{1}{2}}.`, `\frac{1}{2}`, true},
		{"boxed", number, `\boxed{1} then \boxed{2`, "1", true},
		{"boxed", number, `\boxed{ {a\} ] }`, "", false},
		{"boxed answer", number, `<answer>\boxed{7}</answer>`, "7", true},
		{"answer boxed", number, `<answer></answer>\boxed{7}`, "", true}, // it is there, and empty: no fishing
		{"cue", mcq, "The answer is A. No, the answer is B.\nBye", "B.", true},
		{"cue", mcq, "**Answer:** B", "B", true},
		{"cue", mcq, "Final answer: (C) red", "(C) red", true},
		{"cue", mcq, "I answered it", "", false},
		{"cue", mcq, "<think>the answer is A</think> hm", "", false},
		{"last", mcq, "Not A, nor C but B. I think so", "B", true},
		{"last", mcq, "A dog. I see a cat", "", false},
		{"last", mcq, "A", "A", true},
		{"last", mcq, "B's and ÄA and C\u00e9", "", false},
		{"last", yesNo{}, "yes, or rather No!", "No", true},
		{"last", yesNo{}, "unknown", "", false},
		{"last", number, "of 12, 1,234.5 % are", "1,234.5 %", true},
		{"last", number, "3/4 or \\frac{2}{3}", `\frac{2}{3}`, true},
		{"last", number, "= -5, and", "-5", true},
		{"last", grounding{}, "[1,2,3,4]", "", false},
		{"whole", mcq, "<think>A</think> B ", "B", true},
		{"cue last whole", yesNo{}, "perhaps", "perhaps", true},
	} {
		e, err := newExtractor(strings.Fields(c.places))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := e.find(c.text, c.judge); got != c.want || ok != c.ok {
			t.Errorf("%s in %q: got %q, %t, want %q, %t", c.places, c.text, got, ok, c.want, c.ok)
		}
	}
}

func TestExtractInScorer(t *testing.T) {
	exp := experiment()
	exp.Rewards.Extract = []string{"answer", "cue"}
	s := newScorer(t, exp)
	ex := data.Example{Task: data.YesNo, Answers: []string{"yes"}}
	r, err := s.Score(ex, "I looked. The answer is yes.", Frame{})
	if err != nil || *r.Matching != 1 || r.Extracted != "yes." || !r.Parsed || *r.Format != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err = s.Score(ex, "yes", Frame{}); err != nil || r.Parsed || r.Note != "unparsed: no answer found" {
		t.Errorf("got %+v, %v", r, err)
	}
	exp.Rewards.Extract = []string{"somewhere"}
	if _, err := NewScorer(exp, Options{Embedder: letterTable(t), Space: ResizedPixels}); err == nil || !strings.Contains(err.Error(), `"somewhere"`) {
		t.Errorf("an unknown place: got %v", err)
	}
}

func TestStrictness(t *testing.T) {
	shape := []string{"linear", "nonlinear", "neither", "both"}
	tissue := []string{"muscle", "cardiac muscle", "bone", "D"}
	for _, c := range []struct {
		strictness, names string
		answer            string
		choices           []string
		want              int
	}{
		{"strict", "either", "B", shape, 1}, {"strict", "either", "(B).", shape, 1}, {"strict", "either", "The answer is B.", shape, 1},
		{"strict", "either", "nonlinear", shape, 1}, {"strict", "either", "the answer is nonlinear", shape, 1},
		{"strict", "either", "B: nonlinear", shape, -1}, {"strict", "either", "option B is right", shape, -1}, {"strict", "either", "It is (B).", shape, -1},
		{"named", "letter", "nonlinear", shape, -1}, {"named", "letter", "B: nonlinear", shape, 1}, {"strict", "letter", "nonlinear", shape, -1},
		{"named", "text", "B", shape, -1}, {"named", "text", "nonlinear", shape, 1}, {"strict", "text", "B", shape, -1}, {"named", "text", "option B", shape, -1},
		{"lenient", "either", "The tissue is cardiac muscle, as seen", tissue, 1}, {"lenient", "either", "bone and muscle", tissue, -1},
		{"lenient", "either", "It must be this one: B", shape, 1}, {"lenient", "either", "it curves, so nonlinear it is", shape, 1},
		{"lenient", "either", "A or B", shape, -1}, {"lenient", "either", "no idea", shape, -1}, {"lenient", "either", "I go with Z", shape, -1},
		{"lenient", "text", "I go with B", shape, -1}, {"lenient", "letter", "I go with B", shape, 1},
	} {
		j, err := newMatching(data.MCQ, &spec.Matching{Strictness: c.strictness, Names: c.names})
		if err != nil {
			t.Fatal(err)
		}
		got, note := j.(choice).read(c.answer, c.choices)
		if note != "" {
			got = -1
		}
		if got != c.want {
			t.Errorf("%s, %s: %q: got %d (%s), want %d", c.strictness, c.names, c.answer, got, note, c.want)
		}
	}
	for _, c := range []struct {
		strictness, answer string
		value, ok          bool
	}{
		{"strict", "Yes.", true, true}, {"strict", "the answer is no", false, true}, {"strict", "**False**", false, true},
		{"strict", "yes, there is", false, false}, {"strict", "yes and no", false, false},
		{"named", "there is not", false, false}, {"lenient", "there is not", false, true}, {"lenient", "It isn't", false, true},
		{"lenient", "It isn\u2019t", false, true}, {"lenient", "yes, not no", true, true}, {"lenient", "nothing", false, true}, {"lenient", "perhaps", false, false},
		{"lenient", "a knot", false, false},
	} {
		if value, ok := (yesNo{c.strictness}).read(c.answer); value != c.value || ok != c.ok {
			t.Errorf("%s: %q: got %t, %t", c.strictness, c.answer, value, ok)
		}
	}
	for _, m := range []spec.Matching{{Strictness: "x"}, {Names: "x"}} {
		if _, err := newMatching(data.MCQ, &m); err == nil {
			t.Errorf("%+v was accepted", m)
		}
	}
}

// FuzzExtract: every place of every text is read without a panic, and what is found is in the text.
func FuzzExtract(f *testing.F) {
	for _, s := range []string{"<answer>x", `\boxed{{}`, `\boxed{\`, "the answer is: ", "<think></think>A", "$3/4\\%", "\u2212"} {
		f.Add(s)
	}
	judges := []judge{choice{strictness: leniently, letters: true, texts: true}, yesNo{leniently}, chart{}, grounding{}, wordOverlap{}}
	f.Fuzz(func(t *testing.T, s string) {
		for _, place := range []string{inAnswer, inUnclosed, inBoxed, behindCue, lastOfKind, inWhole} {
			for _, j := range judges {
				if got, ok := (extractor{place}).find(s, j); ok && !strings.Contains(s, got) {
					t.Errorf("%s of %q: %q", place, s, got)
				}
			}
		}
		choice{strictness: leniently, letters: true, texts: true}.read(s, []string{"x", "y z", ""})
		yesNo{strictly}.read(s)
		if v, ok := (yesNo{leniently}).read(s); ascii(s) {
			if w, also := (yesNo{leniently}).read("\n " + strings.ToUpper(s) + " "); v != w || ok != also {
				t.Errorf("%q: %t, %t, with other case and blanks %t, %t", s, v, ok, w, also)
			}
		}
	})
}
