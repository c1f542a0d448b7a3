package graph

// Reshaping with symbolic dims: the shape is written into the graph where the symbols allow it and computed at run time
// only where they do not.

// Reshape gives x another shape with the same elements in the same order. Dims are int, string or Dim; the ints 0
// and -1 have ONNX's meaning: copy the dim of x at that place, and infer (at most one).
func Reshape(x *Value, dims ...any) *Value {
	c := begin("Reshape", x)
	s := c.resolve(x, dims)
	if s.Equal(x.shape) {
		return x
	}
	return c.done(c.emitAs(s, "Reshape", []*Value{x, c.shapeVector(x, s)}))
}

// dx = d in the shape of x.
func reshapeGrad(c *call, d []*Value) []*Value { return []*Value{reshapeLike(d[0], c.in[0])} }

// reshapeLike is Reshape to the shape of another value, whose run-time shape serves where symbols leave a choice.
func reshapeLike(d, like *Value) *Value {
	if d.shape.Equal(like.shape) {
		return d
	}
	c := begin("Reshape", d)
	vector, ok := c.fixedVector(d, like.shape)
	if !ok {
		vector = shapeVectorOf(like)
	}
	return c.done(c.emitAs(like.shape, "Reshape", []*Value{d, vector}))
}

// resolve turns the dims given to Reshape into a shape.
func (c *call) resolve(x *Value, given []any) Shape {
	known := make([]any, len(given))
	infer := -1
	for i, d := range given {
		switch {
		case d == 0 && i >= len(x.shape):
			c.fail("dim %d is 0, copy, but there is none to copy", i)
		case d == 0:
			known[i] = x.shape[i]
		case d == -1 && infer >= 0:
			c.fail("dims %d and %d are both -1, infer", infer, i)
		case d == -1:
			infer, known[i] = i, one
		default:
			known[i] = d
		}
	}
	s, err := shapeOf(known)
	if err != nil {
		c.fail("%v", err)
	}
	if infer >= 0 {
		d, ok := x.shape.Size().over(s.Size())
		if !ok {
			c.fail("cannot infer dim %d: %v elements are not a multiple of %v", infer, x.shape.Size(), s.Size())
		}
		s[infer] = d
	}
	return s
}

// shapeVector returns the second operand of Reshape: a constant where the symbols allow it, else it is put together
// at run time from the dims of the graph's inputs.
func (c *call) shapeVector(x *Value, s Shape) *Value {
	if v, ok := c.fixedVector(x, s); ok {
		return v
	}
	parts := make([]*Value, len(s))
	for i, d := range s {
		parts[i] = c.sizeOf(d)
	}
	return Concat(0, parts...)
}

// fixedVector writes a shape with ONNX's 0 (copy) and -1 (infer), which is possible if at most one dim is neither
// known nor the same as in x.
func (c *call) fixedVector(x *Value, s Shape) (*Value, bool) {
	v := make([]int, len(s))
	infer := false
	for i, d := range s {
		n, known := d.Int()
		switch {
		case known && n > 0:
			v[i] = n
		case i < len(x.shape) && x.shape[i] == d: // 0 copies
		case infer:
			return nil, false
		default:
			v[i], infer = -1, true
		}
	}
	return c.g.ints(v...), true
}

// sizeOf returns the run-time size of a dim as [1], read off the graph's inputs.
func (c *call) sizeOf(d Dim) *Value {
	if n, ok := d.Int(); ok {
		return c.g.ints(n)
	}
	return c.g.get(once{what: "size " + d.String()}, func() *Value {
		for _, in := range c.g.inputs {
			for i, e := range in.shape {
				if e == d {
					return sizeAlong(in, i)
				}
			}
		}
		factors := d.factors()
		if len(factors) == 1 && d.n == 1 && !isSum(d.syms) {
			c.fail("no input has a dim %v, so its size is unknown at run time", d)
		}
		size := c.g.ints(d.n)
		for _, f := range factors {
			sum := c.g.ints(0)
			for _, t := range (Dim{1, f}).terms() {
				sum = Add(sum, c.sizeOf(t))
			}
			size = Mul(size, sum)
		}
		return size
	})
}

// sizeAlong returns the size of one dim at run time, [1].
func sizeAlong(x *Value, dim int) *Value {
	if n, ok := x.shape[dim].Int(); ok {
		return x.g.ints(n)
	}
	c := begin("Shape", x)
	return c.done(c.emit("Shape", c.in, attr{"start", dim}, attr{"end", dim + 1}))
}

// shapeVectorOf returns the shape of x as a vector: a constant if no dim is symbolic, else a Shape node.
func shapeVectorOf(x *Value) *Value {
	if sizes, ok := x.shape.Ints(); ok {
		return x.g.ints(sizes...)
	}
	return x.g.get(once{what: "shape", a: x}, func() *Value {
		c := begin("Shape", x)
		return c.done(c.emit("Shape", c.in))
	})
}

// dims passes a shape on to a function that takes dims.
func dims(s Shape) []any {
	d := make([]any, len(s))
	for i, v := range s {
		d[i] = v
	}
	return d
}

// Expand stretches x to the shape of another value, of which nothing else is read.
func Expand(x, like *Value) *Value {
	if x.shape.Equal(like.shape) {
		return x
	}
	c := begin("Expand", x, like)
	return c.done(c.emitAs(like.shape, "Expand", []*Value{x, shapeVectorOf(like)}))
}

// ExpandTo stretches x to a shape whose symbols are sizes of the graph's inputs. Dims are int, string or Dim.
func ExpandTo(x *Value, dims ...any) *Value {
	c := begin("Expand", x)
	s, err := shapeOf(dims)
	if err != nil {
		c.fail("%v", err)
	}
	if both, ok := broadcast(x.shape, s); !ok || !both.Equal(s) {
		c.fail("want a shape to which %v stretches, got %v", x.shape, s)
	}
	if s.Equal(x.shape) {
		return x
	}
	sizes := make([]*Value, len(s))
	for i, d := range s {
		sizes[i] = c.sizeOf(d)
	}
	return c.done(c.emitAs(s, "Expand", []*Value{x, Concat(0, sizes...)}))
}

// dx = the sum of d over the stretched dims; none for a value that only lent its shape.
func expandGrad(c *call, d []*Value) []*Value {
	grads := make([]*Value, len(c.in))
	grads[0] = sumTo(d[0], c.in[0])
	return grads
}

// zerosLike returns zeros of the shape and type of x.
func zerosLike(x *Value) *Value { return Expand(x.g.scalar(x.dtype, 0), x) }

// unsqueeze inserts dims of 1, so that the given dims of the result have it, counted from 0.
func unsqueeze(x *Value, dims ...int) *Value {
	c := begin("Unsqueeze", x)
	return c.done(c.emit("Unsqueeze", []*Value{x, c.g.ints(dims...)}))
}

// dx = d without those dims.
func unsqueezeGrad(c *call, d []*Value) []*Value { return []*Value{reshapeLike(d[0], c.in[0])} }
