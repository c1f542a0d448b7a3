package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// String returns the canonical text of the graph, one line for each input, constant, live node and output:
//
//	graph head
//	input x float32 [N, 192]
//	const const int64 [2] = -1 64
//	Linear = Gemm(x, w) {transA=0 transB=1} float32 [N, 64]
//	output y
//
// Equal graphs have equal text. It is meant for golden tests, error reports and people.
func (g *Graph) String() string {
	nodes, consts := g.live()
	var b strings.Builder
	fmt.Fprintf(&b, "graph %s\n", g.name)
	for _, v := range g.inputs {
		fmt.Fprintf(&b, "input %s %v %v\n", v.name, v.dtype, v.shape)
	}
	for _, v := range consts {
		fmt.Fprintf(&b, "const %s %v %v = %s\n", v.name, v.dtype, v.shape, v.elements())
	}
	for _, n := range nodes {
		fmt.Fprintln(&b, n)
	}
	for _, o := range g.outputs {
		fmt.Fprintf(&b, "output %s\n", o.Name)
	}
	return b.String()
}

func (n *node) String() string {
	var out, in, attrs, types []string
	for _, v := range n.out {
		out = append(out, v.name)
		types = append(types, fmt.Sprintf("%v %v", v.dtype, v.shape))
	}
	for _, v := range n.in {
		in = append(in, v.name)
	}
	for _, a := range n.attrs {
		attrs = append(attrs, fmt.Sprintf("%s=%v", a.name, a.value))
	}
	text := fmt.Sprintf("%s = %s(%s)", strings.Join(out, ", "), n.op, strings.Join(in, ", "))
	if attrs != nil {
		text += " {" + strings.Join(attrs, " ") + "}"
	}
	return text + " " + strings.Join(types, ", ")
}

// elements prints a short constant in full and a long one as a digest.
func (v *Value) elements() string {
	const longest = 8
	width := map[DType]int{F32: 4, I64: 8, F64: 8}[v.dtype]
	if len(v.raw) > longest*width {
		return fmt.Sprintf("sha256:%x", sha256.Sum256(v.raw))[:len("sha256:")+16]
	}
	var parts []string
	for raw := v.raw; len(raw) > 0; raw = raw[width:] {
		switch v.dtype {
		case F32:
			f := math.Float32frombits(binary.LittleEndian.Uint32(raw))
			parts = append(parts, strconv.FormatFloat(float64(f), 'g', -1, 32))
		case F64:
			f := math.Float64frombits(binary.LittleEndian.Uint64(raw))
			parts = append(parts, strconv.FormatFloat(f, 'g', -1, 64))
		default:
			parts = append(parts, strconv.FormatInt(int64(binary.LittleEndian.Uint64(raw)), 10))
		}
	}
	return strings.Join(parts, " ")
}
