package graph

import (
	"errors"
	"fmt"
	"maps"
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
	return g.CheckAliases(map[string]string{outputName: inputName})
}

// CheckAliases is CheckAlias for many pairs of one graph, output -> input, at little more than the price of one. The error
// is that of the first unsafe pair, in the order of the outputs' names.
func (g *Graph) CheckAliases(pairs map[string]string) error {
	nodes, _ := g.live()
	readers := map[*Value][]*node{}
	for _, n := range nodes {
		for _, v := range n.in {
			readers[v] = append(readers[v], n)
		}
	}
	for _, outputName := range slices.Sorted(maps.Keys(pairs)) {
		if err := g.checkAlias(pairs[outputName], outputName, readers); err != nil {
			return fmt.Errorf("graph %s: output %s cannot share the buffer of input %s: %w", g.name, outputName, pairs[outputName], err)
		}
	}
	return nil
}

func (g *Graph) checkAlias(inputName, outputName string, readers map[*Value][]*node) error {
	in := slices.IndexFunc(g.inputs, func(v *Value) bool { return v.name == inputName })
	out := slices.IndexFunc(g.outputs, func(o Output) bool { return o.Name == outputName })
	if in < 0 || out < 0 {
		return errors.New("the graph has no such input or output")
	}
	x, y := g.inputs[in], g.outputs[out].Value
	writer := y.from
	if x.dtype != y.dtype || !x.shape.Equal(y.shape) {
		return fmt.Errorf("they are %v %v and %v %v", x.dtype, x.shape, y.dtype, y.shape)
	}
	if !onnxOps[writer.op].inPlace {
		return fmt.Errorf("%s does not work in place; the last step must be element-wise or a scatter", writer.op)
	}
	shared := views(x, readers)
	if isScatter(writer.op) && slices.ContainsFunc(writer.in[1:], func(v *Value) bool { return slices.Contains(shared, v) }) {
		return fmt.Errorf("%s reads it as an index or update while it writes", writer.op)
	}
	var reads []*node
	for _, v := range shared {
		for _, n := range readers[v] {
			if n != writer {
				reads = append(reads, n)
			}
		}
	}
	if late := notBefore(writer, reads); len(late) > 0 {
		return fmt.Errorf("%s (%s) reads the input and may run after %s wrote it", late[0].out[0].name, late[0].op, writer.op)
	}
	return nil
}

func isScatter(op string) bool { return op == "ScatterElements" || op == "TensorScatter" }

// isView reports whether an op's result has the operand's values in another shape, and so may have its buffer.
func isView(op string) bool { return op == "Reshape" || op == "Unsqueeze" || op == "Identity" }

// views returns x and what may share its buffer.
func views(x *Value, readers map[*Value][]*node) []*Value {
	shared := []*Value{x}
	for i := 0; i < len(shared); i++ {
		for _, n := range readers[shared[i]] {
			if isView(n.op) && n.in[0] == shared[i] {
				shared = append(shared, n.out[0])
			}
		}
	}
	return shared
}

// notBefore returns those of nodes that are no ancestors of a node: whose results it does not need, directly or not. It
// looks at the nearest ancestors first and ends when it has met all, since readers of weights and caches stand near.
func notBefore(of *node, nodes []*node) []*node {
	seen := map[*node]bool{}
	todo := []*node{of}
	for i := 0; i < len(todo) && len(nodes) > 0; i++ {
		for _, v := range todo[i].in {
			if n := v.from; n != nil && !seen[n] {
				seen[n] = true
				todo = append(todo, n)
				nodes = slices.DeleteFunc(nodes, func(m *node) bool { return m == n })
			}
		}
	}
	return nodes
}
