package nn

import "mixr/runtime/graph"

// Activation is the non-linearity of a feed-forward layer.
type Activation func(x *graph.Value) *graph.Value

// ActivationNamed returns the activation that Hugging Face configurations call by that name, or nil: gelu is the exact one, and
// gelu_new and gelu_pytorch_tanh are one and the same approximation.
func ActivationNamed(name string) Activation {
	switch name {
	case "gelu":
		return graph.GELU
	case "gelu_new", "gelu_pytorch_tanh":
		return graph.GELUTanh
	case "relu":
		return graph.ReLU
	case "silu":
		return graph.SiLU
	}
	return nil
}

// MLP is fc2(act(fc1(x))), the feed-forward of vision transformers. x [..., D]; parameters fc1 [F, D] and fc2 [D, F]. Returns [..., D].
func MLP(p *Params, x *graph.Value, d, f int, act Activation, bias Bias) *graph.Value {
	return Linear(p.At("fc2"), act(Linear(p.At("fc1"), x, d, f, bias)), f, d, bias)
}
