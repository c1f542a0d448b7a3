package grpo

import (
	"fmt"
	"math"
)

// Schedule returns the factor in (0, 1] by which the learning rate of update `step` (0-based, of `steps`) is multiplied.
//
// The first W = ceil(warmupFrac * steps) updates rise linearly, (step+1)/W, and reach 1 at the last of them. Then, with
// u = (step - W)/(steps - W) in [0, 1):
//
//	constant: 1        linear: 1 - u        cosine: (1 + cos(pi u))/2
//
// differs: in the warm-up these are the factors of transformers.get_scheduler one update later: those start at 0, which spends the first
// update on nothing, and here every update moves. Behind the warm-up the two are equal.
func Schedule(kind string, step, steps int, warmupFrac float64) (float64, error) {
	if step < 0 || step >= steps {
		return 0, fmt.Errorf("schedule: step %d is outside [0, %d)", step, steps)
	}
	if !(warmupFrac >= 0 && warmupFrac <= 1) {
		return 0, fmt.Errorf("schedule: warmup_frac: got %v, want a value in [0, 1]", warmupFrac)
	}
	var decay func(u float64) float64
	switch kind {
	case "constant":
		decay = func(float64) float64 { return 1 }
	case "linear":
		decay = func(u float64) float64 { return 1 - u }
	case "cosine":
		decay = func(u float64) float64 { return (1 + math.Cos(math.Pi*u)) / 2 }
	default:
		return 0, fmt.Errorf("schedule: got %q, want constant, linear or cosine", kind)
	}
	warmup := int(math.Ceil(float64(warmupFrac * float64(steps))))
	if step < warmup {
		return float64(step+1) / float64(warmup), nil
	}
	return decay(float64(step-warmup) / float64(steps-warmup)), nil
}
