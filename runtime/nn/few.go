package nn

import "mixr/runtime/graph"

// Layers for few rows. A product x W' copies the weights into the order of its kernel each time; for a handful of rows that copy takes
// longer than the product. W x' reads them where they lie and copies the rows instead, at the speed of weights that were copied
// beforehand (ONNX Runtime 1.30, one thread, [1408, 512]: 8 rows 271 -> 192 us, 16 rows 332 -> 185, 64 rows 857 -> 667).

// LinearOfFew is Linear, for few rows: x [R, in]. Returns [R, out].
func LinearOfFew(p *Params, x *graph.Value, in, out int, bias Bias) *graph.Value {
	return graph.Transpose(columns(p, x, in, out, bias, false), 1, 0)
}

// SwiGLUOfFew is SwiGLU, for few rows: x [R, D]. Returns [R, D].
func SwiGLUOfFew(p *Params, x *graph.Value, d, f int, bias Bias) *graph.Value {
	gate := graph.SiLU(columns(p.At("gate_proj"), x, d, f, bias, false)) // [F, R]
	up := columns(p.At("up_proj"), x, d, f, bias, false)                 // [F, R]
	return graph.Transpose(columns(p.At("down_proj"), graph.Mul(gate, up), f, d, bias, true), 1, 0)
}

// columns is a linear layer whose result stands in columns, [out, R], and its argument too, [in, R], if turned; else in rows, [R, in].
func columns(p *Params, x *graph.Value, in, out int, bias Bias, turned bool) *graph.Value {
	y := graph.Columns(p.Weight("weight", out, in), x, turned)
	if bias {
		y = graph.Add(y, graph.Reshape(p.Weight("bias", out), out, 1))
	}
	rows := x
	if turned {
		rows = graph.Transpose(x, 1, 0) // drops out of the graph where there is no adapter
	}
	if low := p.adapter(rows, in, out); low != nil {
		y = graph.Add(y, graph.Transpose(low, 1, 0))
	}
	return y
}
