package spec

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Whatever is done to a file, the answer is an experiment or mistakes with a place, never a panic and never neither.
func TestMutantsNeverPanic(t *testing.T) {
	t.Chdir(workspace(t))
	words := []string{"{", "}", "[", "]", ":", ",", "1", "-1", "1e400", `"x"`, "null", "true", "_", "...", "x", "#d", "?", "!", "&", "|", "*", "@a(b)", "[string]", "for", "if", "let", "\n",
		"grpo", "sft", "name", "sources", "steps", "ladder", "patch", "base", "seeds", "rewards", "stage", "experiment", "study", "schema.#GRPO", "schema.#Experiment"}
	rng := rand.New(rand.NewPCG(1, 2))
	const numMutants = 150 // 8000 were tried once
	loaded := 0
	for range numMutants {
		tokens := strings.SplitAfter([]string{good, ladder}[rng.IntN(2)], " ")
		for range rng.IntN(3) {
			at := 4 + rng.IntN(len(tokens)-4)
			switch rng.IntN(4) {
			case 0:
				tokens[at] = ""
			case 1:
				tokens[at] = words[rng.IntN(len(words))] + " "
			case 2:
				tokens[at] += words[rng.IntN(len(words))] + " "
			case 3:
				tokens[at] += tokens[4+rng.IntN(len(tokens)-4)]
			}
		}
		text := strings.Join(tokens, "")
		write(t, "x.cue", text)
		f, mistakes := Load("x.cue", nil)
		if (f == nil) == (mistakes == nil) {
			t.Fatalf("%v, %v for\n%s", f, mistakes, text)
		}
		if f != nil {
			loaded++
			for _, r := range f.Rungs {
				Changed(r.Experiment)
			}
		}
		for _, d := range mistakes {
			if d.Pos.IsZero() || d.Msg == "" || strings.Contains(d.Msg, "\n") || strings.Contains(d.Msg, "the program disagree") {
				t.Fatalf("%q for\n%s", d, text)
			}
		}
	}
	if loaded < 20 || loaded == numMutants {
		t.Errorf("%d of %d mutants load: the test shows nothing", loaded, numMutants)
	}
}
