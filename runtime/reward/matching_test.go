package reward

import (
	"testing"

	"mixr/runtime/data"
)

func TestYesNo(t *testing.T) {
	for _, c := range []struct {
		answer string
		value  bool
		ok     bool
	}{
		{"yes", true, true}, {"Yes.", true, true}, {"YES", true, true}, {"True", true, true}, {"**No**", false, true},
		{"false", false, true}, {"No, there is not", false, true}, {"It is true.", true, true}, {"yes/no", true, true},
		{"\uff59\uff45\uff53", true, true}, // full-width
		// Whole words only: VLM-R1 reads the letters anywhere.
		{"unknown", false, false}, {"not sure", false, false}, {"none", false, false}, {"yesterday", false, false},
		{"nothing", false, false}, {"untrue", false, false}, {"", false, false}, {"maybe", false, false},
	} {
		value, ok := firstTruth(c.answer)
		if value != c.value || ok != c.ok {
			t.Errorf("%q: got %t, %t, want %t, %t", c.answer, value, ok, c.value, c.ok)
		}
	}
}

func TestChoice(t *testing.T) {
	shape := []string{"linear", "nonlinear", "neither", "both"}
	person := []string{"A man", "B flat", "Project A", "vitamin C"}
	for _, c := range []struct {
		answer  string
		choices []string
		want    int // -1: nothing or several named
	}{
		{"B", shape, 1}, {"(B)", shape, 1}, {"B)", shape, 1}, {"B.", shape, 1}, {"b", shape, 1}, {"[b]", shape, 1}, {" B \n", shape, 1},
		{"B: nonlinear", shape, 1}, {"B. nonlinear", shape, 1}, {"(B) nonlinear", shape, 1}, {"B) nonlinear", shape, 1}, {"B - nonlinear", shape, 1},
		{"B nonlinear", shape, 1}, {"**B**", shape, 1}, {"**B**: nonlinear", shape, 1}, {"$B$", shape, 1}, {`\text{B}`, shape, 1}, {`\boxed{B}`, shape, 1}, {`"B"`, shape, 1},
		{"The answer is B", shape, 1}, {"The answer is B.", shape, 1}, {"the correct answer is (B) nonlinear", shape, 1}, {"Answer: B", shape, 1},
		{`The answer is \boxed{B}.`, shape, 1}, {"option B is right", shape, 1}, {"I think option B, since it curves", shape, 1}, {"B is correct", shape, 1},
		{"B\nIt curves.", shape, 1}, {"the answer is b.", shape, 1}, {"A is correct", shape, 0}, {"It is (B).", shape, 1},
		{"(A) and (C) are false. The correct answer is (B).", shape, 1}, {"as the answer choices.", shape, -1},
		{"nonlinear", shape, 1}, {"Nonlinear.", shape, 1}, {"the answer is nonlinear", shape, 1}, {"**nonlinear**", shape, 1},
		// Two different letters, or a letter outside the options.
		{"A or B", shape, -1}, {"A and B", shape, -1}, {"A, B", shape, -1}, {"A/B", shape, -1}, {"(A) (B)", shape, -1}, {"A; B", shape, -1}, {"A\nB", shape, -1},
		{"option A or option B", shape, -1}, {"The answer is A or B", shape, -1}, {"B or maybe option C", shape, -1}, {"A: nonlinear", shape, -1},
		{"E", shape, -1}, {"(E)", shape, -1}, {"The answer is E", shape, -1}, {"A, A", shape, 0}, {"B, option B", shape, 1},
		// Letters of running text.
		{"a", shape, 0}, {"It is a", shape, -1}, {"A dog stands here", shape, -1}, {"I think it curves", shape, -1}, {"the answer is a curve", shape, -1},
		{"it has vitamin C", shape, -1}, {"The answer I think is (B)", shape, 1}, {"f(A) = 2", shape, -1}, {"", shape, -1}, {"Because", shape, -1},
		// Texts that look like letters.
		{"A man", person, 0}, {"B flat", person, 1}, {"Project A", person, 2}, {"vitamin C", person, 3}, {"The answer is Project A", person, 2}, {"C", person, 2},
		{"linear", []string{"linear", "linear"}, -1}, {"12 cm", []string{"12 cm", "13 cm"}, 0}, {"A", []string{"B", "A"}, 0},
	} {
		got, note := choice{letters: true, texts: true}.read(c.answer, c.choices)
		if note != "" {
			got = -1
		}
		if got != c.want {
			t.Errorf("%q of %q: got %d (%s), want %d", c.answer, c.choices, got, note, c.want)
		}
	}
}

func TestChoiceGold(t *testing.T) {
	for _, c := range []struct {
		ex data.Example
		ok bool
	}{
		{data.Example{Choices: []string{"x", "y"}, Answers: []string{"B"}}, true},
		{data.Example{Choices: []string{"x", "y"}, Answers: []string{"B", "Y."}}, true},
		{data.Example{Choices: []string{"x", "y"}, Answers: []string{"B", "x"}}, false}, // options shuffled after the letter was set
		{data.Example{Choices: []string{"x", "y"}, Answers: []string{"C"}}, false},
		{data.Example{Choices: []string{"x", "y"}, Answers: []string{"y"}}, false},
		{data.Example{Choices: []string{"x", "y"}}, false},
		{data.Example{Answers: []string{"A"}}, false},
	} {
		if err := (choice{}).checkGold(c.ex); (err == nil) != c.ok {
			t.Errorf("%+v: got %v, want ok %t", c.ex, err, c.ok)
		}
	}
}

func FuzzReadChoice(f *testing.F) {
	for _, s := range []string{"B", "(B) x", "A or B", "The answer is \\boxed{B}", "A\nB", "option I think"} {
		f.Add(s)
	}
	choices := []string{"x", "y", "A"}
	f.Fuzz(func(t *testing.T, s string) {
		i, note := choice{letters: true, texts: true}.read(s, choices)
		if note == "" && (i < 0 || i >= len(choices)) {
			t.Errorf("%q: option %d of %d", s, i, len(choices))
		}
		firstTruth(s)
	})
}
