package nn

import "mixr/runtime/graph"

// Bias says whether a linear layer has one.
type Bias bool

const (
	NoBias   Bias = false
	WithBias Bias = true
)

// Linear is x W' + b, and its adapter if it has one (see LoRA). x [..., in]; parameters weight [out, in] and, with a bias, bias [out].
// Returns [..., out].
func Linear(p *Params, x *graph.Value, in, out int, bias Bias) *graph.Value {
	var b *graph.Value
	w := p.Weight("weight", out, in)
	if bias {
		b = p.Weight("bias", out)
	}
	y := graph.Linear(x, w, b)
	if low := p.adapter(x, in, out); low != nil {
		y = graph.Add(y, low)
	}
	return y
}

// RMSNorm is x / sqrt(mean(x^2) + normEps) * gain over the last dim (arXiv 1910.07467). x [..., D]; parameter weight [D].
func RMSNorm(p *Params, x *graph.Value, d int, normEps float64) *graph.Value {
	return graph.RMSNorm(x, p.Weight("weight", d), normEps)
}

// SwiGLU is the gated MLP down(silu(gate(x)) * up(x)) (arXiv 2002.05202). x [..., D]; parameters gate_proj and up_proj [F, D],
// down_proj [D, F]. Returns [..., D].
func SwiGLU(p *Params, x *graph.Value, d, f int, bias Bias) *graph.Value {
	gate := graph.SiLU(Linear(p.At("gate_proj"), x, d, f, bias)) // [..., F]
	up := Linear(p.At("up_proj"), x, d, f, bias)                 // [..., F]
	return Linear(p.At("down_proj"), graph.Mul(gate, up), f, d, bias)
}
