package graph

import (
	"fmt"
	"strings"
)

// node is one ONNX node. Its own name is that of its first result.
type node struct {
	op       string // key of the onnxOps table
	in, out  []*Value
	attrs    []attr
	declared []Shape // shapes of the results where the operands do not determine them
}

// attr is an attribute; value is int, float64 (stored as float32), string or []int.
type attr struct {
	name  string
	value any
}

// attr returns an attribute's value, or nil.
func (n *node) attr(name string) any {
	for _, a := range n.attrs {
		if a.name == name {
			return a.value
		}
	}
	return nil
}

func (n *node) int(name string) int {
	v, _ := n.attr(name).(int)
	return v
}

func (n *node) flag(name string) bool { return n.int(name) != 0 }

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// call is one call of an operation, the unit of differentiation: its key in the rules table, its operands, its
// results, and values that only its gradient rule needs. A call may emit several nodes.
type call struct {
	g       *Graph
	op      string
	in, out []*Value
	saved   []*Value
	site    site
	label   string // stem of the names of its nodes; op unless set
}

// begin starts a call of op and checks that its operands exist and belong to one graph.
func begin(op string, in ...*Value) *call {
	c := &call{op: op, in: in, site: here(), label: op}
	for i, v := range in {
		if v == nil {
			c.fail("operand %d is nil", i)
		}
		if v.g != in[0].g {
			c.fail("operand %d is of another graph", i)
		}
	}
	c.g = in[0].g
	return c
}

// done puts the call on the tape and returns the first result.
func (c *call) done(out ...*Value) *Value {
	c.out = out
	c.g.tape = append(c.g.tape, c)
	return out[0]
}

func (c *call) fail(format string, args ...any) { fail(c.op, c.in, c.site, format, args...) }

// name labels the nodes of the call after a weight: "q_proj.weight" gives "q_proj".
func (c *call) name(w *Value) {
	if w.from == nil && w.raw == nil {
		c.label = strings.TrimSuffix(w.name, ".weight")
	}
}

// emit appends an ONNX node with one result.
func (c *call) emit(op string, in []*Value, attrs ...attr) *Value {
	return c.add(&node{op: op, in: in, attrs: attrs})[0]
}

// emitAs appends an ONNX node whose result has a shape that its operands do not determine.
func (c *call) emitAs(s Shape, op string, in []*Value, attrs ...attr) *Value {
	return c.add(&node{op: op, in: in, attrs: attrs, declared: []Shape{s}})[0]
}

// add appends a node; the types of its results follow from the op's rule.
func (c *call) add(n *node) []*Value {
	types, broken := onnxOps[n.op].infer(n)
	if broken != "" {
		c.fail("%s", broken)
	}
	base := c.g.scope + c.label
	if c.label != n.op {
		base += "/" + n.op
	}
	for i, t := range types {
		if i > 0 {
			base = fmt.Sprintf("%s.%d", n.out[0].name, i)
		}
		n.out = append(n.out, &Value{g: c.g, name: c.g.unique(base), dtype: t.dtype, shape: t.shape, from: n})
	}
	c.g.nodes = append(c.g.nodes, n)
	return n.out
}

// float checks that operands have one and the same floating-point type.
func (c *call) float(in ...*Value) {
	for _, v := range in {
		if !v.dtype.float() || v.dtype != in[0].dtype {
			c.fail("want operands of one floating-point type")
		}
	}
}

func (c *call) dim(dim int, x *Value) int {
	a, ok := dimIndex(dim, len(x.shape))
	if !ok {
		c.fail("there is no dim %d in %v", dim, x.shape)
	}
	return a
}
