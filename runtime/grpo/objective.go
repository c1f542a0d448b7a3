package grpo

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime"

	"mixr/runtime/graph"
)

// Inputs are the values of the C selected positions of one unit of compute, all [C]. Weights are those of
// Variant.Weights; where they are 0 (masked completions, padding) the other values may be any that are finite.
type Inputs struct {
	LogP      *graph.Value // under the policy, differentiable
	Advantage *graph.Value // of the position's row
	Weight    *graph.Value // of the policy term

	Old         *graph.Value // Token level: under the policy that sampled; nil = LogP itself without gradient: on policy, ratio 1
	RowLogRatio *graph.Value // Sequence level: mean of l - o over the position's row, see MeanByRow; nil = on policy, ratio 1

	Ref      *graph.Value // under the reference; nil iff the loss has no KL term
	KLWeight *graph.Value // of the KL term; nil = Weight, iff not Reweighted or without a KL term

	Entropy, EntropyWeight *graph.Value // nil iff without an entropy bonus
}

// Outputs are what Objective emits.
type Outputs struct {
	Loss *graph.Value // [1] summed over the positions given
	KL   *graph.Value // [C] the KL estimate, 0 where it has no weight; nil without a KL term
}

// maxLogRatio bounds ln rho: exp of it is finite in float32, and no sampled token's probability moves so far. Without it
// a ratio that overflows, at a masked or a clipped token, would make 0 times infinity of a gradient that is 0.
const maxLogRatio = 80

// Objective emits the loss of a variant for the positions of one unit,
//
//	sum of Weight L(rho, l, A) + KLWeight KL kl [rho] - EntropyWeight H
//
// with L of Surrogate, rho = exp(l - o) at token level and rho = exp(s + l - sg(l)) at sequence level, s being the row's
// mean of l - o: its value is the sequence's ratio, its gradient falls on the token alone, and the weights, which are the
// row's mean there, make the sum over the row what the formula demands. It panics with *graph.Error for a wrong shape, for
// a variant that Check refuses and for an input that the variant lacks or does not read. Host reference: Loss.
func Objective(in Inputs, v Variant) Outputs {
	if err := v.Check(); err != nil {
		check(false, "%v", err)
	}
	check(v.PenalisesKL() == (in.Ref != nil), "loss %s: kl weight %v and reference given: %t; want both or neither", v.Name, v.KL, in.Ref != nil)
	check((v.PenalisesKL() && v.Reweighted) == (in.KLWeight != nil), "loss %s: reweighted %t and weights of the KL given: %t; want both or neither",
		v.Name, v.Reweighted, in.KLWeight != nil)
	check((v.EntropyBonus != 0) == (in.Entropy != nil) && (in.Entropy == nil) == (in.EntropyWeight == nil),
		"loss %s: entropy bonus %v and entropies with weights given: %t; want both or neither", v.Name, v.EntropyBonus, in.Entropy != nil)
	check(v.Level == Token && in.RowLogRatio == nil || v.Level == Sequence && in.Old == nil, "loss %s: level %s wants %s", v.Name, v.Level,
		map[Level]string{Token: "old log-probabilities, and no ratio of the row", Sequence: "the ratio of the row, and no old log-probabilities"}[v.Level])
	for _, x := range []*graph.Value{in.LogP, in.Advantage, in.Weight, in.Old, in.RowLogRatio, in.Ref, in.KLWeight, in.Entropy, in.EntropyWeight} {
		if x != nil {
			x.Want(in.LogP.Shape()[0])
		}
	}

	ratio := in.ratio()
	loss := v.surrogate(ratio, in.LogP, in.Advantage)
	var out Outputs
	if in.Ref == nil {
		out.Loss = graph.SumAll(graph.Mul(in.Weight, loss))
	} else {
		weight := in.Weight
		if v.Reweighted {
			weight = in.KLWeight
		}
		out.KL = v.klValue(graph.Sub(in.LogP, in.Ref), weight)
		kl := out.KL
		if v.KLTimesRatio {
			kl = graph.Mul(kl, ratio)
		}
		kl = graph.Scale(kl, v.KL)
		if v.Reweighted {
			out.Loss = graph.Add(graph.SumAll(graph.Mul(in.Weight, loss)), graph.SumAll(graph.Mul(weight, kl)))
		} else {
			out.Loss = graph.SumAll(graph.Mul(weight, graph.Add(loss, kl)))
		}
	}
	if in.Entropy != nil {
		out.Loss = graph.Sub(out.Loss, graph.SumAll(graph.Mul(in.EntropyWeight, in.Entropy)))
	}
	return out
}

// ratio is rho [C].
func (in Inputs) ratio() *graph.Value {
	own := graph.StopGradient(in.LogP)
	switch {
	case in.Old != nil:
		return graph.Exp(graph.Clip(graph.Sub(in.LogP, in.Old), math.Inf(-1), maxLogRatio))
	case in.RowLogRatio != nil:
		return graph.Exp(graph.Add(graph.Clip(in.RowLogRatio, math.Inf(-1), maxLogRatio), graph.Sub(in.LogP, own)))
	}
	return graph.Exp(graph.Sub(in.LogP, own))
}

// surrogate is L [C].
func (v Variant) surrogate(ratio, logp, advantage *graph.Value) *graph.Value {
	switch v.Surrogate {
	case Cap:
		return graph.Neg(graph.Mul(graph.StopGradient(graph.Mul(graph.Clip(ratio, 0, v.RatioCap), advantage)), logp))
	case Gate:
		positive := graph.Greater(advantage, constant(advantage, 0))
		bySign := func(pos, neg float64) *graph.Value {
			return graph.Where(positive, constant(advantage, pos), constant(advantage, neg))
		}
		gate := graph.Sigmoid(graph.Mul(bySign(v.TauPos, v.TauNeg), graph.AddScalar(ratio, -1)))
		return graph.Neg(graph.Mul(gate, graph.Mul(bySign(4/v.TauPos, 4/v.TauNeg), advantage)))
	}
	free := ratio
	if v.Delta > 0 {
		free = graph.Clip(ratio, 0, v.Delta)
	}
	free = graph.Mul(free, advantage)
	bound := graph.Mul(graph.Clip(ratio, 1-v.ClipLow, 1+v.ClipHigh), advantage)
	return graph.Neg(graph.Min(free, bound))
}

// MeanByRow emits, at each of C positions, the mean of x [C] over the counted positions of its row: mean [R, C] holds in row
// r 1/n_r at the row's n_r counted positions and 0 elsewhere, row [C] int64 names the row of each position (RowMeans makes
// both). Without a counted position the mean is 0.
func MeanByRow(x, mean, row *graph.Value) *graph.Value {
	sums := graph.MatMul(mean, graph.Reshape(x, -1, 1), false, false, 1) // [R, 1]
	return graph.Gather(graph.Reshape(sums, -1), row)
}

// SFT emits the supervised loss -sum of weight * logp; logp and weight [C]; result [1].
func SFT(logp, weight *graph.Value) *graph.Value {
	weight.Want(logp.Shape()[0])
	return graph.Neg(graph.SumAll(graph.Mul(weight, logp)))
}

// constant is a scalar of the graph of a value.
func constant(of *graph.Value, x float64) *graph.Value { return of.Graph().Floats(nil, float32(x)) }

// check panics with *graph.Error, as every mistake in building a graph does.
func check(ok bool, format string, args ...any) {
	if ok {
		return
	}
	_, file, line, _ := runtime.Caller(2)
	panic(&graph.Error{Op: "Objective", Rule: fmt.Sprintf(format, args...), At: fmt.Sprintf("%s:%d", filepath.Base(file), line)})
}
