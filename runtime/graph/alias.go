package graph

import (
	"fmt"
	"slices"
)

// CheckAlias proves that ONNX Runtime may write an output into the buffer of an input, as an optimizer does with
// weights and decoding with its cache. ONNX Runtime neither checks this nor keeps the order of nodes, and a wrong
// alias gives wrong numbers without an error. It is safe if
//
//	(a) the node that makes the output reads each element of the input before it writes it, or is a scatter that
//	    skips its copy when source and destination are one; and both have one shape and type;
//	(b) every other reader of the input is an ancestor of that node, so it has run before.
func (g *Graph) CheckAlias(inputName, outputName string) error {
	in := slices.IndexFunc(g.inputs, func(v *Value) bool { return v.name == inputName })
	out := slices.IndexFunc(g.outputs, func(o Output) bool { return o.Name == outputName })
	unsafe := func(format string, args ...any) error {
		return fmt.Errorf("graph %s: output %s cannot share the buffer of input %s: %s", g.name, outputName, inputName, fmt.Sprintf(format, args...))
	}
	if in < 0 || out < 0 {
		return unsafe("the graph has no such input or output")
	}
	x, y := g.inputs[in], g.outputs[out].Value
	writer := y.from
	if x.dtype != y.dtype || !x.shape.Equal(y.shape) {
		return unsafe("they are %v %v and %v %v", x.dtype, x.shape, y.dtype, y.shape)
	}
	if !onnxOps[writer.op].inPlace {
		return unsafe("%s does not work in place; the last step must be element-wise or a scatter", writer.op)
	}
	nodes, _ := g.live()
	shared := views(x, nodes)
	reads := func(v *Value) bool { return shared[v] }
	if isScatter(writer.op) && slices.ContainsFunc(writer.in[1:], reads) {
		return unsafe("%s reads it as an index or update while it writes", writer.op)
	}
	before := ancestors(writer)
	for _, n := range nodes {
		if n != writer && slices.ContainsFunc(n.in, reads) && !before[n] {
			return unsafe("%s (%s) reads the input and may run after %s wrote it", n.out[0].name, n.op, writer.op)
		}
	}
	return nil
}

func isScatter(op string) bool { return op == "ScatterElements" || op == "TensorScatter" }

// views returns x and what may share its buffer, because the op only changes the shape.
func views(x *Value, nodes []*node) map[*Value]bool {
	shared := map[*Value]bool{x: true}
	for _, n := range nodes {
		switch n.op {
		case "Reshape", "Unsqueeze", "Identity":
			if shared[n.in[0]] {
				shared[n.out[0]] = true
			}
		}
	}
	return shared
}

// ancestors returns the nodes whose results a node needs, directly or not.
func ancestors(of *node) map[*node]bool {
	seen := map[*node]bool{}
	todo := []*node{of}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, v := range n.in {
			if v.from != nil && !seen[v.from] {
				seen[v.from] = true
				todo = append(todo, v.from)
			}
		}
	}
	return seen
}
