package graph

import (
	"fmt"
	"slices"
)

// typ is the type of a result.
type typ struct {
	dtype DType
	shape Shape
}

// onnxOp is what the package knows of an ONNX operation: where it comes from, the types of its results, and whether
// its first result may be written over an operand.
type onnxOp struct {
	domain string
	// infer returns the types of the results, or the rule that the node breaks.
	infer func(n *node) (out []typ, broken string)
	// inPlace: the CPU kernel reads element i of an operand for the last time before it writes element i of the
	// result, or, for a scatter, skips its copy when source and destination are one. Kernels that use the result as
	// scratch space (Gelu) do not.
	inPlace bool
}

const ms = "com.microsoft" // ONNX Runtime's own ops, present in every stock build

// onnxOps lists every ONNX operation that is ever emitted.
var onnxOps = map[string]onnxOp{
	"Identity":   {"", sameType, true},
	"Neg":        {"", floatType, true},
	"Exp":        {"", floatType, true},
	"Log":        {"", floatType, true},
	"Sqrt":       {"", floatType, true},
	"Erf":        {"", floatType, false},
	"Sigmoid":    {"", floatType, false},
	"Gelu":       {"", floatType, false},
	"Relu":       {"", floatType, true},
	"Clip":       {"", floatType, true},
	"Softmax":    {"", floatType, false},
	"LogSoftmax": {"", floatType, false},

	"Add": {"", arithmetic, true},
	"Sub": {"", arithmetic, true},
	"Mul": {"", arithmetic, true},
	"Div": {"", arithmetic, true},
	"Min": {"", arithmetic, true},
	"Max": {"", arithmetic, true},
	"Mod": {"", integerArithmetic, true},

	"Less":        {"", comparison, false},
	"LessOrEqual": {"", comparison, false},
	"Greater":     {"", comparison, false},
	"Equal":       {"", comparison, false},
	"Where":       {"", whereType, false},
	"Cast":        {"", castType, false},

	"Gemm":        {"", gemmType, false},
	"FusedMatMul": {ms, matMulType, false},

	"ReduceSum":       {"", reduceType, false},
	"ReduceSumSquare": {"", reduceType, false},
	"ReduceMax":       {"", reduceType, false},
	"ReduceLogSumExp": {"", reduceType, false},
	"ArgMax":          {"", argMaxType, false},
	"CumSum":          {"", sameType, false},

	"Reshape":   {"", reshapeType, false},
	"Expand":    {"", expandType, false},
	"Unsqueeze": {"", unsqueezeType, false},
	"Transpose": {"", transposeType, false},
	"Concat":    {"", concatType, false},
	"Slice":     {"", declaredType, false},
	"Split":     {"", declaredType, false},
	"Pad":       {"", declaredType, false},
	"Shape":     {"", shapeType, false},
	"Range":     {"", rangeType, false},

	"Gather":          {"", gatherType, false},
	"GatherElements":  {"", gatherElementsType, false},
	"ScatterElements": {"", scatterType, true},
	"TensorScatter":   {"", scatterType, true},

	"RotaryEmbedding":    {ms, rotaryType, false},
	"LayerNormalization": {"", layerNormType, false},
}

func sameType(n *node) ([]typ, string) {
	return []typ{{n.in[0].dtype, n.in[0].shape}}, ""
}

func floatType(n *node) ([]typ, string) {
	if !n.in[0].dtype.float() {
		return nil, "want a floating-point operand"
	}
	return sameType(n)
}

func arithmetic(n *node) ([]typ, string) {
	a, b := n.in[0], n.in[1]
	if a.dtype != b.dtype || a.dtype == Bool {
		return nil, "want operands of one numeric type"
	}
	s, ok := broadcast(a.shape, b.shape)
	if !ok {
		return nil, broadcastRule
	}
	return []typ{{a.dtype, s}}, ""
}

func integerArithmetic(n *node) ([]typ, string) {
	if n.in[0].dtype != I64 {
		return nil, "want int64 operands"
	}
	return arithmetic(n)
}

const broadcastRule = "shapes do not broadcast: aligned at the last dim, dims must be equal or one of them the constant 1"

func comparison(n *node) ([]typ, string) {
	t, broken := arithmetic(n)
	if broken != "" {
		return nil, broken
	}
	return []typ{{Bool, t[0].shape}}, ""
}

func whereType(n *node) ([]typ, string) {
	cond, a, b := n.in[0], n.in[1], n.in[2]
	if cond.dtype != Bool || a.dtype != b.dtype {
		return nil, "want a bool condition and two values of one type"
	}
	s, ok := broadcast(a.shape, b.shape)
	if ok {
		s, ok = broadcast(cond.shape, s)
	}
	if !ok {
		return nil, broadcastRule
	}
	return []typ{{a.dtype, s}}, ""
}

func castType(n *node) ([]typ, string) {
	return []typ{{DType(n.int("to")), n.in[0].shape}}, ""
}

// lastTwo returns the rows and columns of a matrix that may be read transposed.
func lastTwo(v *Value, transposed bool) (rows, cols Dim) {
	r := len(v.shape)
	rows, cols = v.shape[r-2], v.shape[r-1]
	if transposed {
		rows, cols = cols, rows
	}
	return rows, cols
}

func matMulType(n *node) ([]typ, string) {
	a, b := n.in[0], n.in[1]
	if len(a.shape) < 2 || len(b.shape) < 2 {
		return nil, "want matrices: rank 2 or more"
	}
	if !a.dtype.float() || a.dtype != b.dtype {
		return nil, "want operands of one floating-point type"
	}
	m, k := lastTwo(a, n.flag("transA"))
	k2, p := lastTwo(b, n.flag("transB"))
	if k != k2 {
		return nil, fmt.Sprintf("inner dims differ: %v and %v", k, k2)
	}
	batch, ok := broadcast(a.shape[:len(a.shape)-2], b.shape[:len(b.shape)-2])
	if !ok {
		return nil, "leading dims do not broadcast: they must be equal or one of them the constant 1"
	}
	return []typ{{a.dtype, append(slices.Clone(batch), m, p)}}, ""
}

func gemmType(n *node) ([]typ, string) {
	if len(n.in[0].shape) != 2 || len(n.in[1].shape) != 2 {
		return nil, "want rank 2"
	}
	t, broken := matMulType(n)
	if broken == "" && len(n.in) == 3 {
		if s, ok := broadcast(t[0].shape, n.in[2].shape); !ok || !s.Equal(t[0].shape) || n.in[2].dtype != t[0].dtype {
			return nil, fmt.Sprintf("bias %v does not broadcast to %v", n.in[2].shape, t[0].shape)
		}
	}
	return t, broken
}

func reduceType(n *node) ([]typ, string) {
	x, dims := n.in[0], n.in[1].constInts()
	if x.dtype == Bool {
		return nil, "want a numeric operand"
	}
	var s Shape
	for i, d := range x.shape {
		switch {
		case !slices.Contains(dims, i):
			s = append(s, d)
		case n.flag("keepdims"):
			s = append(s, one)
		}
	}
	return []typ{{x.dtype, s}}, ""
}

func argMaxType(n *node) ([]typ, string) {
	return []typ{{I64, slices.Delete(slices.Clone(n.in[0].shape), n.int("axis"), n.int("axis")+1)}}, ""
}

func reshapeType(n *node) ([]typ, string) {
	x, s := n.in[0], n.declared[0]
	if x.shape.Size() != s.Size() {
		return nil, fmt.Sprintf("%v elements cannot take shape %v", x.shape.Size(), s)
	}
	return []typ{{x.dtype, s}}, ""
}

func expandType(n *node) ([]typ, string) {
	x, s := n.in[0], n.declared[0]
	if b, ok := broadcast(x.shape, s); !ok || !b.Equal(s) {
		return nil, fmt.Sprintf("cannot be stretched to %v", s)
	}
	return []typ{{x.dtype, s}}, ""
}

func unsqueezeType(n *node) ([]typ, string) {
	s := slices.Clone(n.in[0].shape)
	for _, a := range n.in[1].constInts() {
		s = slices.Insert(s, a, one)
	}
	return []typ{{n.in[0].dtype, s}}, ""
}

func transposeType(n *node) ([]typ, string) {
	x, perm := n.in[0], n.attr("perm").([]int)
	sorted := slices.Sorted(slices.Values(perm))
	s := make(Shape, len(perm))
	for i, p := range perm {
		if len(perm) != len(x.shape) || sorted[i] != i {
			return nil, fmt.Sprintf("%v is not an order of the %d dims", perm, len(x.shape))
		}
		s[i] = x.shape[p]
	}
	return []typ{{x.dtype, s}}, ""
}

func concatType(n *node) ([]typ, string) {
	if n.declared != nil { // the parts of a value whose shape is known, joined again
		return declaredType(n)
	}
	dim, x := n.int("axis"), n.in[0]
	s := slices.Clone(x.shape)
	for _, v := range n.in[1:] {
		if len(v.shape) != len(s) || v.dtype != x.dtype {
			return nil, "want operands of one rank and type"
		}
		for i, d := range v.shape {
			switch {
			case i == dim:
				s[i] = s[i].Plus(d)
			case d != s[i]:
				return nil, fmt.Sprintf("dims differ outside dim %d: %v and %v", dim, s[i], d)
			}
		}
	}
	return []typ{{x.dtype, s}}, ""
}

// declaredType is for ops whose operation has already checked the shapes.
func declaredType(n *node) ([]typ, string) {
	out := make([]typ, len(n.declared))
	for i, s := range n.declared {
		out[i] = typ{n.in[0].dtype, s}
	}
	return out, ""
}

func shapeType(n *node) ([]typ, string) {
	start, end := n.int("start"), len(n.in[0].shape)
	if e, ok := n.attr("end").(int); ok {
		end = e
	}
	return []typ{{I64, Shape{Const(end - start)}}}, ""
}

func rangeType(n *node) ([]typ, string) {
	return []typ{{n.in[0].dtype, n.declared[0]}}, ""
}

func gatherType(n *node) ([]typ, string) {
	table, idx := n.in[0], n.in[1]
	if idx.dtype != I64 {
		return nil, "want int64 indices"
	}
	if len(table.shape) == 0 {
		return nil, "want a table of rank 1 or more"
	}
	return []typ{{table.dtype, append(slices.Clone(idx.shape), table.shape[1:]...)}}, ""
}

func gatherElementsType(n *node) ([]typ, string) {
	x, idx := n.in[0], n.in[1]
	if idx.dtype != I64 || len(idx.shape) != len(x.shape) {
		return nil, "want int64 indices of the operand's rank"
	}
	for i, d := range idx.shape {
		if i != n.int("axis") && d != x.shape[i] {
			return nil, fmt.Sprintf("dims differ outside dim %d: %v and %v", n.int("axis"), x.shape[i], d)
		}
	}
	return []typ{{x.dtype, idx.shape}}, ""
}

// scatterType serves ScatterElements(data, indices, updates) and TensorScatter(cache, update, at): the result is the
// first operand with elements replaced or added to.
func scatterType(n *node) ([]typ, string) {
	data, rest := n.in[0], n.in[1:]
	if n.op == "ScatterElements" {
		if rest[0].dtype != I64 || rest[1].dtype != data.dtype || !rest[0].shape.Equal(rest[1].shape) {
			return nil, "want int64 indices of the shape of the updates"
		}
	}
	return []typ{{data.dtype, data.shape}}, ""
}

func rotaryType(n *node) ([]typ, string) {
	x, pos, cos, sin, heads := n.in[0], n.in[1], n.in[2], n.in[3], n.int("num_heads")
	if len(x.shape) != 3 || len(pos.shape) != 2 || !pos.shape.Equal(x.shape[:2]) || pos.dtype != I64 {
		return nil, "want x [N, T, H*E] and int64 positions [N, T]"
	}
	width, ok := x.shape[2].over(Const(2 * heads))
	if !ok || len(cos.shape) != 2 || cos.shape[1] != width || !sin.shape.Equal(cos.shape) {
		return nil, fmt.Sprintf("want cos and sin [L, E/2] where %d heads of width E make %v", heads, x.shape[2])
	}
	return sameType(n)
}

// layerNormType serves LayerNormalization(x, scale, bias), which returns the result, the mean and 1/sqrt(variance + epsilon). The
// statistics of other types than float32 are float32 as well, which no gradient here is made for.
func layerNormType(n *node) ([]typ, string) {
	x := n.in[0]
	if len(x.shape) == 0 || x.dtype != F32 {
		return nil, "want float32 x [..., D]"
	}
	width := x.shape[len(x.shape)-1:]
	for _, v := range n.in[1:] {
		if !v.shape.Equal(width) || v.dtype != F32 {
			return nil, fmt.Sprintf("want a float32 gain and bias %v", width)
		}
	}
	statistic := append(slices.Clone(x.shape[:len(x.shape)-1]), one)
	return []typ{{F32, x.shape}, {F32, statistic}, {F32, statistic}}, ""
}
