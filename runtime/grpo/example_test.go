package grpo_test

import (
	"fmt"

	"mixr/runtime/grpo"
)

// One group of four completions, of which the last one could not be scored, becomes advantages and token weights.
func Example() {
	right, wrong := 1.0, 0.0
	a, err := grpo.Advantages([][]*float64{{&right}, {&wrong}, {&wrong}, {nil}}, []float64{1},
		grpo.Advantage{GroupSize: 4, Scale: grpo.ScaleGroup, Std: grpo.StdSample, StdEps: 1e-4})
	fmt.Printf("%.4f %v\n", a.Advantage, err)

	masks := [][]bool{{true, true, true}, {true}, {true, true}, {true, true}}
	for _, name := range []string{"grpo", "dapo"} {
		v, _ := grpo.VariantOf(name)
		w, err := grpo.TokenWeights(v.Aggregation, grpo.Update{Masks: masks})
		fmt.Printf("%s %.4f %v\n", name, w[:2], err)
	}
	// Output:
	// [1.1545 -0.5773 -0.5773 0.0000] <nil>
	// grpo [[0.0833 0.0833 0.0833] [0.2500]] <nil>
	// dapo [[0.1250 0.1250 0.1250] [0.1250]] <nil>
}
