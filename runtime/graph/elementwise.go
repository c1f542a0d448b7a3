package graph

import "math"

// Element-wise operations on floating-point values. Operands of binary operations broadcast: aligned at the last
// dim, dims are equal or one of them is the constant 1. Gradients of stretched operands are summed back.
// Below, d is the gradient that arrives at the result y.

// Add returns a + b.
func Add(a, b *Value) *Value { return binaryOp("Add", a, b) }

// d/da = d, d/db = d.
func addGrad(c *call, d []*Value) []*Value {
	return []*Value{sumTo(d[0], c.in[0]), sumTo(d[0], c.in[1])}
}

// Sub returns a - b.
func Sub(a, b *Value) *Value { return binaryOp("Sub", a, b) }

// d/da = d, d/db = -d.
func subGrad(c *call, d []*Value) []*Value {
	return []*Value{sumTo(d[0], c.in[0]), Neg(sumTo(d[0], c.in[1]))}
}

// Mul returns a * b, element by element.
func Mul(a, b *Value) *Value { return binaryOp("Mul", a, b) }

// d/da = d*b, d/db = d*a.
func mulGrad(c *call, d []*Value) []*Value {
	a, b := c.in[0], c.in[1]
	return []*Value{sumTo(Mul(d[0], b), a), sumTo(Mul(d[0], a), b)}
}

// Div returns a / b.
func Div(a, b *Value) *Value { return binaryOp("Div", a, b) }

// d/da = d/b, d/db = -d*y/b.
func divGrad(c *call, d []*Value) []*Value {
	a, b, y := c.in[0], c.in[1], c.out[0]
	da := Div(d[0], b)
	return []*Value{sumTo(da, a), Neg(sumTo(Mul(da, y), b))}
}

// Min returns the smaller of a and b. On a tie the gradient goes to a.
func Min(a, b *Value) *Value { return binaryOp("Min", a, b) }

// d/da = d where a <= b, d/db = d elsewhere.
func minGrad(c *call, d []*Value) []*Value { return choose(c, LessEqual(c.in[0], c.in[1]), d[0]) }

// Max returns the larger of a and b. On a tie the gradient goes to a.
func Max(a, b *Value) *Value { return binaryOp("Max", a, b) }

// d/da = d where b <= a, d/db = d elsewhere.
func maxGrad(c *call, d []*Value) []*Value { return choose(c, LessEqual(c.in[1], c.in[0]), d[0]) }

// choose sends d to the first of two operands where first holds and to the second elsewhere.
func choose(c *call, first, d *Value) []*Value {
	zero := c.g.scalar(d.dtype, 0)
	a, b := c.in[len(c.in)-2], c.in[len(c.in)-1]
	return []*Value{sumTo(Where(first, d, zero), a), sumTo(Where(first, zero, d), b)}
}

func binaryOp(op string, a, b *Value) *Value {
	c := begin(op, a, b)
	return c.done(c.emit(op, c.in))
}

// Neg returns -x.
func Neg(x *Value) *Value { return unaryOp("Neg", x) }

// dx = -d.
func negGrad(_ *call, d []*Value) []*Value { return []*Value{Neg(d[0])} }

// Exp returns e^x.
func Exp(x *Value) *Value { return unaryOp("Exp", x) }

// dx = d*y.
func expGrad(c *call, d []*Value) []*Value { return []*Value{Mul(d[0], c.out[0])} }

// Log returns the natural logarithm of x > 0.
func Log(x *Value) *Value { return unaryOp("Log", x) }

// dx = d/x.
func logGrad(c *call, d []*Value) []*Value { return []*Value{Div(d[0], c.in[0])} }

// Sqrt returns the square root of x >= 0. Its gradient at 0 is infinite.
func Sqrt(x *Value) *Value { return unaryOp("Sqrt", x) }

// dx = d/(2y).
func sqrtGrad(c *call, d []*Value) []*Value { return []*Value{Scale(Div(d[0], c.out[0]), 0.5)} }

// Sigmoid returns 1/(1+e^-x).
func Sigmoid(x *Value) *Value { return unaryOp("Sigmoid", x) }

// dx = d*y(1-y).
func sigmoidGrad(c *call, d []*Value) []*Value {
	y := c.out[0]
	return []*Value{Mul(d[0], Sub(y, Mul(y, y)))}
}

// SiLU returns x*sigmoid(x) (arXiv 1702.03118). The sigmoid is a node of its own, and not inside ONNX Runtime's QuickGelu,
// because the gradient reads it again.
func SiLU(x *Value) *Value {
	c := begin("SiLU", x)
	s := c.emit("Sigmoid", c.in)
	c.saved = []*Value{s}
	return c.done(c.emit("Mul", []*Value{x, s}))
}

// With s = sigmoid(x), dx = d*(s + x*s(1-s)) = d*(s + y - y*s).
func siluGrad(c *call, d []*Value) []*Value {
	y, s := c.out[0], c.saved[0]
	return []*Value{Mul(d[0], Add(s, Sub(y, Mul(y, s))))}
}

// GELU returns x*Phi(x) with the exact normal distribution function Phi(x) = (1+erf(x/sqrt 2))/2 (arXiv 1606.08415),
// not the tanh approximation.
func GELU(x *Value) *Value {
	c := begin("GELU", x)
	return c.done(c.emit("Gelu", c.in))
}

// dx = d*(Phi(x) + x*phi(x)) with the normal density phi(x) = e^(-x^2/2)/sqrt(2 pi).
func geluGrad(c *call, d []*Value) []*Value {
	x := c.in[0]
	normal := Scale(AddScalar(erf(Scale(x, math.Sqrt2/2)), 1), 0.5)
	density := Scale(Exp(Scale(Mul(x, x), -0.5)), 1/math.Sqrt(2*math.Pi))
	return []*Value{Mul(d[0], Add(normal, Mul(x, density)))}
}

// erf is part of GELU's gradient and has none itself.
func erf(x *Value) *Value { return unaryOp("Erf", x) }

func unaryOp(op string, x *Value) *Value {
	c := begin(op, x)
	return c.done(c.emit(op, c.in))
}

// Scale returns f*x.
func Scale(x *Value, f float64) *Value {
	if f == 1 {
		return x
	}
	c := begin("Scale", x)
	c.float(x)
	return c.done(c.emit("Mul", []*Value{x, c.g.scalar(x.dtype, f)}))
}

// dx = f*d.
func scaleGrad(c *call, d []*Value) []*Value {
	f := c.out[0].from.in[1]
	return []*Value{Mul(d[0], f)}
}

// AddScalar returns x + f.
func AddScalar(x *Value, f float64) *Value {
	c := begin("AddScalar", x)
	c.float(x)
	return c.done(c.emit("Add", []*Value{x, c.g.scalar(x.dtype, f)}))
}

// dx = d.
func addScalarGrad(_ *call, d []*Value) []*Value { return []*Value{d[0]} }

// Clip returns x limited to [lo, hi]. The gradient passes where lo <= x <= hi, the bounds included.
func Clip(x *Value, lo, hi float64) *Value {
	c := begin("Clip", x)
	if !(lo <= hi) {
		c.fail("want lo <= hi, got %v and %v", lo, hi)
	}
	c.float(x)
	return c.done(c.emit("Clip", []*Value{x, c.g.scalar(x.dtype, lo), c.g.scalar(x.dtype, hi)}))
}

// dx = d where x was not changed, 0 elsewhere.
func clipGrad(c *call, d []*Value) []*Value {
	return []*Value{Where(Equal(c.in[0], c.out[0]), d[0], c.g.scalar(d[0].dtype, 0))}
}

// Where returns a where cond holds and b elsewhere; all three broadcast.
func Where(cond, a, b *Value) *Value {
	c := begin("Where", cond, a, b)
	return c.done(c.emit("Where", c.in))
}

// d/da = d where cond, d/db = d elsewhere; none for cond.
func whereGrad(c *call, d []*Value) []*Value {
	return append([]*Value{nil}, choose(c, c.in[0], d[0])...)
}

// Less returns a < b as bool. Like all comparisons it has no gradient.
func Less(a, b *Value) *Value { return binaryOp("Less", a, b) }

// LessEqual returns a <= b as bool.
func LessEqual(a, b *Value) *Value {
	c := begin("LessEqual", a, b)
	return c.done(c.emit("LessOrEqual", c.in))
}

// Equal returns a == b as bool.
func Equal(a, b *Value) *Value { return binaryOp("Equal", a, b) }

// Greater returns a > b as bool.
func Greater(a, b *Value) *Value { return binaryOp("Greater", a, b) }

// Mod returns the remainder of a divided by b, int64, with the sign of b. It has no gradient.
func Mod(a, b *Value) *Value { return binaryOp("Mod", a, b) }

// Cast converts the elements to type t. Only conversions between floating-point types have a gradient.
func Cast(x *Value, t DType) *Value {
	if x != nil && x.dtype == t {
		return x
	}
	c := begin("Cast", x)
	return c.done(c.emit("Cast", c.in, attr{"to", int(t)}))
}

// dx = d, converted back.
func castGrad(c *call, d []*Value) []*Value {
	if !c.in[0].dtype.float() {
		return []*Value{nil}
	}
	return []*Value{Cast(d[0], c.in[0].dtype)}
}

// StopGradient returns x; no gradient passes it.
func StopGradient(x *Value) *Value {
	c := begin("StopGradient", x)
	return c.done(c.emit("Identity", c.in))
}
