package graph

import "slices"

// LogProb returns, for every row of h, the natural log-probability of its target under softmax(h head' / temperature)
// and the entropy of that distribution in nats: h [C, D], head [V, D] (often the tied embedding), target [C] int64,
// temperature [1]; results [C] and [C]. It is one operation because its gradient needs no one-hot matrix [C, V].
//
// The logarithms come from one kernel, which does not underflow as log(softmax(z)) would, and is vectorised where
// ReduceLogSumExp is not: scoring takes half the time. The temperature divides h, which is smaller than z; it is meant to be a
// constant. Where neither the entropy nor a gradient is asked for, the probabilities are not computed.
func LogProb(h, head, target, temperature *Value) (logp, entropy *Value) {
	c := begin("LogProb", h, head, target, temperature)
	if len(h.shape) != 2 || len(head.shape) != 2 || h.shape[1] != head.shape[1] ||
		target.dtype != I64 || !target.shape.Equal(h.shape[:1]) || !temperature.shape.Equal(Shape{one}) {
		c.fail("want h [C, D], head [V, D], int64 target [C], temperature [1]")
	}
	c.float(h, head, temperature)
	hot := c.emit("Div", []*Value{h, temperature})
	z := c.emit("Gemm", []*Value{hot, head}, attr{"transA", 0}, attr{"transB", 1}) // [C, V]
	logs := c.emit("LogSoftmax", []*Value{z}, attr{"axis", -1})
	column := c.emitAs(append(slices.Clone(target.shape), one), "Reshape", []*Value{target, c.g.ints(-1, 1)})
	chosen := c.emit("GatherElements", []*Value{logs, column}, attr{"axis", 1})
	logp = c.emitAs(target.shape, "Reshape", []*Value{chosen, c.g.ints(-1)})
	p := c.emit("Exp", []*Value{logs})
	entropy = c.emit("Neg", []*Value{c.reduce("ReduceSum", c.emit("Mul", []*Value{p, logs}), false, -1)})
	c.saved = []*Value{hot, logs, p}
	c.done(logp, entropy)
	return logp, entropy
}

// With w and e the gradients of logp and entropy H, dz = w*(onehot - p) - e*p*(log p + H). The dense part goes
// through products; the one-hot part moves rows of width D: row target of head into dh, row of h into dhead.
func logProbGrad(c *call, d []*Value) []*Value {
	head, target, temperature := c.in[1], c.in[2], c.in[3]
	hot, logs, p := c.saved[0], c.saved[1], c.saved[2]
	var dense, dhot, dhead *Value
	if d[1] != nil {
		entropy := Reshape(c.out[1], -1, 1)
		dense = Neg(Mul(Mul(p, Add(logs, entropy)), Reshape(d[1], -1, 1)))
	}
	if d[0] != nil {
		w := Reshape(d[0], -1, 1)
		toward := Mul(p, Neg(w))
		if dense != nil {
			toward = Add(toward, dense)
		}
		dhot = Add(MatMul(toward, head, false, false, 1), Mul(Gather(head, target), w))
		dhead = addRows(MatMul(toward, hot, true, false, 1), target, Mul(hot, w))
	} else {
		dhot = MatMul(dense, head, false, false, 1)
		dhead = MatMul(dense, hot, true, false, 1)
	}
	return []*Value{Div(dhot, temperature), dhead, nil, undefined}
}
