package graph

// LayerNorm returns (x - mean) / sqrt(variance + normEps) * gain + bias, mean and variance over the last dim (arXiv 1607.06450):
// float32 x [..., D], gain [D], bias [D] or nil. The variance is the mean square of the differences, divided by D.
//
// One node of ONNX, whose kernel also returns the two statistics that the gradient reads.
func LayerNorm(x, gain, bias *Value, normEps float64) *Value {
	operands := []*Value{x, gain}
	if bias != nil {
		operands = append(operands, bias)
	}
	c := begin("LayerNorm", operands...)
	c.name(gain)
	if len(x.shape) > 0 {
		if _, ok := x.shape[len(x.shape)-1].Int(); !ok {
			c.fail("the width %v must be a number", x.shape[len(x.shape)-1])
		}
	}
	out := c.add(&node{op: "LayerNormalization", in: operands, attrs: []attr{{"axis", -1}, {"epsilon", normEps}}})
	c.saved = out[1:]
	return c.done(out[0])
}

// With r = 1/sqrt(variance + normEps) and n = (x - mean)*r: y = n*gain + bias, so dgain and dbias are the sums of d*n and of d over
// the leading dims, and dx = r*(d*gain - mean(d*gain) - n*mean(d*gain*n)); the means over D are products with the gain as a column.
func layerNormGrad(c *call, d []*Value) []*Value {
	x, gain, mean, r := c.in[0], c.in[1], c.saved[0], c.saved[1]
	n := Mul(Sub(x, mean), r)
	dn := Mul(d[0], n)
	dx := Mul(Sub(Sub(Mul(d[0], gain), meanAlong(d[0], gain)), Mul(n, meanAlong(dn, gain))), r)
	grads := []*Value{dx, sumTo(dn, gain)}
	if len(c.in) == 3 {
		grads = append(grads, sumTo(d[0], c.in[2]))
	}
	return grads
}

// meanAlong is the mean of x*gain over the last dim, kept as 1: x [..., D], gain [D] of known width; result [..., 1].
func meanAlong(x, gain *Value) *Value {
	width, _ := gain.shape[0].Int()
	column := Reshape(gain, -1, 1)
	if x.Rank() == 1 {
		return Reshape(MatMul(Reshape(x, 1, -1), column, false, false, 1/float64(width)), 1)
	}
	return MatMul(x, column, false, false, 1/float64(width))
}
