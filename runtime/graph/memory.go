package graph

import (
	"fmt"
	"slices"
	"strings"
)

// Peak is the most memory that one run of a graph holds beyond its inputs, in bytes.
type Peak struct {
	Total   int64 // intermediate results and outputs together, at the worst moment
	Outputs int64 // of that what the run hands over: outputs in memory of the run's own
}

// Peak computes how much memory a run takes in ONNX Runtime, for sizes of the graph's symbols ("N": 2). An output of bound is
// written into a tensor of the caller's, and is not counted.
//
// The walk follows ONNX Runtime: nodes run in the order of a depth-first search from the last result backwards, a value's memory is free
// again after its last reader, views share memory, and element-wise nodes write over an operand that nothing reads any more. What the
// library's own rewriting saves is not known here, nor is what its allocator wastes.
func (g *Graph) Peak(sizes map[string]int, bound func(output string) bool) (Peak, error) {
	nodes, _ := g.live()
	order := executionOrder(nodes)
	var peak Peak

	// A buffer lives from the node that makes it to the last reader of any value in it.
	type buffer struct {
		bytes   int64
		readers int
		kept    bool // not given back: an output, or the caller's
	}
	buffers := map[*Value]*buffer{}
	readers := map[*Value]int{}
	for _, n := range nodes {
		for _, v := range n.in {
			readers[v]++
		}
	}
	output := map[*Value]bool{} // true: in memory of the run's own
	for _, o := range g.outputs {
		output[o.Value] = bound == nil || !bound(o.Name)
	}
	now := int64(0)
	for _, n := range order {
		var fresh []*buffer
		for _, v := range n.out {
			bytes, err := v.Bytes(sizes)
			if err != nil {
				return Peak{}, fmt.Errorf("graph %s: %w", g.name, err)
			}
			own, isOutput := output[v]
			first := buffers[n.in[0]]
			switch {
			case isView(n.op) && first != nil && !isOutput:
				first.readers += readers[v]
				buffers[v] = first
				continue
			case isView(n.op) && first == nil && !isOutput: // of an input or a constant
				buffers[v] = &buffer{kept: true}
				continue
			case isOutput && !own:
				buffers[v] = &buffer{kept: true}
				continue
			}
			if !isOutput && overwrites[n.op] {
				if i := slices.IndexFunc(n.in, func(x *Value) bool {
					b := buffers[x]
					return b != nil && !b.kept && b.readers == 1 && b.bytes == bytes && x.shape.Equal(v.shape)
				}); i >= 0 && i < 2 {
					b := buffers[n.in[i]]
					b.readers += readers[v]
					buffers[v] = b
					continue
				}
			}
			b := &buffer{bytes, readers[v], isOutput}
			buffers[v] = b
			fresh = append(fresh, b)
			now += bytes
			if isOutput {
				peak.Outputs += bytes
			}
		}
		peak.Total = max(peak.Total, now)
		release := func(b *buffer) {
			if b.readers <= 0 && !b.kept {
				now -= b.bytes
				b.kept = true
			}
		}
		for _, v := range n.in {
			if b := buffers[v]; b != nil {
				b.readers--
				release(b)
			}
		}
		for _, b := range fresh {
			release(b) // a second result that nothing reads
		}
	}
	return peak, nil
}

func isView(op string) bool { return op == "Reshape" || op == "Unsqueeze" || op == "Identity" }

// overwrites are the ops whose CPU kernels may write over an operand.
var overwrites = map[string]bool{
	"Add": true, "Sub": true, "Mul": true, "Div": true, "Neg": true, "Exp": true, "Log": true, "Sqrt": true, "Relu": true,
	"Sigmoid": true, "Clip": true, "Cast": true, "ScatterElements": true,
}

// executionOrder sorts nodes as ONNX Runtime runs them: a depth-first search over operands, from the results that no node reads, the
// last one first, and of a node's operands the one made last first.
func executionOrder(nodes []*node) []*node {
	at, read := map[*node]int{}, map[*node]bool{}
	for i, n := range nodes {
		at[n] = i
		for _, v := range n.in {
			if v.from != nil {
				read[v.from] = true
			}
		}
	}
	type visit struct {
		n     *node
		leave bool
	}
	var stack []visit
	for _, n := range nodes {
		if !read[n] {
			stack = append(stack, visit{n, false})
		}
	}
	seen := map[*node]bool{}
	var order []*node
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if v.leave {
			order = append(order, v.n)
			continue
		}
		if seen[v.n] {
			continue
		}
		seen[v.n] = true
		stack = append(stack, visit{v.n, true})
		var operands []*node
		for _, x := range v.n.in {
			if x.from != nil && !seen[x.from] {
				operands = append(operands, x.from)
			}
		}
		slices.SortFunc(operands, func(a, b *node) int { return at[a] - at[b] })
		for _, n := range operands {
			stack = append(stack, visit{n, false})
		}
	}
	return order
}

// Bytes is the size of a value for sizes of the graph's symbols.
func (v *Value) Bytes(sizes map[string]int) (int64, error) {
	n := int64(map[DType]int{F32: 4, I32: 4, I64: 8, F64: 8, Bool: 1}[v.dtype])
	for _, d := range v.shape {
		size, err := d.eval(sizes)
		if err != nil {
			return 0, fmt.Errorf("%s %v: %w", v.name, v.shape, err)
		}
		n *= size
	}
	return n, nil
}

// eval is the size of a dim for sizes of its symbols.
func (d Dim) eval(sizes map[string]int) (int64, error) {
	n := int64(d.n)
	for _, f := range d.factors() {
		if !strings.HasPrefix(f, "(") {
			size, ok := sizes[f]
			if !ok {
				return 0, fmt.Errorf("no size is given for %s", f)
			}
			n *= int64(size)
			continue
		}
		sum := int64(0)
		for _, t := range (Dim{1, f}).terms() {
			size, err := t.eval(sizes)
			if err != nil {
				return 0, err
			}
			sum += size
		}
		n *= sum
	}
	return n, nil
}

// Nodes is the number of nodes that the outputs need.
func (g *Graph) Nodes() int {
	nodes, _ := g.live()
	return len(nodes)
}

// Sizes finds what the symbols of the graph's inputs are when the named inputs have the given shapes, and adds it to sizes. Only dims of
// one symbol, perhaps with a factor ("4*M"), tell something.
func (g *Graph) Sizes(sizes map[string]int, input string, shape []int) {
	i := slices.IndexFunc(g.inputs, func(v *Value) bool { return v.name == input })
	if i < 0 || len(g.inputs[i].shape) != len(shape) {
		return
	}
	for j, d := range g.inputs[i].shape {
		if f := d.factors(); len(f) == 1 && !isSum(d.syms) && d.n > 0 {
			sizes[f[0]] = shape[j] / d.n
		}
	}
}
