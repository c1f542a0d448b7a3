package grpo

import (
	"fmt"
	"path/filepath"
	"runtime"

	"mixr/runtime/graph"
)

// Inputs are the values of the C selected positions of one unit of compute, all [C].
type Inputs struct {
	LogP      *graph.Value // under the policy, differentiable
	Old       *graph.Value // under the policy that sampled; nil = LogP itself without gradient: on policy, ratio 1
	Ref       *graph.Value // under the reference; nil iff the variant has no KL term
	Advantage *graph.Value // of the position's row
	Weight    *graph.Value // of TokenWeights; 0 for padding, whose other values must be finite
}

// Outputs are what Objective emits.
type Outputs struct {
	Loss *graph.Value // [1] sum of Weight * L over the positions given
	KL   *graph.Value // [C] k3 estimate, unweighted; nil without a reference
}

// Objective emits the token-level clipped loss with an optional k3 term,
//
//	L = -min(rho A, clip(rho, 1-ClipLow, 1+ClipHigh) A) + KL k3,   rho = exp(l - o)
//
// which is grpo, dr_grpo, bnpo and dapo, depending on Weight alone. It panics with *graph.Error for a wrong shape, for
// a variant that it does not cover (host reference: Loss) and for a KL weight without a reference.
func Objective(in Inputs, v Variant) Outputs {
	check(v.Surrogate == Clip && v.Level == Token && v.Delta == 0 && !v.KLTimesRatio && (v.KLEstimator == "" || v.KLEstimator == K3),
		"loss %s: the graph covers the token-level two-bound clip with k3 only", v.Name)
	check((v.KL != 0) == (in.Ref != nil), "loss %s: kl weight %v and reference given: %t; want both or neither", v.Name, v.KL, in.Ref != nil)
	for _, x := range []*graph.Value{in.LogP, in.Advantage, in.Weight} {
		x.Want(in.LogP.Shape()[0])
	}
	old := in.Old
	if old == nil {
		old = graph.StopGradient(in.LogP)
	}
	ratio := graph.Exp(graph.Sub(in.LogP, old))
	free := graph.Mul(ratio, in.Advantage)
	bound := graph.Mul(graph.Clip(ratio, 1-v.ClipLow, 1+v.ClipHigh), in.Advantage)
	loss := graph.Neg(graph.Min(free, bound))
	var out Outputs
	if in.Ref != nil {
		x := graph.Sub(in.LogP, in.Ref)
		out.KL = graph.AddScalar(graph.Add(graph.Exp(graph.Neg(x)), x), -1)
		loss = graph.Add(loss, graph.Scale(out.KL, v.KL))
	}
	out.Loss = graph.SumAll(graph.Mul(in.Weight, loss))
	return out
}

// SFT emits the supervised loss -sum of weight * logp; logp and weight [C]; result [1].
func SFT(logp, weight *graph.Value) *graph.Value {
	weight.Want(logp.Shape()[0])
	return graph.Neg(graph.SumAll(graph.Mul(weight, logp)))
}

// check panics with *graph.Error, as every mistake in building a graph does.
func check(ok bool, format string, args ...any) {
	if ok {
		return
	}
	_, file, line, _ := runtime.Caller(2)
	panic(&graph.Error{Op: "Objective", Rule: fmt.Sprintf(format, args...), At: fmt.Sprintf("%s:%d", filepath.Base(file), line)})
}
