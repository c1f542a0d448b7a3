package grpo

import (
	"fmt"
	"math"

	"mixr/runtime/graph"
)

// Param names one trained tensor. Tensors of rank 1 (norm gains, biases) are not decayed, all others are.
type Param struct {
	Name  string
	Shape []int
}

// AdamW holds the constants of the optimizer (arXiv 1711.05101, decay decoupled from the gradient).
type AdamW struct {
	Beta1, Beta2 float64 // in [0, 1)
	AdamEps      float64 // > 0, added to the root of the second moment
	WeightDecay  float64 // per unit of learning rate
	GradClip     float64 // largest global L2 norm of the gradient; 0 = off
}

// Scalars returns the inputs rate, eps and keep of the graph for update `step` (1-based, counting updates that were
// applied) at learning rate lr. With c1 = 1-Beta1^step and c2 = 1-Beta2^step,
//
//	rate = lr sqrt(c2)/c1,   eps = AdamEps sqrt(c2),   keep = 1 - lr WeightDecay
//
// so that w = keep w - rate m/(sqrt(v) + eps) is the textbook step lr (m/c1)/(sqrt(v/c2) + AdamEps) with the bias
// corrections folded into scalars: one pass over the state, and lr = 0 is a valid step.
func (o AdamW) Scalars(lr float64, step int) (rate, eps, keep float32) {
	c1 := 1 - math.Pow(o.Beta1, float64(step))
	c2 := 1 - math.Pow(o.Beta2, float64(step))
	return float32(lr * math.Sqrt(c2) / c1), float32(o.AdamEps * math.Sqrt(c2)), float32(1 - float64(lr*o.WeightDecay))
}

// BuildAdamW emits one update of all params. Float32 throughout.
//
// Inputs, for each param X of shape S: X, g.X (gradient), m.X, v.X (moments), all S; then rate, eps, keep [1] of
// Scalars. Outputs: o.X, o.m.X, o.v.X, S each, and norm [1], the global L2 norm of all gradients before clipping.
//
// o.X, o.m.X and o.v.X may be bound to the buffers of X, m.X and v.X: every reader of an old value is an ancestor of
// the element-wise node that writes the new one. If norm is not finite nothing changes: each output equals its input,
// and the caller, who reads norm, decides what to do.
func BuildAdamW(params []Param, o AdamW) (*graph.Graph, error) {
	if !(o.Beta1 >= 0 && o.Beta1 < 1 && o.Beta2 >= 0 && o.Beta2 < 1) {
		return nil, fmt.Errorf("adamw: beta1 %v, beta2 %v: want values in [0, 1)", o.Beta1, o.Beta2)
	}
	if !(o.AdamEps > 0) || !(o.GradClip >= 0) || len(params) == 0 {
		return nil, fmt.Errorf("adamw: adam_eps %v, grad_clip %v, %d params: want > 0, >= 0 and at least one", o.AdamEps, o.GradClip, len(params))
	}
	return graph.Build("optimizer", func(g *graph.Graph) {
		type state struct{ w, g, m, v *graph.Value }
		states := make([]state, len(params))
		for i, p := range params {
			in := func(prefix string) *graph.Value { return g.Input(prefix+p.Name, graph.F32, dims(p.Shape)...) }
			states[i] = state{in(""), in("g."), in("m."), in("v.")}
		}
		var sum *graph.Value
		for _, s := range states {
			square := graph.SumSquares(s.g)
			if sum == nil {
				sum = square
			} else {
				sum = graph.Add(sum, square)
			}
		}
		norm := graph.Sqrt(sum)
		g.Output("norm", norm)

		one, zero := g.Floats([]int{1}, 1), g.Floats([]int{1}, 0)
		clip := one
		if o.GradClip > 0 {
			// 1e-6 is torch's guard against a zero norm in clip_grad_norm_; it keeps the factor equal to PyTorch's.
			clip = graph.Min(one, graph.Div(g.Floats([]int{1}, float32(o.GradClip)), graph.AddScalar(norm, 1e-6)))
		}
		finite := graph.LessEqual(norm, g.Floats([]int{1}, math.MaxFloat32)) // false for NaN
		constant := func(x float64) *graph.Value { return g.Floats([]int{1}, float32(x)) }
		beta1 := graph.Where(finite, constant(o.Beta1), one)
		beta2 := graph.Where(finite, constant(o.Beta2), one)
		gain1 := graph.Scale(clip, 1-o.Beta1)
		gain2 := graph.Scale(graph.Mul(clip, clip), 1-o.Beta2)
		gain1, gain2 = graph.Where(finite, gain1, zero), graph.Where(finite, gain2, zero)
		rate := graph.Where(finite, g.Input("rate", graph.F32, 1), zero)
		eps := g.Input("eps", graph.F32, 1)
		keep := graph.Where(finite, g.Input("keep", graph.F32, 1), one)

		for i, p := range params {
			s := states[i]
			grad := graph.Where(finite, s.g, zero)
			m := graph.Add(graph.Mul(s.m, beta1), graph.Mul(grad, gain1))
			v := graph.Add(graph.Mul(s.v, beta2), graph.Mul(graph.Mul(grad, grad), gain2))
			w := s.w
			if len(p.Shape) > 1 {
				w = graph.Mul(w, keep)
			}
			step := graph.Div(m, graph.Add(graph.Sqrt(v), eps))
			g.Output("o."+p.Name, graph.Sub(w, graph.Mul(step, rate)))
			g.Output("o.m."+p.Name, m)
			g.Output("o.v."+p.Name, v)
		}
	})
}

// BuildAccumulate emits o.acc.X = acc.X + g.X for all params; o.acc.X may be bound to the buffer of acc.X. The caller
// adds the gradients of the units of compute in a fixed order, so that bits do not depend on who finished first.
func BuildAccumulate(params []Param) (*graph.Graph, error) {
	return graph.Build("accumulate", func(g *graph.Graph) {
		for _, p := range params {
			acc := g.Input("acc."+p.Name, graph.F32, dims(p.Shape)...)
			g.Output("o.acc."+p.Name, graph.Add(acc, g.Input("g."+p.Name, graph.F32, dims(p.Shape)...)))
		}
	})
}

func dims(shape []int) []any {
	out := make([]any, len(shape))
	for i, n := range shape {
		out[i] = n
	}
	return out
}
