package graph_test

import (
	"math"
	"slices"

	"mixr/runtime/graph"
)

type (
	vs = []*graph.Value
	xs = [][]float64
)

// rows covers every operation. Where an operation has several ways to be emitted, each has a row.
var rows = slices.Concat(elementwiseRows, productRows, reduceRows, layoutRows, indexRows, normRows)

var elementwiseRows = []row{
	binary("Add", graph.Add, func(a, b float64) float64 { return a + b }),
	binary("Sub", graph.Sub, func(a, b float64) float64 { return a - b }),
	binary("Mul", graph.Mul, func(a, b float64) float64 { return a * b }),
	binary("Div", graph.Div, func(a, b float64) float64 { return a / b }),
	binary("Min", graph.Min, math.Min),
	binary("Max", graph.Max, math.Max),
	unary("Neg", graph.Neg, func(x float64) float64 { return -x }),
	unary("Exp", graph.Exp, math.Exp),
	positive("Log", graph.Log, math.Log),
	positive("Sqrt", graph.Sqrt, math.Sqrt),
	unary("Sigmoid", graph.Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }),
	unary("SiLU", graph.SiLU, func(x float64) float64 { return x / (1 + math.Exp(-x)) }),
	unary("GELU", graph.GELU, func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }),
	unary("GELUTanh", graph.GELUTanh, func(x float64) float64 { return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) / 2 }),
	unary("ReLU", graph.ReLU, func(x float64) float64 { return max(x, 0) }),
	unary("Scale", func(x *graph.Value) *graph.Value { return graph.Scale(x, -1.5) }, func(x float64) float64 { return -1.5 * x }),
	unary("AddScalar", func(x *graph.Value) *graph.Value { return graph.AddScalar(x, 0.5) }, func(x float64) float64 { return x + 0.5 }),
	{"Clip", []in{{dims: "N 3", real: []float32{-2, -0.8, -0.7, 0, 0.4, 0.6}}},
		func(v vs) vs { return vs{graph.Clip(v[0], -0.75, 0.5)} },
		each(func(x float64) float64 { return max(-0.75, min(0.5, x)) })},
	unary("Cast", func(x *graph.Value) *graph.Value { return graph.Cast(graph.Cast(x, graph.F64), graph.F32) }, func(x float64) float64 { return x }),
	{"Where", []in{{dims: "N 1", flat: true}, {dims: "N 1"}, {dims: "5"}},
		func(v vs) vs { return vs{graph.Where(graph.Less(v[0], v[1]), v[1], v[2])} },
		func(x xs) (y []float64) {
			for n := range 2 {
				for i := range 5 {
					if x[0][n] < x[1][n] {
						y = append(y, x[1][n])
					} else {
						y = append(y, x[2][i])
					}
				}
			}
			return y
		}},
	binary("Less", asFloat(graph.Less), func(a, b float64) float64 { return truth(a < b) }),
	binary("LessEqual", asFloat(graph.LessEqual), func(a, b float64) float64 { return truth(a <= b) }),
	binary("Greater", asFloat(graph.Greater), func(a, b float64) float64 { return truth(a > b) }),
	unary("Equal", func(x *graph.Value) *graph.Value { return asFloat(graph.Equal)(x, graph.Clip(x, 0, 1)) }, func(x float64) float64 { return truth(0 <= x && x <= 1) }),
	{"Mod", []in{{dims: "N 1", ints: []int64{7, -7}}, {dims: "3", ints: []int64{2, 3, 9}}},
		func(v vs) vs { return vs{graph.Mod(v[0], v[1])} },
		func(xs) []float64 { return []float64{1, 1, 7, 1, 2, 2} }},
	unary("StopGradient", graph.StopGradient, func(x float64) float64 { return x }),
}

func asFloat(f func(a, b *graph.Value) *graph.Value) func(a, b *graph.Value) *graph.Value {
	return func(a, b *graph.Value) *graph.Value { return graph.Cast(f(a, b), graph.F32) }
}

var productRows = []row{
	{"Linear (matrix)", []in{{dims: "N 5"}, {dims: "7 5"}, {dims: "7"}},
		func(v vs) vs { return vs{graph.Linear(v[0], v[1], v[2])} },
		func(x xs) []float64 { return addRow(product(x[0], x[1], 2, 5, 7, false, true), x[2]) }},
	{"Linear (batch)", []in{{dims: "N T 5"}, {dims: "7 5"}, {dims: "7"}},
		func(v vs) vs { return vs{graph.Linear(v[0], v[1], v[2])} },
		func(x xs) []float64 { return addRow(product(x[0], x[1], 6, 5, 7, false, true), x[2]) }},
	{"Linear (no bias)", []in{{dims: "N T 5"}, {dims: "7 5"}},
		func(v vs) vs { return vs{graph.Linear(v[0], v[1], nil)} },
		func(x xs) []float64 { return product(x[0], x[1], 6, 5, 7, false, true) }},
	{"MatMul (columns)", []in{{dims: "7 5"}, {dims: "N 5"}},
		func(v vs) vs { return vs{graph.Columns(v[0], v[1], false)} },
		func(x xs) []float64 { return product(x[0], x[1], 7, 5, 2, false, true) }},
	{"MatMul (columns, turned)", []in{{dims: "7 5"}, {dims: "5 N"}},
		func(v vs) vs { return vs{graph.Columns(v[0], v[1], true)} },
		func(x xs) []float64 { return product(x[0], x[1], 7, 5, 2, false, false) }},
	matMul("MatMul (a b)", "N T 4", "N 4 5", false, false, false),
	matMul("MatMul (a b')", "N T 4", "N 5 4", false, true, false),
	matMul("MatMul (a' b)", "N 4 T", "N 4 5", true, false, false),
	matMul("MatMul (a' b')", "N 4 T", "N 5 4", true, true, false),
	matMul("MatMul (a b, shared b)", "N T 4", "4 5", false, false, true),
	matMul("MatMul (a b', shared b)", "N T 4", "5 4", false, true, true),
	matMul("MatMul (a' b', shared b)", "N 4 T", "5 4", true, true, true),
	matMul("MatMul (a b', batch of 1)", "N T 4", "1 5 4", false, true, true),
	{"MatMul (matrices)", []in{{dims: "4 N"}, {dims: "5 4"}},
		func(v vs) vs { return vs{graph.MatMul(v[0], v[1], true, true, 0.5)} },
		func(x xs) []float64 { return scaled(product(x[0], x[1], 2, 4, 5, true, true), 0.5) }},
}

// matMul multiplies two matrices A [3, 4] with B [4, 5] each, or with one and the same.
func matMul(op, a, b string, ta, tb, shared bool) row {
	return row{op, []in{{dims: a}, {dims: b}},
		func(v vs) vs { return vs{graph.MatMul(v[0], v[1], ta, tb, 0.5)} },
		func(x xs) (y []float64) {
			for n := range 2 {
				second := x[1]
				if !shared {
					second = x[1][20*n:][:20]
				}
				y = append(y, product(x[0][12*n:][:12], second, 3, 4, 5, ta, tb)...)
			}
			return scaled(y, 0.5)
		}}
}

func scaled(x []float64, f float64) []float64 {
	for i := range x {
		x[i] *= f
	}
	return x
}

func addRow(x, b []float64) []float64 {
	for i := range x {
		x[i] += b[i%len(b)]
	}
	return x
}

var reduceRows = []row{
	{"Sum (last)", []in{{dims: "N T 4"}},
		func(v vs) vs { return vs{graph.Sum(v[0], -1)} },
		func(x xs) (y []float64) {
			for r := range slices.Chunk(x[0], 4) {
				y = append(y, sum(r))
			}
			return y
		}},
	{"Sum (first and last)", []in{{dims: "N T 4"}},
		func(v vs) vs { return vs{graph.Sum(v[0], 2, 0)} },
		func(x xs) []float64 {
			y := make([]float64, 3)
			for i, v := range x[0] {
				y[i/4%3] += v
			}
			return y
		}},
	{"Sum (mean)", []in{{dims: "N 3 4"}},
		func(v vs) vs { return vs{graph.Mean(v[0], 1, -1)} },
		func(x xs) []float64 { return []float64{sum(x[0][:12]) / 12, sum(x[0][12:]) / 12} }},
	{"SumKeep", []in{{dims: "N T"}, {dims: "N 1", flat: true}},
		func(v vs) vs { return vs{graph.SumTo(v[0], v[1])} },
		func(x xs) []float64 { return []float64{sum(x[0][:3]), sum(x[0][3:])} }},
	{"SumAll", []in{{dims: "N T"}},
		func(v vs) vs { return vs{graph.SumAll(v[0])} },
		func(x xs) []float64 { return []float64{sum(x[0])} }},
	{"SumAll (scalar)", []in{{dims: ""}},
		func(v vs) vs { return vs{graph.SumAll(v[0])} },
		func(x xs) []float64 { return x[0] }},
	{"SumSquares", []in{{dims: "N T 2"}},
		func(v vs) vs { return vs{graph.SumSquares(v[0])} },
		func(x xs) (y []float64) {
			y = []float64{0}
			for _, v := range x[0] {
				y[0] += v * v
			}
			return y
		}},
	{"ReduceMax", []in{{dims: "N 5"}},
		func(v vs) vs { return vs{graph.ReduceMax(v[0], -1)} },
		func(x xs) []float64 { return []float64{slices.Max(x[0][:5]), slices.Max(x[0][5:])} }},
	{"ReduceLogSumExp", []in{{dims: "N 5"}},
		func(v vs) vs { return vs{graph.ReduceLogSumExp(v[0])} },
		func(x xs) []float64 {
			return []float64{x[0][0] - logSoftmax(x[0][:5])[0], x[0][5] - logSoftmax(x[0][5:])[0]}
		}},
	{"ArgMax", []in{{dims: "N 3", real: []float32{1, 7, 7, -1, -3, -2}}},
		func(v vs) vs { return vs{graph.ArgMax(v[0], 1)} },
		func(xs) []float64 { return []float64{1, 0} }},
	{"CumSum", []in{{dims: "N 3", real: []float32{1, 2, 4, 8, 16, 32}}},
		func(v vs) vs { return vs{graph.CumSum(v[0], -1)} },
		func(xs) []float64 { return []float64{1, 3, 7, 8, 24, 56} }},
}

// same is for operations that only change the shape.
func same(x xs) []float64 { return x[0] }

var layoutRows = []row{
	{"Reshape (infer)", []in{{dims: "N T 4"}}, func(v vs) vs { return vs{graph.Reshape(v[0], 0, -1)} }, same},
	{"Reshape (flatten and back)", []in{{dims: "N T 4"}},
		func(v vs) vs { return vs{graph.Reshape(graph.Reshape(v[0], -1, 4), "N", "T", 2, 2)} }, same},
	{"Reshape (gradient needs the shape at run time)", []in{{dims: "N T 4"}}, func(v vs) vs { return vs{graph.Reshape(v[0], -1)} }, same},
	{"Unsqueeze", []in{{dims: "N T"}}, func(v vs) vs { return vs{graph.Unsqueeze(v[0], 0, 2)} }, same},
	{"Expand", []in{{dims: "N 1 4"}, {dims: "5 N T 4", flat: true}},
		func(v vs) vs { return vs{graph.Expand(v[0], v[1])} },
		func(x xs) (y []float64) {
			for i := range 5 * 2 * 3 * 4 {
				y = append(y, x[0][i/12%2*4+i%4])
			}
			return y
		}},
	{"Expand (to sizes of inputs)", []in{{dims: "N 1 4"}, {dims: "N T 4"}},
		func(v vs) vs { return vs{graph.Mul(graph.ExpandTo(v[0], "N", "T", 4), v[1])} },
		func(x xs) (y []float64) {
			for i := range x[1] {
				y = append(y, x[0][i/12*4+i%4]*x[1][i])
			}
			return y
		}},
	{"Transpose", []in{{dims: "N T 4"}},
		func(v vs) vs { return vs{graph.Transpose(v[0], 2, 0, 1)} },
		func(x xs) (y []float64) {
			for i := range 4 {
				for r := range 6 {
					y = append(y, x[0][4*r+i])
				}
			}
			return y
		}},
	{"Concat (known)", []in{{dims: "N 2"}, {dims: "N 3"}},
		func(v vs) vs { return vs{graph.Concat(-1, v[0], v[1])} },
		func(x xs) []float64 { return slices.Concat(x[0][:2], x[1][:3], x[0][2:], x[1][3:]) }},
	{"Concat (symbols)", []in{{dims: "N S"}, {dims: "N 1"}, {dims: "N C"}},
		func(v vs) vs {
			return vs{graph.Mul(graph.Concat(1, v[0], v[1], v[2]), graph.Concat(1, v[2], v[1], v[0]))}
		},
		func(x xs) (y []float64) {
			for n := range 2 {
				a, b, c := x[0][5*n:][:5], x[1][n:][:1], x[2][4*n:][:4]
				for i, v := range slices.Concat(a, b, c) {
					y = append(y, v*slices.Concat(c, b, a)[i])
				}
			}
			return y
		}},
	{"SplitAt", []in{{dims: "N 7"}, {dims: "3", ints: []int64{3, 2, 2}}},
		func(v vs) vs { p := graph.SplitAt(v[0], 1, v[1], "T", "N", 2); return vs{p[0], p[2]} }, // nothing uses the middle
		func(x xs) []float64 {
			return slices.Concat(x[0][0:3], x[0][7:10], x[0][5:7], x[0][12:14])
		}},
	{"Slice (known)", []in{{dims: "N 6"}},
		func(v vs) vs { return vs{graph.Slice(v[0], 1, 1, -2)} },
		func(x xs) []float64 { return slices.Concat(x[0][1:4], x[0][7:10]) }},
	{"Slice (symbol, front)", []in{{dims: "P 2"}},
		func(v vs) vs { return vs{graph.Slice(v[0], 0, 1, 3)} },
		func(x xs) []float64 { return x[0][2:6] }},
	{"Slice (symbol, back)", []in{{dims: "P 2"}},
		func(v vs) vs { return vs{graph.Slice(v[0], 0, -3, -1)} },
		func(x xs) []float64 { return x[0][8:12] }},
	{"Slice (symbol, end)", []in{{dims: "P 2"}},
		func(v vs) vs { return vs{graph.Slice(v[0], 0, -2, graph.End)} },
		func(x xs) []float64 { return x[0][10:] }},
}

// repeated names rows of a table more than once, one of them many times.
var repeated = []int64{3, 0, 3, 3, 5, 0}

func take(x []float64, width int, idx ...int64) (y []float64) {
	for _, i := range idx {
		y = append(y, x[int(i)*width:][:width]...)
	}
	return y
}

// many names 300 rows of 7, so that several threads have work on the same row.
var many = func() (idx []int64) {
	for i := range 300 {
		idx = append(idx, int64(i*i%7))
	}
	return idx
}()

var indexRows = []row{
	{"Gather (rows)", []in{{dims: "P 4"}, {dims: "N T", ints: repeated}},
		func(v vs) vs { return vs{graph.Gather(v[0], v[1])} },
		func(x xs) []float64 { return take(x[0], 4, repeated...) }},
	{"Gather (many)", []in{{dims: "7 4"}, {dims: "300", ints: many}},
		func(v vs) vs { return vs{graph.Gather(v[0], v[1])} },
		func(x xs) []float64 { return take(x[0], 4, many...) }},
	{"Gather (vector)", []in{{dims: "P"}, {dims: "N T", ints: repeated}},
		func(v vs) vs { return vs{graph.Gather(v[0], v[1])} },
		func(x xs) []float64 { return take(x[0], 1, repeated...) }},
	{"Gather (rank 3)", []in{{dims: "P 2 3"}, {dims: "6", ints: repeated}},
		func(v vs) vs { return vs{graph.Gather(v[0], v[1])} },
		func(x xs) []float64 { return take(x[0], 6, repeated...) }},
	{"Gather (rows of a table that has another reader)", []in{{dims: "P 4"}, {dims: "N T", ints: repeated}},
		func(v vs) vs { return vs{graph.Gather(v[0], v[1]), graph.Exp(v[0])} },
		func(x xs) []float64 {
			y := take(x[0], 4, repeated...)
			for _, v := range x[0] {
				y = append(y, math.Exp(v))
			}
			return y
		}},
	{"AddRows", []in{{dims: "P 4"}, {dims: "N T", ints: repeated}, {dims: "N T 4"}},
		func(v vs) vs { return vs{graph.AddRows(v[0], v[1], v[2])} },
		func(x xs) []float64 {
			y := slices.Clone(x[0])
			for i, v := range x[2] {
				y[int(repeated[i/4])*4+i%4] += v
			}
			return y
		}},
	{"Permute", []in{{dims: "P 4"}, {dims: "P", ints: []int64{6, 0, 3, 1, 5, 2, 4}}, {dims: "P", ints: []int64{1, 3, 5, 2, 6, 4, 0}}},
		func(v vs) vs { return vs{graph.Permute(v[0], v[1], v[2])} },
		func(x xs) []float64 { return take(x[0], 4, 6, 0, 3, 1, 5, 2, 4) }},
	// Windows of 3 places for 7 rows; the places that name row 0 a second and third time are padding. In between, the
	// padding is multiplied by 0, as attention with a mask does.
	{"Permute (padded windows and back)", []in{
		{dims: "P 4"},
		{dims: "3 T", ints: []int64{6, 0, 3, 1, 0, 5, 2, 4, 0}},
		{dims: "P", ints: []int64{1, 3, 6, 2, 7, 5, 0}},
		{dims: "3 T 1", real: []float32{1, 2, 3, 4, 0, 5, 6, 7, 0}, flat: true}},
		func(v vs) vs {
			w := graph.Mul(graph.Permute(v[0], v[1], v[2]), v[3])
			return vs{graph.Permute(graph.Reshape(w, -1, 4), v[2], graph.Reshape(v[1], -1))}
		},
		func(x xs) (y []float64) {
			for i, f := range []float64{2, 4, 6, 3, 7, 5, 1} {
				y = append(y, scaled(take(x[0], 4, int64(i)), f)...)
			}
			return y
		}},
	// The padding rows are not multiplied away here: they must get no gradient from the way back.
	{"Permute (padded rows get no gradient)", []in{
		{dims: "Q 4"}, {dims: "P", ints: []int64{1, 3, 6, 2, 7, 5, 0}}, {dims: "Q", ints: []int64{6, 0, 3, 1, 0, 5, 2, 4, 0}}},
		func(v vs) vs { return vs{graph.Permute(v[0], v[1], v[2])} },
		func(x xs) []float64 { return take(x[0], 4, 1, 3, 6, 2, 7, 5, 0) }},
	{"GatherElements", []in{{dims: "N 3", real: []float32{1, 2, 4, 8, 16, 32}}, {dims: "N 2", ints: []int64{2, 0, 1, 1}}},
		func(v vs) vs { return vs{graph.GatherElements(v[0], v[1], -1)} },
		func(xs) []float64 { return []float64{4, 1, 16, 16} }},
	{"TensorScatter", []in{{dims: "N 1 T 2"}, {dims: "N 1 1 2"}, {dims: "N", ints: []int64{2, 0}}},
		func(v vs) vs { return vs{graph.TensorScatter(v[0], v[1], v[2])} },
		func(x xs) []float64 { return slices.Concat(x[0][:4], x[1], x[0][8:]) }},
}

var normRows = []row{
	{"RMSNorm", []in{{dims: "N T 5"}, {dims: "5"}},
		func(v vs) vs { return vs{graph.RMSNorm(v[0], v[1], 1e-2)} }, rmsNorm},
	{"RMSNorm (vector)", []in{{dims: "5"}, {dims: "5"}},
		func(v vs) vs { return vs{graph.RMSNorm(v[0], v[1], 1e-2)} }, rmsNorm},
	{"LayerNorm", []in{{dims: "N T 5"}, {dims: "5"}, {dims: "5"}},
		func(v vs) vs { return vs{graph.LayerNorm(v[0], v[1], v[2], 1e-2)} }, layerNorm},
	{"LayerNorm (no bias)", []in{{dims: "N T 5"}, {dims: "5"}},
		func(v vs) vs { return vs{graph.LayerNorm(v[0], v[1], nil, 1e-2)} }, layerNorm},
	{"LayerNorm (vector)", []in{{dims: "5"}, {dims: "5"}, {dims: "5"}},
		func(v vs) vs { return vs{graph.LayerNorm(v[0], v[1], v[2], 1e-2)} }, layerNorm},
	{"Softmax", []in{{dims: "N T 5"}},
		func(v vs) vs { return vs{graph.Softmax(v[0])} },
		func(x xs) (y []float64) {
			for r := range slices.Chunk(x[0], 5) {
				for _, l := range logSoftmax(r) {
					y = append(y, math.Exp(l))
				}
			}
			return y
		}},
	// Three heads of width 4; tables with a row per token, in another order than the tokens.
	{"RoPE", []in{{dims: "N T 12"}, {dims: "N T", ints: []int64{5, 4, 3, 2, 1, 0}}, {dims: "N*T 2", flat: true}, {dims: "N*T 2", flat: true}},
		func(v vs) vs { return vs{graph.RoPE(v[0], v[1], v[2], v[3], 3)} },
		func(x xs) []float64 {
			y := make([]float64, len(x[0]))
			for i := range y {
				row, j := 5-i/12, i%4
				cos, sin := x[2][2*row+j%2], x[3][2*row+j%2]
				if j < 2 {
					y[i] = x[0][i]*cos - x[0][i+2]*sin
				} else {
					y[i] = x[0][i]*cos + x[0][i-2]*sin
				}
			}
			return y
		}},
	{"LogProb (both results)", logProbInputs, func(v vs) vs { l, e := graph.LogProb(v[0], v[1], v[2], v[3]); return vs{l, e} },
		func(x xs) []float64 { l, e := logProb(x); return append(l, e...) }},
	{"LogProb (logp)", logProbInputs, func(v vs) vs { l, _ := graph.LogProb(v[0], v[1], v[2], v[3]); return vs{l} },
		func(x xs) []float64 { l, _ := logProb(x); return l }},
	{"LogProb (entropy)", logProbInputs, func(v vs) vs { _, e := graph.LogProb(v[0], v[1], v[2], v[3]); return vs{e} },
		func(x xs) []float64 { _, e := logProb(x); return e }},
}

func rmsNorm(x xs) (y []float64) {
	for r := range slices.Chunk(x[0], 5) {
		mean := 0.0
		for _, v := range r {
			mean += v * v / 5
		}
		for i, v := range r {
			y = append(y, v/math.Sqrt(mean+1e-2)*x[1][i])
		}
	}
	return y
}

func layerNorm(x xs) (y []float64) {
	for r := range slices.Chunk(x[0], 5) {
		mean, variance := sum(r)/5, 0.0
		for _, v := range r {
			variance += (v - mean) * (v - mean) / 5
		}
		for i, v := range r {
			v = (v - mean) / math.Sqrt(variance+1e-2) * x[1][i]
			if len(x) == 3 {
				v += x[2][i]
			}
			y = append(y, v)
		}
	}
	return y
}

// Four rows, seven words, a repeated target, a temperature that is not 1.
var logProbInputs = []in{{dims: "C 3"}, {dims: "7 3"}, {dims: "C", ints: []int64{6, 0, 6, 2}}, {dims: "1", real: []float32{0.7}, flat: true}}

func logProb(x xs) (logp, entropy []float64) {
	for c := range 4 {
		var z []float64
		for v := range 7 {
			dot := 0.0
			for i := range 3 {
				dot += x[0][3*c+i] * x[1][3*v+i]
			}
			z = append(z, dot/x[3][0])
		}
		l := logSoftmax(z)
		h := 0.0
		for _, v := range l {
			h -= v * math.Exp(v)
		}
		logp, entropy = append(logp, l[int(x[2][c])]), append(entropy, h)
	}
	return logp, entropy
}
