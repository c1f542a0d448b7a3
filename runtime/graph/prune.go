package graph

import "slices"

// live returns what the outputs need: the nodes, in order, and the constants. Inputs are always kept, since they are
// the contract with the caller.
func (g *Graph) live() (nodes []*node, consts []*Value) {
	used := map[*Value]bool{}
	for _, o := range g.outputs {
		used[o.Value] = true
	}
	for _, n := range slices.Backward(g.nodes) {
		if slices.ContainsFunc(n.out, func(v *Value) bool { return used[v] }) {
			nodes = append(nodes, n)
			for _, v := range n.in {
				used[v] = true
			}
		}
	}
	slices.Reverse(nodes)
	for _, v := range g.consts {
		if used[v] {
			consts = append(consts, v)
		}
	}
	return nodes, consts
}
