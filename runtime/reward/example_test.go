package reward_test

import (
	"fmt"

	"mixr/runtime/data"
	"mixr/runtime/reward"
	"mixr/runtime/spec"
)

func Example() {
	scorer, err := reward.NewScorer(&spec.Experiment{
		Route:   map[string]string{"chart": "chart"},
		Rewards: spec.Rewards{Chart: &spec.Chart{Weight: 1, Tolerance: 0.05}, Format: &spec.Format{Weight: 0.5}},
	}, reward.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ex := data.Example{ID: "q1", Task: data.Chart, Answers: []string{"12%"}}
	for _, completion := range []string{
		"<think>the bar ends near 12</think><answer>12.4 %</answer>",
		"<answer>12</answer>",
		"12",
	} {
		r, err := scorer.Score(ex, completion, reward.Frame{})
		fmt.Println(*r.Chart, *r.Format, r.Reward, r.IoU == nil, r.Note, err)
	}
	// Output:
	// 1 1 1.5 true  <nil>
	// 1 0 1 true  <nil>
	// 0 0 0 true unparsed: no answer block <nil>
}
