package graph

import "slices"

// Operations that address elements by index. Indices are int64. Sums over repeated indices use ScatterElements,
// which ONNX Runtime's CPU provider adds up in order; its ScatterND(add) is a data race when indices repeat.

// Gather returns rows of a table: table [V, ...], idx [...] (any rank, values 0..V-1, may repeat); result
// [idx..., ...].
func Gather(table, idx *Value) *Value {
	c := begin("Gather", table, idx)
	c.name(table)
	return c.done(c.emit("Gather", c.in, attr{"axis", 0}))
}

// d/dtable = zeros to which row idx[i] has d[i] added, for every i; none for idx.
func gatherGrad(c *call, d []*Value) []*Value {
	table, idx := c.in[0], c.in[1]
	return []*Value{addRows(zerosLike(table), idx, d[0]), nil}
}

// addRows returns base [V, ...] with update i added to row idx[i]: idx [...], updates [idx..., ...].
func addRows(base, idx, updates *Value) *Value {
	width := base.shape[1:].Size()
	flat := Reshape(base, base.shape[0], width)
	updates = Reshape(updates, -1, width)
	idx = Reshape(idx, -1, 1)
	c := begin("AddRows", flat, idx, updates)
	index := Expand(idx, updates)
	y := c.done(c.emit("ScatterElements", []*Value{flat, index, updates}, attr{"axis", 0}, attr{"reduction", "add"}))
	return reshapeLike(y, base)
}

// d/dbase = d, d/dupdates = rows of d; none for idx.
func addRowsGrad(c *call, d []*Value) []*Value {
	return []*Value{d[0], nil, reshapeLike(Gather(d[0], Reshape(c.in[1], -1)), c.in[2])}
}

// Permute returns row idx[i] of x for every i: x [P, ...], idx [...] (any rank, Q elements), result [idx..., ...]. It
// is Gather for an idx that names no row twice, with a gradient that is a gather as well: inverse [P] holds for every
// row p of x the place in idx, counted flat, that names it.
//
// Padding: Q > P is allowed, the extra places naming any row, if nothing that is differentiated depends on their
// rows of the result; and Q < P is allowed, rows of x that idx does not name having an arbitrary inverse, and a
// gradient of 0. So patches go into padded windows by w = Permute(x, index, inverse) and come back, rows of w
// flattened, by Permute(w, inverse, index).
func Permute(x, idx, inverse *Value) *Value {
	c := begin("Permute", x, idx, inverse)
	if len(x.shape) == 0 || !inverse.shape.Equal(x.shape[:1]) || inverse.dtype != I64 {
		c.fail("want x [P, ...], int64 idx [...] and int64 inverse [P]")
	}
	return c.done(c.emit("Gather", []*Value{x, idx}, attr{"axis", 0}))
}

// dx[p] = d[inverse[p]] if idx[inverse[p]] = p, else 0: a row that idx does not name has no gradient.
func permuteGrad(c *call, d []*Value) []*Value {
	x, idx, inverse := c.in[0], Reshape(c.in[1], -1), c.in[2]
	rows := Reshape(d[0], append([]any{idx.shape[0]}, dims(x.shape[1:])...)...)
	dx := Gather(rows, inverse)
	if idx.shape.Equal(inverse.shape) {
		return []*Value{dx, nil, nil} // a permutation names every row
	}
	named := c.g.get(once{"named", c.in[1], inverse}, func() *Value {
		return Equal(Gather(idx, inverse), iota(inverse))
	})
	column := slices.Repeat([]any{1}, len(x.shape))
	column[0] = x.shape[0]
	return []*Value{Where(Reshape(named, column...), dx, c.g.scalar(dx.dtype, 0)), nil, nil}
}

// iota returns 0, 1, 2, ... in the shape of the vector like, int64.
func iota(like *Value) *Value {
	c := begin("Iota", like)
	n := sizeAlong(like, 0)
	end := c.emitAs(Shape{}, "Reshape", []*Value{n, c.g.ints()})
	return c.done(c.emitAs(like.shape, "Range", []*Value{c.g.Ints(nil, 0), end, c.g.Ints(nil, 1)}))
}

// GatherElements picks elements along one dim: result and idx have one shape, equal to
// that of x outside that dim. No gradient.
func GatherElements(x, idx *Value, dim int) *Value {
	c := begin("GatherElements", x, idx)
	return c.done(c.emit("GatherElements", c.in, attr{"axis", c.dim(dim, x)}))
}

// TensorScatter writes x [G, K, 1, E] into cache [G, K, C, E] at position at[g] of row g, at [G] int64. Bound over
// its own cache it copies nothing else. No gradient.
func TensorScatter(cache, x, at *Value) *Value {
	c := begin("TensorScatter", cache, x, at)
	s := cache.shape
	if len(s) != 4 || !x.shape.Equal(Shape{s[0], s[1], one, s[3]}) || !at.shape.Equal(s[:1]) || at.dtype != I64 || x.dtype != cache.dtype {
		c.fail("want cache [G, K, C, E], x [G, K, 1, E] and int64 at [G]")
	}
	return c.done(c.emit("TensorScatter", c.in, attr{"axis", -2}))
}
