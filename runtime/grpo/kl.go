package grpo

import (
	"fmt"
	"math"

	"mixr/runtime/graph"
)

// KLEstimator is a per-token estimator of KL(policy || reference) from x = l - q, the log-probabilities of the sampled
// token under policy and reference (Schulman, "Approximating KL divergence", 2020).
//
//	      value               d/dl           as a loss term, in expectation on policy
//	k1    x                   1              gradient 0: useless in a loss, right in a reward
//	k2    x^2/2               x              gradient of KL(policy || reference)
//	k3    exp(-x) + x - 1     1 - exp(-x)    gradient of KL(reference || policy), although its value estimates the other
//	abs   |x|                 sign x, 0 at 0 -
//
// Variant.KLClamp limits the value to +-clamp, beyond which the gradient is 0 (verl has 10 for k3; TRL has no limit).
type KLEstimator string

const (
	K1    KLEstimator = "k1"
	K2    KLEstimator = "k2"
	K3    KLEstimator = "k3"
	AbsKL KLEstimator = "abs"
)

// KLGradient is what the KL term passes back.
type KLGradient string

const (
	OwnGradient KLGradient = "own" // the estimator's
	// K2Gradient is straight-through: the value of the estimator, clamped or not, with k2's gradient x everywhere, since
	// that is the divergence's (verl's k1+ and k3+).
	K2Gradient KLGradient = "k2"
)

// kl is the estimate of a checked variant at x = l - q, and its derivative by l.
func (v Variant) kl(x float64) (value, slope float64) {
	switch v.KLEstimator {
	case K1:
		value, slope = x, 1
	case K2:
		value, slope = x*x/2, x
	case AbsKL:
		value = math.Abs(x)
		if x != 0 {
			slope = math.Copysign(1, x)
		}
	default:
		// expm1 keeps the value accurate near 0, where exp(-x) + x - 1 would cancel.
		value, slope = math.Expm1(-x)+x, -math.Expm1(-x)
	}
	if c := v.KLClamp; c > 0 && math.Abs(value) > c {
		value, slope = math.Copysign(c, value), 0
	}
	if v.KLGradient == K2Gradient {
		slope = x
	}
	return value, slope
}

// klValue is kl as part of a graph: the estimates [C] from x [C]. weight is what they are multiplied by in the loss: where
// it is 0, x counts as 0, since exp(-x) overflows below x = -88 and 0 times infinity is not 0. Unclamped, a token that
// counts may overflow, and then so does the norm of the gradient.
func (v Variant) klValue(x, weight *graph.Value) *graph.Value {
	zero := constant(x, 0)
	x = graph.Where(graph.Equal(weight, zero), zero, x)
	value := x
	switch v.KLEstimator {
	case K1:
	case K2:
		value = graph.Scale(graph.Mul(x, x), 0.5)
	case AbsKL:
		value = graph.Sub(graph.Max(x, zero), graph.Min(x, zero)) // both pass the gradient at 0, so their difference is 0
	default:
		bounded := x
		if v.KLClamp > 0 {
			// At this x the value is beyond the clamp already, and exp(-x) is finite.
			bounded = graph.Clip(x, -min(math.Log1p(v.KLClamp)+2, maxLogRatio), math.Inf(1))
		}
		value = graph.AddScalar(graph.Add(graph.Exp(graph.Neg(bounded)), bounded), -1)
	}
	if v.KLClamp > 0 {
		value = graph.Clip(value, -v.KLClamp, v.KLClamp)
	}
	if v.KLGradient == K2Gradient {
		k2 := graph.Scale(graph.Mul(x, x), 0.5)
		value = graph.Add(graph.StopGradient(value), graph.Sub(k2, graph.StopGradient(k2)))
	}
	return value
}

// KLReward is the KL in the reward, as verl has it: estimates [N][T_n] of the tokens, 0 where masked, and for each row
//
//	penalty_i = KL * sum over counted tokens of the estimate
//
// which is taken off the row's reward before the advantages: a sum, so that longer completions lose more. logp is the
// policy that sampled. Errors: a variant that Check refuses, other lengths.
func (v Variant) KLReward(logp, ref [][]float64, mask [][]bool) (penalty []float64, estimate [][]float64, err error) {
	if err := v.Check(); err != nil {
		return nil, nil, err
	}
	if len(ref) != len(logp) || len(mask) != len(logp) {
		return nil, nil, fmt.Errorf("kl in reward: %d rows of logp, %d of reference logp, %d masks", len(logp), len(ref), len(mask))
	}
	penalty = make([]float64, len(logp))
	for i, row := range logp {
		if len(ref[i]) != len(row) || len(mask[i]) != len(row) {
			return nil, nil, fmt.Errorf("kl in reward: row %d: %d tokens, %d of the reference, %d mask values", i, len(row), len(ref[i]), len(mask[i]))
		}
		kl := make([]float64, len(row))
		for t, l := range row {
			if mask[i][t] {
				kl[t], _ = v.kl(l - ref[i][t])
				penalty[i] += float64(v.KL * kl[t])
			}
		}
		estimate = append(estimate, kl)
	}
	return penalty, estimate, nil
}
