package grpo

import (
	"fmt"
	"math"
)

// KLEstimator is a per-token estimator of KL(policy || reference) from x = l - q, the log-probabilities of the sampled
// token under policy and reference (Schulman, "Approximating KL divergence", 2020).
//
//	      value               d/dl           as a loss term, in expectation on policy
//	k1    x                   1              gradient 0: useless in a loss
//	k2    x^2/2               x              gradient of KL(policy || reference)
//	k3    exp(-x) + x - 1     1 - exp(-x)    gradient of KL(reference || policy), although its value estimates the other
//	abs   |x|                 sign x         -
//
// None is clamped, as in TRL; exp(-x) overflows float32 below x = -88 (verl clamps k3 to +-10).
type KLEstimator string

const (
	K1    KLEstimator = "k1"
	K2    KLEstimator = "k2"
	K3    KLEstimator = "k3"
	AbsKL KLEstimator = "abs"
)

// KL returns the estimate and its derivative by l at l = logp, q = ref.
func (e KLEstimator) KL(logp, ref float64) (value, slope float64, err error) {
	k, err := e.kl(logp - ref)
	return k.value, k.slope, err
}

type valueSlope struct{ value, slope float64 }

func (e KLEstimator) kl(x float64) (valueSlope, error) {
	switch e {
	case K1:
		return valueSlope{x, 1}, nil
	case K2:
		return valueSlope{x * x / 2, x}, nil
	case K3, "":
		// expm1 keeps the value accurate near 0, where exp(-x) + x - 1 would cancel.
		return valueSlope{math.Expm1(-x) + x, -math.Expm1(-x)}, nil
	case AbsKL:
		slope := 0.0
		if x != 0 {
			slope = math.Copysign(1, x)
		}
		return valueSlope{math.Abs(x), slope}, nil
	}
	return valueSlope{}, fmt.Errorf("loss: kl estimator: got %q, want k1, k2, k3 or abs", e)
}
