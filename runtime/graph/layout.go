package graph

import (
	"math"
	"slices"
)

// Operations that move elements: other orders, joined and cut.

// Transpose reorders dims: dim i of the result is dim perm[i] of x.
func Transpose(x *Value, perm ...int) *Value {
	c := begin("Transpose", x)
	return c.done(c.emit("Transpose", c.in, attr{"perm", perm}))
}

// dx = d in the inverse order.
func transposeGrad(c *call, d []*Value) []*Value {
	perm := c.out[0].from.attr("perm").([]int)
	inverse := make([]int, len(perm))
	for i, p := range perm {
		inverse[p] = i
	}
	return []*Value{Transpose(d[0], inverse...)}
}

// Concat joins values along one dim. The others must be equal; joining unlike symbols C and S gives (C+S).
func Concat(dim int, xs ...*Value) *Value {
	if len(xs) == 0 {
		fail("Concat", nil, here(), "nothing to join")
	}
	c := begin("Concat", xs...)
	dim = c.dim(dim, xs[0])
	if len(xs) == 1 {
		return xs[0]
	}
	return c.done(c.emit("Concat", xs, attr{"axis", dim}))
}

// dx_i = the part of d that x_i became.
func concatGrad(c *call, d []*Value) []*Value {
	dim := c.out[0].from.int("axis")
	parts := make(Shape, len(c.in))
	for i, x := range c.in {
		parts[i] = x.shape[dim]
	}
	var sizes *Value
	if known, ok := parts.Ints(); ok {
		sizes = c.g.ints(known...)
	} else {
		each := make([]*Value, len(c.in))
		for i, x := range c.in {
			each[i] = sizeAlong(x, dim)
		}
		sizes = Concat(0, each...)
	}
	return SplitAt(d[0], dim, sizes, dims(parts)...)
}

// SplitAt cuts x along one dim into consecutive parts. Their sizes at run time come from an int64 vector [k], their
// dims (int, string or Dim) are given beside it; they must agree, which ONNX Runtime checks.
func SplitAt(x *Value, dim int, sizes *Value, parts ...any) []*Value {
	c := begin("SplitAt", x, sizes)
	dim = c.dim(dim, x)
	lengths, err := shapeOf(parts)
	if err != nil {
		c.fail("%v", err)
	}
	if sizes.dtype != I64 || !sizes.shape.Equal(Shape{Const(len(parts))}) {
		c.fail("want int64 sizes [%d], one for each of the dims given", len(parts))
	}
	n := &node{op: "Split", in: c.in, attrs: []attr{{"axis", dim}}}
	for _, d := range lengths {
		s := slices.Clone(x.shape)
		s[dim] = d
		n.declared = append(n.declared, s)
	}
	out := c.add(n)
	c.done(out...)
	return out
}

// dx = the gradients of the parts, joined; parts without one count as 0.
func splitGrad(c *call, d []*Value) []*Value {
	parts := make([]*Value, len(d))
	for i, p := range d {
		if parts[i] = p; p == nil {
			parts[i] = zerosLike(c.out[i])
		}
	}
	join := begin("Concat", parts...)
	dim := c.out[0].from.int("axis")
	return []*Value{join.done(join.emitAs(c.in[0].shape, "Concat", parts, attr{"axis", dim})), nil}
}

// End as the end of a Slice means up to the last element.
const End = math.MaxInt

// Slice returns the elements start <= i < end along one dim. Negative bounds count from the end. Along a symbolic
// dim the length must follow from the bounds alone: both of one sign, or a negative start and End; the dim must be
// long enough at run time.
func Slice(x *Value, dim, start, end int) *Value {
	c := begin("Slice", x)
	dim = c.dim(dim, x)
	from, to := start, end
	length, ok := 0, false
	if n, known := x.shape[dim].Int(); known {
		if from < 0 {
			from += n
		}
		if to < 0 {
			to += n
		}
		to = min(to, n)
		length, ok = to-from, from >= 0
	} else if to == End {
		length, ok = -from, from < 0
	} else {
		length, ok = to-from, (from < 0) == (to < 0)
	}
	if !ok || length < 1 {
		c.fail("no definite range %d to %d along dim %d, which is %v", start, end, dim, x.shape[dim])
	}
	s := slices.Clone(x.shape)
	s[dim] = Const(length)
	return c.done(c.emitAs(s, "Slice", []*Value{x, c.g.ints(from), c.g.ints(to), c.g.ints(dim)}))
}

// dx = d with zeros before and after.
func sliceGrad(c *call, d []*Value) []*Value {
	x, in := c.in[0], c.out[0].from.in
	from, to, dim := in[1].constInts()[0], in[2].constInts()[0], in[3].constInts()[0]
	p := begin("Pad", d[0])
	var pads *Value // how many zeros before and after
	switch n, known := x.shape[dim].Int(); {
	case known:
		pads = c.g.ints(from, n-to)
	case from >= 0:
		pads = Concat(0, c.g.ints(from), Sub(sizeAlong(x, dim), c.g.ints(to)))
	case to == End:
		pads = Concat(0, Add(sizeAlong(x, dim), c.g.ints(from)), c.g.ints(0))
	default:
		pads = Concat(0, Add(sizeAlong(x, dim), c.g.ints(from)), c.g.ints(-to))
	}
	return []*Value{p.done(p.emitAs(x.shape, "Pad", []*Value{d[0], pads, c.g.scalar(d[0].dtype, 0), c.g.ints(dim)}))}
}
