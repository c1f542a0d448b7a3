package graph

import "slices"

// RMSNorm returns x / sqrt(mean(x^2) + normEps) * gain over the last dim (arXiv 1910.07467): x [..., D], gain [D].
// The kernel's second result, r = 1/rms [..., 1], is kept for the gradient.
func RMSNorm(x, gain *Value, normEps float64) *Value {
	c := begin("RMSNorm", x, gain)
	c.name(gain)
	out := c.add(&node{op: "SimplifiedLayerNormalization", in: c.in,
		attrs: []attr{{"axis", -1}, {"epsilon", normEps}, {"stash_type", 1}}})
	c.saved = out[1:]
	return c.done(out[0])
}

// With n = x*r: y = n*gain, so dgain = sum of d*n over the leading dims and
// dx = r*(d*gain - n*mean(d*gain*n)); the mean over D is a product with the gain as a column.
func rmsNormGrad(c *call, d []*Value) []*Value {
	x, gain, r := c.in[0], c.in[1], c.saved[0]
	n := Mul(x, r)
	dn := Mul(d[0], n)
	width, ok := gain.shape[0].Int()
	if !ok {
		c.fail("the width %v must be a number", gain.shape[0])
	}
	var mean *Value // [..., 1]
	if column := Reshape(gain, -1, 1); x.Rank() == 1 {
		mean = Reshape(MatMul(Reshape(dn, 1, -1), column, false, false, 1/float64(width)), 1)
	} else {
		mean = MatMul(dn, column, false, false, 1/float64(width))
	}
	dx := Mul(Sub(Mul(d[0], gain), Mul(n, mean)), r)
	return []*Value{dx, sumTo(dn, gain)}
}

// Softmax returns e^x normalised over the last dim.
func Softmax(x *Value) *Value {
	c := begin("Softmax", x)
	return c.done(c.emit("Softmax", c.in, attr{"axis", -1}))
}

// dx = y*(d - sum(d*y)), the sum over the last dim.
func softmaxGrad(c *call, d []*Value) []*Value {
	y := c.out[0]
	dot := begin("SumKeep", Mul(d[0], y))
	sum := dot.done(dot.reduce("ReduceSum", dot.in[0], true, -1))
	return []*Value{Mul(y, Sub(d[0], sum))}
}

// RoPE rotates pairs of features by angles that depend on the position (arXiv 2104.09864, in the half-split layout of
// Hugging Face: features i and i+E/2 of a head are a pair): x [N, T, H*E], pos [N, T] int64 row numbers of the tables
// cos, sin [L, E/2], heads H. The tables may have a row per token, which makes every multi-axis variant a matter of
// how the host fills them. ONNX Runtime wants L >= T.
func RoPE(x, pos, cos, sin *Value, heads int) *Value {
	c := begin("RoPE", x, pos, cos, sin)
	if heads < 1 {
		c.fail("want 1 head or more, got %d", heads)
	}
	return c.done(c.emit("RotaryEmbedding", c.in, attr{"num_heads", heads}, attr{"interleaved", 0}))
}

// A rotation's transpose turns back: dx = RoPE(d) with -sin. None for positions and tables.
func ropeGrad(c *call, d []*Value) []*Value {
	pos, cos, sin := c.in[1], c.in[2], c.in[3]
	back := c.g.once("negative "+sin.name, func() *Value { return Neg(sin) })
	return []*Value{RoPE(d[0], pos, cos, back, c.out[0].from.int("num_heads")), nil, nil, nil}
}

// LogProb returns, for every row of h, the natural log-probability of its target under softmax(h head' / temperature)
// and the entropy of that distribution in nats: h [C, D], head [V, D] (often the tied embedding), target [C] int64,
// temperature [1]; results [C] and [C]. It is one operation because its gradient needs no one-hot matrix [C, V].
//
// logp = z[target] - logsumexp(z) does not underflow where log(softmax(z)[target]) would. The temperature divides h,
// which is smaller than z; it gets no gradient.
func LogProb(h, head, target, temperature *Value) (logp, entropy *Value) {
	c := begin("LogProb", h, head, target, temperature)
	if len(h.shape) != 2 || len(head.shape) != 2 || h.shape[1] != head.shape[1] ||
		target.dtype != I64 || !target.shape.Equal(h.shape[:1]) || !temperature.shape.Equal(Shape{one}) {
		c.fail("want h [C, D], head [V, D], int64 target [C], temperature [1]")
	}
	c.float(h, head, temperature)
	rowShape := c.g.ints(-1)
	hot := c.emit("Div", []*Value{h, temperature})
	z := c.emit("Gemm", []*Value{hot, head}, attr{"transA", 0}, attr{"transB", 1}) // [C, V]
	lse := c.reduce("ReduceLogSumExp", z, true, -1)                                // [C, 1]
	column := c.emitAs(append(slices.Clone(target.shape), one), "Reshape", []*Value{target, c.g.ints(-1, 1)})
	chosen := c.emit("GatherElements", []*Value{z, column}, attr{"axis", 1})
	logp = c.emitAs(target.shape, "Reshape", []*Value{c.emit("Sub", []*Value{chosen, lse}), rowShape})
	logs := c.emit("Sub", []*Value{z, lse})
	p := c.emit("Exp", []*Value{logs})
	entropy = c.emit("Neg", []*Value{c.reduce("ReduceSum", c.emit("Mul", []*Value{p, logs}), false, -1)})
	c.saved = []*Value{hot, logs, p}
	c.done(logp, entropy)
	return logp, entropy
}

// With w and e the gradients of logp and entropy H, dz = w*(onehot - p) - e*p*(log p + H). The dense part goes
// through products; the one-hot part moves rows of width D: row target of head into dh, row of h into dhead.
func logProbGrad(c *call, d []*Value) []*Value {
	head, target, temperature := c.in[1], c.in[2], c.in[3]
	hot, logs, p := c.saved[0], c.saved[1], c.saved[2]
	var dense, dhot, dhead *Value
	if d[1] != nil {
		entropy := Reshape(c.out[1], -1, 1)
		dense = Neg(Mul(Mul(p, Add(logs, entropy)), Reshape(d[1], -1, 1)))
	}
	if d[0] != nil {
		w := Reshape(d[0], -1, 1)
		toward := Mul(p, Neg(w))
		if dense != nil {
			toward = Add(toward, dense)
		}
		dhot = Add(MatMul(toward, head, false, false, 1), Mul(Gather(head, target), w))
		dhead = addRows(MatMul(toward, hot, true, false, 1), target, Mul(hot, w))
	} else {
		dhot = MatMul(dense, head, false, false, 1)
		dhead = MatMul(dense, hot, true, false, 1)
	}
	return []*Value{Div(dhot, temperature), dhead, nil, nil}
}
