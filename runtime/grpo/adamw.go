package grpo

import (
	"fmt"
	"math"

	"mixr/runtime/graph"
)

// Param names one trained tensor and the part of the policy that it belongs to, for a learning rate of its own.
//
// Weight decay is on tensors of rank 2 and more: matrices, embeddings, and the position and class embeddings of a vision tower.
// Those of rank 1 (gains of norms, biases, layer scales) are not decayed. The Trainer of transformers, on which TRL stands, means the
// same but goes by names, which let it decay layer scales and the norms of Qwen2.5-VL's tower; verl decays every parameter.
type Param struct {
	Name   string
	Shape  []int
	Module string
}

func (p Param) decays() bool { return len(p.Shape) > 1 }

// AdamW holds the constants of the optimizer (arXiv 1711.05101, decay decoupled from the gradient).
type AdamW struct {
	Beta1, Beta2 float64 // in [0, 1)
	AdamEps      float64 // > 0, added to the root of the second moment
	WeightDecay  float64 // per unit of learning rate
	GradClip     float64 // largest global L2 norm of the gradient; 0 = off
}

// Scalars returns the inputs of the graph of BuildAdamW beside tensors, by name, for update `step` (1-based, counting updates that
// were applied), a gradient of the given norm, which must be finite, and the learning rate lr of each module. With
// c1 = 1-Beta1^step, c2 = 1-Beta2^step and clip = min(1, GradClip/(norm + 1e-6)), 1 without clipping,
//
//	gain1 = (1-Beta1) clip,   gain2 = sqrt(1-Beta2) clip,   eps = AdamEps sqrt(c2)
//	rate.MODULE = lr sqrt(c2)/c1,   keep.MODULE = 1 - lr WeightDecay
//
// so that w = keep w - rate m/(sqrt(v) + eps) is the textbook step lr (m/c1)/(sqrt(v/c2) + AdamEps) with the bias
// corrections folded into scalars: one pass over the state, and lr = 0 is a valid step. The square of gain2 would be 0 in float32 from
// norms of 1e17 on, and the step of a second moment of 0 is boundless.
func (o AdamW) Scalars(norm float32, step int, lr map[string]float64) map[string]float32 {
	clip := float32(1)
	if o.GradClip > 0 {
		// 1e-6 is torch's guard against a zero norm in clip_grad_norm_; it keeps the factor equal to PyTorch's.
		clip = min(1, float32(o.GradClip)/(norm+1e-6))
	}
	c1 := 1 - math.Pow(o.Beta1, float64(step))
	c2 := 1 - math.Pow(o.Beta2, float64(step))
	in := map[string]float32{
		"gain1": clip * float32(1-o.Beta1), "gain2": clip * float32(math.Sqrt(1-o.Beta2)), "eps": float32(o.AdamEps * math.Sqrt(c2)),
	}
	for module, lr := range lr {
		in["rate."+module] = float32(lr * math.Sqrt(c2) / c1)
		in["keep."+module] = float32(1 - float64(lr*o.WeightDecay))
	}
	return in
}

// BuildNorm emits norm [1], the global L2 norm of the gradients g.X of all params. It is not finite if one of them is not, or if
// their squares overflow float32, at a norm of 1.8e19: then no update is to be made of them.
func BuildNorm(params []Param) (*graph.Graph, error) {
	return graph.Build("norm", func(g *graph.Graph) {
		var sum *graph.Value
		for _, p := range params {
			square := graph.SumSquares(g.Input("g."+p.Name, graph.F32, dims(p.Shape)...))
			if sum == nil {
				sum = square
			} else {
				sum = graph.Add(sum, square)
			}
		}
		g.Output("norm", graph.Sqrt(sum))
	})
}

// BuildAdamW emits one update of all params. Float32 throughout, element by element.
//
// Inputs, for each param X of shape S: X, g.X (gradient), m.X, v.X (moments), all S; then those of Scalars, [1] each: gain1, gain2,
// eps, for each module rate.MODULE and, if something in it decays, keep.MODULE. Outputs: o.X, o.m.X, o.v.X, S each.
//
// o.X, o.m.X and o.v.X may be bound to the buffers of X, m.X and v.X: every reader of an old value is an ancestor of
// the element-wise node that writes the new one.
func BuildAdamW(params []Param, o AdamW) (*graph.Graph, error) {
	if !(o.Beta1 >= 0 && o.Beta1 < 1 && o.Beta2 >= 0 && o.Beta2 < 1) {
		return nil, fmt.Errorf("adamw: beta1 %v, beta2 %v: want values in [0, 1)", o.Beta1, o.Beta2)
	}
	if !(o.AdamEps > 0) || !(o.GradClip >= 0) || len(params) == 0 {
		return nil, fmt.Errorf("adamw: adam_eps %v, grad_clip %v, %d params: want > 0, >= 0 and at least one", o.AdamEps, o.GradClip, len(params))
	}
	return graph.Build("optimizer", func(g *graph.Graph) {
		scalars := map[string]*graph.Value{}
		scalar := func(name string) *graph.Value {
			if scalars[name] == nil {
				scalars[name] = g.Input(name, graph.F32, 1)
			}
			return scalars[name]
		}
		for _, p := range params {
			in := func(prefix string) *graph.Value { return g.Input(prefix+p.Name, graph.F32, dims(p.Shape)...) }
			w, grad, m, v := in(""), in("g."), in("m."), in("v.")
			m = graph.Add(graph.Scale(m, o.Beta1), graph.Mul(grad, scalar("gain1")))
			root := graph.Mul(grad, scalar("gain2"))
			v = graph.Add(graph.Scale(v, o.Beta2), graph.Mul(root, root))
			if p.decays() && o.WeightDecay > 0 {
				w = graph.Mul(w, scalar("keep."+p.Module))
			}
			step := graph.Div(m, graph.Add(graph.Sqrt(v), scalar("eps")))
			g.Output("o."+p.Name, graph.Sub(w, graph.Mul(step, scalar("rate."+p.Module))))
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
