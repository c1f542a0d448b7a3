package reward

import (
	"math"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// Whatever the rule of combination, the parts with their weights add up to the reward.
func TestPartsAddUp(t *testing.T) {
	ex := data.Example{Task: data.YesNo, Answers: []string{"yes"}}
	for _, combine := range []string{"sum", "convex", "gated"} {
		exp := experiment()
		exp.Rewards.Combine, exp.Rewards.Matching.Weight, exp.Rewards.Format.Weight = combine, 2, 0.25
		exp.Rewards.Overlong = &spec.Overlong{Weight: 3, Limit: 8, Buffer: 8}
		exp.Rewards.Repetition = &spec.Repetition{Weight: 0.5, NGram: 1}
		p, seen := NewParts(exp.Rewards), map[float64]bool{}
		for _, text := range []string{"<think>t</think><answer>yes</answer>", "<answer>yes</answer>", "<think>t</think><answer>no</answer>", "yes yes"} {
			r, err := newScorer(t, exp).ScoreCompletion(ex, Completion{Text: text, NumTokens: 4}, Frame{})
			if err != nil {
				t.Fatal(err)
			}
			sum, values := 0.0, p.Values(r)
			for i, v := range values {
				if v != nil {
					sum += p.Weights[i] * *v
				}
			}
			if math.Abs(sum-r.Reward) > 1e-12 { // a few roundings of numbers near 1
				t.Errorf("%s, %q: the parts add up to %v, the reward is %v", combine, text, sum, r.Reward)
			}
			if values[1] != nil || values[0] == nil || values[5] == nil {
				t.Errorf("%s, %q: values %v, want matching and format, and no chart", combine, text, values)
			}
			seen[r.Reward] = true
		}
		if len(seen) < 3 {
			t.Errorf("%s: the texts have rewards %v only", combine, seen)
		}
	}
}
