package graph

import "slices"

// A rule returns the gradients of a call's operands from those of its results (nil: none arrived). An operand's
// gradient is nil where nothing passes, and undefined where something would but there is no formula.
type rule func(c *call, d []*Value) []*Value

// The rules that are not formulas.

// none: the result is constant wherever it has a derivative, so nothing passes (comparisons, indices, shapes).
func none(c *call, _ []*Value) []*Value { return make([]*Value, len(c.in)) }

// stop: the caller asked that nothing pass.
func stop(c *call, _ []*Value) []*Value { return make([]*Value, len(c.in)) }

// refused: there is a derivative, but no formula for it.
func refused(c *call, _ []*Value) []*Value { return slices.Repeat([]*Value{undefined}, len(c.in)) }

// undefined makes Gradients fail if the gradient is needed: leaving it out in silence would train the wrong thing.
var undefined = &Value{}

// rules is the complete table: every operation, and the gradient rule written beside it.
var rules = map[string]rule{
	"Add":       addGrad,
	"Sub":       subGrad,
	"Mul":       mulGrad,
	"Div":       divGrad,
	"Min":       minGrad,
	"Max":       maxGrad,
	"Neg":       negGrad,
	"Exp":       expGrad,
	"Log":       logGrad,
	"Sqrt":      sqrtGrad,
	"Sigmoid":   sigmoidGrad,
	"SiLU":      siluGrad,
	"GELU":      geluGrad,
	"GELUTanh":  geluTanhGrad,
	"ReLU":      reluGrad,
	"Erf":       refused,
	"Scale":     scaleGrad,
	"AddScalar": addScalarGrad,
	"Clip":      clipGrad,
	"Where":     whereGrad,
	"Cast":      castGrad,
	"Less":      none,
	"LessEqual": none,
	"Greater":   none,
	"Equal":     none,
	"Mod":       none,

	"StopGradient": stop,

	"Linear": linearGrad,
	"MatMul": matMulGrad,

	"Sum":             sumGrad,
	"SumKeep":         sumKeepGrad,
	"SumAll":          sumAllGrad,
	"SumSquares":      sumSquaresGrad,
	"ReduceMax":       refused,
	"ReduceLogSumExp": refused,
	"CumSum":          refused,
	"ArgMax":          none,

	"Reshape":   reshapeGrad,
	"Unsqueeze": unsqueezeGrad,
	"Expand":    expandGrad,
	"Transpose": transposeGrad,
	"Concat":    concatGrad,
	"SplitAt":   splitGrad,
	"Slice":     sliceGrad,
	"Pad":       refused,
	"Shape":     none,
	"Iota":      none,

	"Gather":         gatherGrad,
	"AddRows":        addRowsGrad,
	"Permute":        permuteGrad,
	"GatherElements": refused,
	"TensorScatter":  refused,

	"RMSNorm":   rmsNormGrad,
	"LayerNorm": layerNormGrad,
	"Softmax":   softmaxGrad,
	"RoPE":      ropeGrad,
	"LogProb":   logProbGrad,
}

// Gradients adds to the graph the gradients of a loss, [1] or [], with respect to the given values and returns them
// in that order, each of the shape of its value. It panics with *Error if the loss does not depend on one of them
// through operations that pass gradients.
func Gradients(loss *Value, wrt ...*Value) []*Value {
	top := begin("Gradients", append([]*Value{loss}, wrt...)...)
	if loss.shape.Size() != one || !loss.dtype.float() {
		top.fail("want a loss of one floating-point element, got %v", loss.shape)
	}
	ones, _ := loss.shape.Ints()
	return top.backward(loss, top.g.scalar(loss.dtype, 1, ones...), wrt)
}

// Backward adds to the graph what a gradient d that arrives at y, of its shape and type, gives for the values wrt, in that order: the
// gradients of sum(y*d). So a computation that is cut into several graphs is differentiated part by part, the last one first. It
// panics as Gradients does.
func Backward(y, d *Value, wrt ...*Value) []*Value {
	top := begin("Backward", append([]*Value{y, d}, wrt...)...)
	if !d.shape.Equal(y.shape) || d.dtype != y.dtype || !y.dtype.float() {
		top.fail("want a gradient of the type %v %v", y.dtype, y.shape)
	}
	return top.backward(y, d, wrt)
}

func (top *call) backward(y, dy *Value, wrt []*Value) []*Value {
	g := top.g
	calls := g.tape[:len(g.tape):len(g.tape)] // the rules below add calls of their own
	needed := dependents(calls, wrt)
	grads := map[*Value]*Value{y: dy}
	defer func(outer string) { g.scope = outer }(g.scope)
	for _, c := range slices.Backward(calls) {
		d := make([]*Value, len(c.out))
		arrived := false
		for i, v := range c.out {
			d[i] = grads[v]
			arrived = arrived || d[i] != nil
		}
		if !arrived || !slices.ContainsFunc(c.in, func(v *Value) bool { return needed[v] }) {
			continue
		}
		g.scope = "grad/" + c.out[0].name + "/"
		if table := c.in[0]; c.op == "Gather" && needed[table] && grads[table] != nil {
			// Rows are added to what has arrived (a tied embedding's gradient as a head), not to zeros which are then added.
			grads[table] = addRows(grads[table], c.in[1], d[0])
			continue
		}
		for i, x := range rules[c.op](c, d) {
			switch {
			case x == nil || !needed[c.in[i]]:
			case x == undefined:
				c.fail("operand %d has no gradient rule; StopGradient makes it a constant if it is meant to be one", i)
			default:
				accumulate(c, grads, i, x)
			}
		}
	}
	out := make([]*Value, len(wrt))
	for i, v := range wrt {
		if out[i] = grads[v]; out[i] == nil {
			fail(top.op, []*Value{y, v}, top.site, "%s does not depend on %s", y.name, v.name)
		}
	}
	return out
}

// dependents returns the values that depend on any of wrt, those included.
func dependents(calls []*call, wrt []*Value) map[*Value]bool {
	needed := map[*Value]bool{}
	for _, v := range wrt {
		needed[v] = true
	}
	for _, c := range calls {
		if slices.ContainsFunc(c.in, func(v *Value) bool { return needed[v] }) {
			for _, v := range c.out {
				needed[v] = true
			}
		}
	}
	return needed
}

// accumulate adds x to the gradient of operand i of a call, after checking that it fits.
func accumulate(c *call, grads map[*Value]*Value, i int, x *Value) {
	v := c.in[i]
	if !x.shape.Equal(v.shape) || x.dtype != v.dtype {
		c.fail("gradient of operand %d is %v %v, want %v %v: the gradient rule is wrong", i, x.dtype, x.shape, v.dtype, v.shape)
	}
	if grads[v] != nil {
		x = Add(grads[v], x)
	}
	grads[v] = x
}
