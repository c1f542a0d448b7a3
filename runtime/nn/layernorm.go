package nn

import "mixr/runtime/graph"

// LayerNorm is (x - mean) / sqrt(variance + normEps) * gain + bias over the last dim (arXiv 1607.06450). x [..., D]; parameters
// weight [D] and, with a bias, bias [D].
func LayerNorm(p *Params, x *graph.Value, d int, normEps float64, bias Bias) *graph.Value {
	var b *graph.Value
	w := p.Weight("weight", d)
	if bias {
		b = p.Weight("bias", d)
	}
	return graph.LayerNorm(x, w, b, normEps)
}
