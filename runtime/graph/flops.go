package graph

// Flops counts the arithmetic of a graph's matrix products, 2 M K P each, for sizes of its symbols. What works element by element is left
// out: the count is what a machine's peak in products is compared with.
func (g *Graph) Flops(sizes map[string]int) (flops int64, err error) {
	nodes, _ := g.live()
	for _, n := range nodes {
		if n.op != "Gemm" && n.op != "FusedMatMul" {
			continue
		}
		out, inner := n.out[0].shape, n.in[0].shape
		k := inner[len(inner)-1]
		if n.flag("transA") {
			k = inner[len(inner)-2]
		}
		size, err := out.Size().Times(k).eval(sizes)
		if err != nil {
			return 0, err
		}
		flops += 2 * size
	}
	return flops, nil
}
