package grpo

import (
	"fmt"
	"math"
)

// Batch is what the loss of N rows is computed from; every [N][T_n] has the lengths of LogP. Values at masked positions
// are read by nothing and may be anything.
type Batch struct {
	LogP      [][]float64 // [N][T_n] l, under the policy
	Old       [][]float64 // [N][T_n] o, under the policy that sampled; nil = LogP held fixed (on policy, ratio 1)
	Ref       [][]float64 // [N][T_n] q, under the reference; nil iff the loss has no KL term
	Mask      [][]bool    // [N][T_n] true = the token counts
	Advantage []float64   // [N]
	Factors

	Entropy [][]float64 // [N][T_n] H, under the policy; nil iff there is no entropy bonus
	// Tokens is the number that the entropy bonus is a mean over, where the batch is a part of an update; 0 = its own.
	Tokens int
}

// Losses is the outcome. Slices are [N][T_n] like the batch's LogP.
type Losses struct {
	Loss        float64     // sum of weight * PerToken over counted tokens, less the entropy bonus
	PerToken    [][]float64 // L with its factors and the KL term; at masked positions what the formula gives there, possibly not finite
	Grad        [][]float64 // dLoss/dl; 0 at masked positions, exactly 0 where clipped
	EntropyGrad [][]float64 // dLoss/dH; nil without an entropy bonus
	Clipped     [][]bool    // a bound is active, so that the policy term has no gradient
	KL          [][]float64 // the unweighted KL estimate; nil without a KL term
}

// Loss is the host reference of every variant: values and analytic gradients in float64.
//
//	L_t = surrogate(rho_t, l_t, A) * Factors_t + KL * kl_t [* rho_t]
//
// with weights of TokenWeights, and less EntropyBonus times the mean entropy. The order of multipliers is TRL's: none of
// them touches the KL term. The gradient follows the chain rule through l directly and through ln rho, of which
// d ln rho/d l_t is 1 at token level and m_t / max(1, sum m) at sequence level.
//
// At kinks the gradient of the unclipped branch is used where the branches tie, as in the graph.
func Loss(v Variant, b Batch, weights [][]float64) (Losses, error) {
	if err := v.Check(); err != nil {
		return Losses{}, err
	}
	if err := b.check(v, weights); err != nil {
		return Losses{}, err
	}
	var out Losses
	for i := range b.LogP {
		r := b.row(i)
		n := len(r.logp)
		perToken, grad, clipped, kl := make([]float64, n), make([]float64, n), make([]bool, n), make([]float64, n)
		logRatio := r.logRatio(v.Level)
		shared := 0.0 // sum over the row of weight * dL/d ln rho, for the sequence level
		for t, l := range r.logp {
			x := v.term(logRatio[t], l, r.advantage)
			factor := b.Factors.at(i, t)
			x = term{x.value * factor, x.byRatio * factor, x.byLogP * factor, x.clipped}
			if r.ref != nil {
				value, slope := v.kl(l - r.ref[t])
				kl[t] = value
				rho := 1.0
				if v.KLTimesRatio {
					rho = math.Exp(logRatio[t])
					x.byRatio += v.KL * value * rho
				}
				x.value += v.KL * value * rho
				x.byLogP += v.KL * slope * rho
			}
			perToken[t], clipped[t] = x.value, x.clipped
			if !r.mask[t] {
				continue
			}
			w := weights[i][t]
			out.Loss += float64(w * x.value)
			grad[t] = w * x.byLogP
			if v.Level == Sequence {
				shared += float64(w * x.byRatio)
			} else {
				grad[t] += float64(w * x.byRatio)
			}
		}
		if v.Level == Sequence {
			share := shared / r.count()
			for t := range grad {
				if r.mask[t] {
					grad[t] += share
				}
			}
		}
		out.PerToken, out.Grad, out.Clipped = append(out.PerToken, perToken), append(out.Grad, grad), append(out.Clipped, clipped)
		if r.ref != nil {
			out.KL = append(out.KL, kl)
		}
	}
	if b.Entropy != nil {
		b.bonus(v.EntropyBonus, &out)
	}
	return out, nil
}

// bonus takes the entropy bonus off the loss.
func (b Batch) bonus(coefficient float64, out *Losses) {
	weights := entropyWeights(coefficient, b.Mask, b.HighEntropy, b.Tokens)
	for i, row := range weights {
		grad := make([]float64, len(row))
		for t, w := range row {
			if w != 0 {
				out.Loss -= float64(w * b.Entropy[i][t])
				grad[t] = -w
			}
		}
		out.EntropyGrad = append(out.EntropyGrad, grad)
	}
}

// term is the surrogate of one token with its derivatives by ln rho and, directly, by l.
type term struct {
	value, byRatio, byLogP float64
	clipped                bool
}

// term evaluates the surrogate; formulas stand beside the Surrogate constants.
func (v Variant) term(logRatio, l, a float64) term {
	rho := math.Exp(logRatio)
	switch v.Surrogate {
	case Cap:
		c := min(rho, v.RatioCap) * a
		return term{value: -c * l, byLogP: -c}
	case Gate:
		tau := v.TauNeg
		if a > 0 {
			tau = v.TauPos
		}
		s := 1 / (1 + math.Exp(-tau*(rho-1)))
		// d/d ln rho of (4/tau) s(tau (rho-1)) is 4 s (1-s) rho.
		return term{value: -4 / tau * s * a, byRatio: -4 * s * (1 - s) * rho * a}
	}
	lo, hi := 1-v.ClipLow, 1+v.ClipHigh
	free, freeSlope := rho*a, rho*a // d rho / d ln rho = rho
	if v.Delta > 0 && rho > v.Delta {
		free, freeSlope = v.Delta*a, 0
	}
	bound, boundSlope := min(max(rho, lo), hi)*a, 0.0
	if lo <= rho && rho <= hi {
		boundSlope = rho * a
	}
	if free <= bound {
		return term{value: -free, byRatio: -freeSlope, clipped: freeSlope == 0 && a != 0}
	}
	return term{value: -bound, byRatio: -boundSlope, clipped: boundSlope == 0}
}

// row is one row of a batch.
type row struct {
	logp, old, ref []float64
	mask           []bool
	advantage      float64
}

func (b Batch) row(i int) row {
	r := row{logp: b.LogP[i], old: b.LogP[i], mask: b.Mask[i], advantage: b.Advantage[i]}
	if b.Old != nil {
		r.old = b.Old[i]
	}
	if b.Ref != nil {
		r.ref = b.Ref[i]
	}
	return r
}

// count is max(1, number of counted tokens).
func (r row) count() float64 { return float64(max(1, counted(r.mask))) }

// logRatio returns ln rho of every token.
func (r row) logRatio(level Level) []float64 {
	out := make([]float64, len(r.logp))
	sum := 0.0
	for t := range out {
		out[t] = r.logp[t] - r.old[t]
		if r.mask[t] {
			sum += out[t]
		}
	}
	if level == Sequence {
		mean := sum / r.count()
		for t := range out {
			out[t] = mean
		}
	}
	return out
}

// check compares lengths and refuses terms the variant has no place for.
func (b Batch) check(v Variant, weights [][]float64) error {
	n := len(b.LogP)
	if len(b.Advantage) != n || len(b.Mask) != n || len(weights) != n {
		return fmt.Errorf("loss %s: %d rows of logp, but %d advantages, %d masks, %d rows of weights", v.Name, n, len(b.Advantage), len(b.Mask), len(weights))
	}
	if v.PenalisesKL() != (b.Ref != nil) {
		return fmt.Errorf("loss %s: kl weight %v and reference given: %t; want both or neither", v.Name, v.KL, b.Ref != nil)
	}
	if (v.EntropyBonus != 0) != (b.Entropy != nil) {
		return fmt.Errorf("loss %s: entropy bonus %v and entropies given: %t; want both or neither", v.Name, v.EntropyBonus, b.Entropy != nil)
	}
	for _, x := range []struct {
		name string
		rows [][]float64
	}{{"old", b.Old}, {"ref", b.Ref}, {"entropy", b.Entropy}, {"weights", weights}} {
		if x.rows != nil && len(x.rows) != n {
			return fmt.Errorf("loss %s: %d rows of logp, but %d of %s", v.Name, n, len(x.rows), x.name)
		}
		for i, r := range x.rows {
			if len(r) != len(b.LogP[i]) {
				return fmt.Errorf("loss %s: row %d has %d tokens, but %d of %s", v.Name, i, len(b.LogP[i]), len(r), x.name)
			}
		}
	}
	for i, m := range b.Mask {
		if len(m) != len(b.LogP[i]) {
			return fmt.Errorf("loss %s: row %d has %d tokens, but %d of mask", v.Name, i, len(b.LogP[i]), len(m))
		}
	}
	return b.Factors.check(v, b.Mask)
}
