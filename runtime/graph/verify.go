package graph

import "fmt"

// Verify checks what building is meant to guarantee and a bug in this package could break: names are unique, every
// node comes after what it reads, and the types of its results follow from its operands.
func (g *Graph) Verify() error {
	seen := map[*Value]bool{}
	names := map[string]string{} // name to what has it
	define := func(v *Value, what string) error {
		if v.g != g {
			return fmt.Errorf("graph %s: %s %s belongs to graph %s", g.name, what, v.name, v.g.name)
		}
		if other, taken := names[v.name]; taken {
			return fmt.Errorf("graph %s: %s and %s share the name %q", g.name, other, what, v.name)
		}
		seen[v], names[v.name] = true, what
		return nil
	}
	for _, v := range g.inputs {
		if err := define(v, "an input"); err != nil {
			return err
		}
	}
	for _, v := range g.consts {
		if err := define(v, "a constant"); err != nil {
			return err
		}
	}
	for i, n := range g.nodes {
		what := fmt.Sprintf("node %d (%s)", i, n.op)
		for j, v := range n.in {
			if !seen[v] {
				return fmt.Errorf("graph %s: %s reads operand %d, %s, before it is made", g.name, what, j, v.name)
			}
		}
		if err := n.verify(); err != nil {
			return fmt.Errorf("graph %s: %s: %w", g.name, what, err)
		}
		for _, v := range n.out {
			if err := define(v, what); err != nil {
				return err
			}
		}
	}
	for _, o := range g.outputs {
		if !seen[o.Value] || o.Value.name != o.Name {
			return fmt.Errorf("graph %s: output %s is not made under that name", g.name, o.Name)
		}
	}
	return nil
}

// verify compares the recorded types of a node's results with those that its op's rule gives.
func (n *node) verify() error {
	op, ok := onnxOps[n.op]
	if !ok {
		return fmt.Errorf("the op has no entry in the table of ONNX operations")
	}
	types, broken := op.infer(n)
	if broken != "" {
		return fmt.Errorf("%s", broken)
	}
	if len(types) != len(n.out) {
		return fmt.Errorf("%d results, want %d", len(n.out), len(types))
	}
	for i, t := range types {
		if v := n.out[i]; v.dtype != t.dtype || !v.shape.Equal(t.shape) || v.from != n {
			return fmt.Errorf("result %d is %v %v, want %v %v", i, v.dtype, v.shape, t.dtype, t.shape)
		}
	}
	return nil
}
