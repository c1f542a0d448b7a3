package graph

import "slices"

// Reductions drop the dims over which they run, unless they say otherwise.

// Sum adds over the given dims and drops them; negative ones count from the end.
func Sum(x *Value, dims ...int) *Value {
	c := begin("Sum", x)
	if len(dims) == 0 {
		c.fail("want at least one dim; SumAll adds everything")
	}
	return c.done(c.reduce("ReduceSum", x, false, dims...))
}

// dx = d, repeated along the dims that were added over.
func sumGrad(c *call, d []*Value) []*Value {
	x, dims := c.in[0], c.out[0].from.in[1].constInts()
	return []*Value{Expand(unsqueeze(d[0], dims...), x)}
}

// Mean averages over the given dims and drops them. Their sizes must be known: with a symbolic size the mean would
// depend on how rows are split over runs; there, divide a sum by a count that is a graph input.
func Mean(x *Value, dims ...int) *Value {
	c := begin("Mean", x)
	n := one
	for _, a := range dims {
		n = n.Times(x.shape[c.dim(a, x)])
	}
	size, ok := n.Int()
	if !ok || size == 0 {
		c.fail("the number of elements, %v, is not known: divide Sum by a count that is a graph input", n)
	}
	return Scale(Sum(x, dims...), 1/float64(size))
}

// SumAll adds all elements; the result is [1].
func SumAll(x *Value) *Value {
	c := begin("SumAll", x)
	c.float(x)
	return c.done(c.flatReduce("ReduceSum", x))
}

// dx = d everywhere.
func sumAllGrad(c *call, d []*Value) []*Value {
	if c.in[0].Rank() == 0 {
		return []*Value{Reshape(d[0])}
	}
	return []*Value{Expand(d[0], c.in[0])}
}

// SumSquares adds the squares of all elements; the result is [1].
func SumSquares(x *Value) *Value {
	c := begin("SumSquares", x)
	c.float(x)
	return c.done(c.flatReduce("ReduceSumSquare", x))
}

// dx = 2*d*x.
func sumSquaresGrad(c *call, d []*Value) []*Value {
	x := c.in[0]
	dx := Mul(Scale(x, 2), d[0])
	return []*Value{Reshape(dx, dims(x.shape)...)}
}

// flatReduce reduces everything to [1] in one pass over the flattened elements.
func (c *call) flatReduce(op string, x *Value) *Value {
	if len(x.shape) != 1 {
		x = c.emitAs(Shape{x.shape.Size()}, "Reshape", []*Value{x, c.g.ints(-1)})
	}
	return c.reduce(op, x, true, 0)
}

// reduce emits a reduction of x over the given dims.
func (c *call) reduce(op string, x *Value, keep bool, dims ...int) *Value {
	at := make([]int, len(dims))
	for i, a := range dims {
		at[i] = c.dim(a, x)
	}
	slices.Sort(at)
	if len(slices.Compact(at)) < len(dims) {
		c.fail("dims %v name one twice", dims)
	}
	return c.emit(op, []*Value{x, c.g.ints(at...)}, attr{"keepdims", bit(keep)})
}

// ReduceMax returns the maximum over the given dims, which it drops. No gradient.
func ReduceMax(x *Value, dims ...int) *Value {
	c := begin("ReduceMax", x)
	if len(dims) == 0 {
		c.fail("want at least one dim")
	}
	return c.done(c.reduce("ReduceMax", x, false, dims...))
}

// ArgMax returns the int64 index of the first maximum along one dim, which it drops. No gradient.
func ArgMax(x *Value, dim int) *Value {
	c := begin("ArgMax", x)
	return c.done(c.emit("ArgMax", c.in, attr{"axis", c.dim(dim, x)}, attr{"keepdims", 0}))
}

// ReduceLogSumExp returns log sum exp(x) over the last dim, without overflow, and keeps the dim as 1, so that the
// result broadcasts with x. No gradient.
func ReduceLogSumExp(x *Value) *Value {
	c := begin("ReduceLogSumExp", x)
	c.float(x)
	return c.done(c.reduce("ReduceLogSumExp", x, true, -1))
}

// CumSum returns the running sum along one dim, the element itself included. No gradient.
func CumSum(x *Value, dim int) *Value {
	c := begin("CumSum", x)
	at := c.g.Ints(nil, int64(c.dim(dim, x)))
	return c.done(c.emit("CumSum", []*Value{x, at}))
}

// sumTo sums d over the dims along which like was stretched to d's shape. A gradient that already fits is returned.
func sumTo(d, like *Value) *Value {
	extra := len(d.shape) - len(like.shape)
	var leading, stretched []int
	for i := range d.shape {
		switch {
		case i < extra:
			leading = append(leading, i)
		case like.shape[i-extra] == one && d.shape[i] != one:
			stretched = append(stretched, i-extra)
		}
	}
	if leading != nil {
		d = Sum(d, leading...)
	}
	if stretched != nil {
		c := begin("SumKeep", d)
		d = c.done(c.reduce("ReduceSum", d, true, stretched...))
	}
	return d
}

// dx = d, stretched back.
func sumKeepGrad(c *call, d []*Value) []*Value { return []*Value{Expand(d[0], c.in[0])} }
