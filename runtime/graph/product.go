package graph

// Matrix products. ONNX Runtime has the fastest kernels for Gemm (two matrices) and FusedMatMul (batches); both read
// operands transposed at no cost, so no Transpose node is ever emitted for a product.

// Linear returns x w' + b: x [..., K], w [M, K] (the Hugging Face layout), b [M] or nil; result [..., M].
// Two-dimensional x takes one Gemm. Otherwise FusedMatMul folds the leading dims of x into rows by itself, which a
// Reshape around Gemm could not undo for symbolic dims without a Shape node.
func Linear(x, w, b *Value) *Value {
	operands := []*Value{x, w}
	if b != nil {
		operands = append(operands, b)
	}
	c := begin("Linear", operands...)
	c.name(w)
	if len(w.shape) != 2 || len(x.shape) < 2 || x.shape[len(x.shape)-1] != w.shape[1] {
		c.fail("want x [..., K] of rank 2 or more and w [M, K]")
	}
	if b != nil && !b.shape.Equal(w.shape[:1]) {
		c.fail("want a bias [%v]", w.shape[0])
	}
	if len(x.shape) == 2 {
		return c.done(c.emit("Gemm", operands, attr{"transA", 0}, attr{"transB", 1}))
	}
	y := c.emit("FusedMatMul", operands[:2], attr{"transA", 0}, attr{"transB", 1}, attr{"alpha", 1.0})
	if b != nil {
		y = c.emit("Add", []*Value{y, b})
	}
	return c.done(y)
}

// dx = d w; dw = D'X with the rows of all leading dims in one product (D [-1, M], X [-1, K]); db = the sum of d over
// its leading dims.
func linearGrad(c *call, d []*Value) []*Value {
	x, w := c.in[0], c.in[1]
	grads := []*Value{
		MatMul(d[0], w, false, false, 1),
		MatMul(rows(d[0]), rows(x), true, false, 1),
	}
	if len(c.in) == 3 {
		grads = append(grads, sumTo(d[0], c.in[2]))
	}
	return grads
}

// rows flattens the leading dims: [..., K] to [rows, K].
func rows(x *Value) *Value { return Reshape(x, -1, x.shape[len(x.shape)-1]) }

// MatMul returns scale * A B where A is a or its transpose and B is b or its transpose: a [..., M, K], b [..., K, P]
// (before transposing), result [..., M, P]. Leading dims broadcast.
func MatMul(a, b *Value, transA, transB bool, scale float64) *Value {
	c := begin("MatMul", a, b)
	op := "FusedMatMul"
	if len(a.shape) == 2 && len(b.shape) == 2 {
		op = "Gemm"
	}
	return c.done(c.emit(op, c.in, attr{"transA", bit(transA)}, attr{"transB", bit(transB)}, attr{"alpha", scale}))
}

// Columns is Linear for few rows of x, in columns: w x' of w [M, K] and x [R, K], or w x of x [K, R] if turned; result [M, R]. It reads w as
// it lies, where Linear's kernel copies it first, which takes longer than a product with a handful of rows.
//
// It is no Gemm: of a Gemm with a Transpose behind it ONNX Runtime makes the Gemm with exchanged operands, which is Linear again.
func Columns(w, x *Value, turned bool) *Value {
	c := begin("MatMul", w, x)
	if len(w.shape) != 2 || len(x.shape) != 2 {
		c.fail("want w [M, K] and x [R, K], or [K, R]")
	}
	return c.done(c.emit("FusedMatMul", c.in, attr{"transA", 0}, attr{"transB", bit(!turned)}, attr{"alpha", 1.0}))
}

// With Y = s A B: dA = s d B', dB = s A' d; transposed operands get the transpose of that. A matrix b shared by a
// batch gets its gradient from one flat product instead of a sum over the batch.
func matMulGrad(c *call, dd []*Value) []*Value {
	d, a, b, n := dd[0], c.in[0], c.in[1], c.out[0].from
	ta, tb, s := n.flag("transA"), n.flag("transB"), n.attr("alpha").(float64)
	var da, db *Value
	if ta {
		da = MatMul(b, d, tb, true, s)
	} else {
		da = MatMul(d, b, false, !tb, s)
	}
	left, right := a, d
	if len(b.shape) == 2 && !ta {
		left, right = rows(a), rows(d)
	}
	if tb {
		db = MatMul(right, left, true, ta, s)
	} else {
		db = MatMul(left, right, !ta, false, s)
	}
	return []*Value{sumTo(da, a), sumTo(db, b)}
}
