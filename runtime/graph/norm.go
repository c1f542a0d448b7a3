package graph

// RMSNorm returns x / sqrt(mean(x^2) + normEps) * gain over the last dim (arXiv 1910.07467): x [..., D], gain [D].
//
// It is written in standard ops: ONNX Runtime's fused kernel, SimplifiedLayerNormalization, sits in the default domain of a
// library that does not define it, so onnx's checker refuses every model that has it, and it is no faster in a whole step.
func RMSNorm(x, gain *Value, normEps float64) *Value {
	c := begin("RMSNorm", x, gain)
	c.name(gain)
	if len(x.shape) == 0 || !gain.shape.Equal(x.shape[len(x.shape)-1:]) || gain.dtype != x.dtype || !x.dtype.float() {
		c.fail("want x [..., D] and a gain [D] of one floating-point type")
	}
	width, ok := gain.shape[0].Int()
	if !ok {
		c.fail("the width %v must be a number", gain.shape[0])
	}
	number := func(f float64) *Value { return c.g.scalar(x.dtype, f) }
	square := c.emit("Mul", []*Value{c.reduce("ReduceSumSquare", x, true, -1), number(1 / float64(width))}) // [..., 1]
	rms := c.emit("Sqrt", []*Value{c.emit("Add", []*Value{square, number(normEps)})})
	r := c.emit("Div", []*Value{number(1), rms})
	n := c.emit("Mul", []*Value{x, r})
	c.saved = []*Value{r, n}
	return c.done(c.emit("Mul", []*Value{n, gain}))
}

// With n = x*r: y = n*gain, so dgain = sum of d*n over the leading dims and
// dx = r*(d*gain - n*mean(d*gain*n)); the mean over D is a product with the gain as a column.
func rmsNormGrad(c *call, d []*Value) []*Value {
	gain, r, n := c.in[1], c.saved[0], c.saved[1]
	dn := Mul(d[0], n)
	mean := meanAlong(dn, gain) // [..., 1]
	dx := Mul(Sub(Mul(d[0], gain), Mul(n, mean)), r)
	return []*Value{dx, sumTo(dn, gain)}
}

// Softmax returns e^x normalised over the last dim.
func Softmax(x *Value) *Value {
	c := begin("Softmax", x)
	c.dim(-1, x)
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

// A rotation's transpose turns back: dx = RoPE(d) with -sin. The tables are meant to be constants.
func ropeGrad(c *call, d []*Value) []*Value {
	pos, cos, sin := c.in[1], c.in[2], c.in[3]
	back := c.g.get(once{what: "negative", a: sin}, func() *Value { return Neg(sin) })
	return []*Value{RoPE(d[0], pos, cos, back, c.out[0].from.int("num_heads")), nil, undefined, undefined}
}
