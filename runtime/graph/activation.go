package graph

import "math"

// ReLU returns max(x, 0).
func ReLU(x *Value) *Value {
	c := begin("ReLU", x)
	return c.done(c.emit("Relu", c.in))
}

// dx = d where x > 0, 0 elsewhere.
func reluGrad(c *call, d []*Value) []*Value {
	zero := c.g.scalar(d[0].dtype, 0)
	return []*Value{Where(Greater(c.out[0], zero), d[0], zero)}
}

// GELUTanh returns 0.5*x*(1 + tanh(u)) with u = sqrt(2/pi)*(x + 0.044715*x^3), the approximation of GELU that Hugging Face calls
// gelu_new and gelu_pytorch_tanh (arXiv 1606.08415, section 2).
func GELUTanh(x *Value) *Value {
	c := begin("GELUTanh", x)
	return c.done(c.emit("Gelu", c.in, attr{"approximate", "tanh"}))
}

// With s = sigmoid(2u) = (1 + tanh(u))/2: y = x*s, so dx = d*(s + x*s*(1-s)*2u') and 2u' = 2*sqrt(2/pi)*(1 + 3*0.044715*x^2).
func geluTanhGrad(c *call, d []*Value) []*Value {
	const cubic = 0.044715
	x, slope := c.in[0], 2*math.Sqrt(2/math.Pi)
	square := Mul(x, x)
	u := Mul(x, Scale(AddScalar(Scale(square, cubic), 1), slope)) // 2u
	s := Sigmoid(u)
	du := Scale(AddScalar(Scale(square, 3*cubic), 1), slope)
	y := Mul(x, s)
	return []*Value{Mul(d[0], Add(s, Mul(Sub(y, Mul(y, s)), du)))}
}
