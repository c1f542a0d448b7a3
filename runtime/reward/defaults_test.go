package reward

import (
	"encoding/json"
	"reflect"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// withDefaults fills every option of the blocks in r with the schema's default, as loading an experiment does.
func withDefaults(t *testing.T, r spec.Rewards) spec.Rewards {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	fill := func(m map[string]any, path string) {
		for key, v := range m {
			if _, block := v.(map[string]any); block || key == "weight" || key == "tolerance" {
				continue
			}
			fallback := spec.Default(path + key)
			if fallback == "" {
				t.Errorf("%s%s has no default", path, key)
				continue
			}
			var value any
			if err := json.Unmarshal([]byte(fallback), &value); err != nil {
				t.Fatal(err)
			}
			m[key] = value
		}
	}
	fill(tree, "rewards.")
	for name, block := range tree {
		if m, ok := block.(map[string]any); ok {
			fill(m, "rewards."+name+".")
		}
	}
	if text, err = json.Marshal(tree); err != nil {
		t.Fatal(err)
	}
	var out spec.Rewards
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestDefaultsAreZero: a spec.Rewards written by hand, with only what it must have, scores as an experiment with the schema's defaults.
func TestDefaultsAreZero(t *testing.T) {
	byHand := newScorer(t, experiment())
	exp := experiment()
	exp.Rewards = withDefaults(t, exp.Rewards)
	if exp.Rewards.Combine != "sum" || exp.Rewards.Matching.Strictness != "named" || exp.Rewards.IoU.Space != "policy" || len(exp.Rewards.Extract) != 1 {
		t.Fatalf("got %+v", exp.Rewards)
	}
	loaded := newScorer(t, exp)
	examples := []data.Example{
		{Task: data.YesNo, Answers: []string{"no"}},
		{Task: data.MCQ, Answers: []string{"B"}, Choices: []string{"linear", "nonlinear", "both"}},
		{Task: data.Chart, Answers: []string{"12%", "2020", "007", "red, blue"}},
		{Task: data.Grounding, Boxes: []data.Box{{1, 1, 50, 50}}, ImageSize: [2]int{100, 100}},
		{Task: data.Grounding, Boxes: []data.Box{{1, 1, 50, 50}, {2, 60, 30, 90}}, ImageSize: [2]int{100, 100}},
		{Task: data.Open, Answers: []string{"abc", "the, of."}},
	}
	for _, answer := range []string{
		"no", "not", "B", "nonlinear", "so nonlinear it is", "the tissue B", "12.5", "2021", "7", "blue; red", `2\sqrt{3}`, "[1,1,50,50]", "[[1,1,25,50],[2,60,30,90]]",
		"[0.1,0.1,0.5,0.5]", "cab", "the of", "", "25/12/2018", "A or B",
	} {
		for _, text := range []string{answer, "<answer>" + answer, "<think>t</think><answer>" + answer + "</answer>", `\boxed{` + answer + "}"} {
			for _, ex := range examples {
				a, err := byHand.Score(ex, text, Frame{100, 100, 112, 112})
				if err != nil {
					t.Fatal(err)
				}
				b, err := loaded.Score(ex, text, Frame{100, 100, 112, 112})
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(a, b) {
					t.Errorf("%s, %q: %+v by hand, %+v with the defaults", ex.Task, text, a, b)
				}
			}
		}
	}
}
