package graph_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
)

// in is an input of a row: its dims, separated by spaces, and its elements: noise unless given.
type in struct {
	dims string
	ints []int64   // elements of an int64 input
	real []float32 // elements of a float32 input that is not noise
	flat bool      // has no gradient
}

// row tests one operation: build makes its results from the inputs; want computes all results, one after the other, from
// the elements of the inputs; every float32 input that is not flat has its gradient compared with differences.
type row struct {
	op    string // in the rules table, then an optional note in parentheses
	in    []in
	build func(v []*graph.Value) []*graph.Value
	want  func(x [][]float64) []float64
}

const (
	// A central difference of step h errs by h^2/6 * f''' (about 2e-5 here) and by float32 rounding of the results,
	// 6e-8/h = 6e-6 for results of size 1; both are far below the tolerance. The loss is summed in float64.
	step      = 1e-2
	tolerance = 1e-2 // relative to the derivative
	floor     = 1e-3 // relative to the largest derivative of the same input, for derivatives near 0
	// Several threads, so that sums over repeated indices would show races.
	threads = 4
)

func TestOps(t *testing.T) {
	for _, r := range rows {
		t.Run(r.op, func(t *testing.T) {
			t.Parallel()
			r.test(t)
		})
	}
}

// Every operation is exercised by a row, so a gradient rule without a test cannot exist.
func TestEveryRuleHasRow(t *testing.T) {
	tested := map[string]bool{}
	for _, r := range rows {
		name, _, _ := strings.Cut(r.op, " ")
		tested[name] = true
		if g, _ := r.graph(t, false); !slices.Contains(g.Calls(), name) {
			t.Errorf("row %q does not call %s, its graph has %v", r.op, name, g.Calls())
		}
	}
	for op, formula := range graph.RuleKinds() {
		if formula && !tested[op] {
			t.Errorf("%s has a gradient rule but no row in the table of op_test.go: add one", op)
		}
	}
	for op := range tested {
		if _, ok := graph.RuleKinds()[op]; !ok {
			t.Errorf("%s has a row but no entry in the rules table of gradient.go", op)
		}
	}
}

// graph builds the row's results as outputs y0, y1, ... and, with gradients, those of sum(y*r) as outputs d0, d1, ...
// for the inputs that have one, r being further inputs r0, r1, ...
func (r row) graph(t *testing.T, gradients bool) (g *graph.Graph, wrt []int) {
	t.Helper()
	g, err := graph.Build(r.op, func(g *graph.Graph) {
		v := make([]*graph.Value, len(r.in))
		for i, in := range r.in {
			var dims []any
			for d := range strings.FieldsSeq(in.dims) {
				dims = append(dims, d)
			}
			dtype := graph.F32
			if in.ints != nil {
				dtype = graph.I64
			} else if !in.flat {
				wrt = append(wrt, i)
			}
			v[i] = g.Input(fmt.Sprint("x", i), dtype, dims...)
		}
		var loss *graph.Value
		for i, y := range r.build(v) {
			if gradients {
				dims := make([]any, y.Rank())
				for j, d := range y.Shape() {
					dims[j] = d
				}
				part := graph.SumAll(graph.Mul(y, g.Input(fmt.Sprint("r", i), graph.F32, dims...)))
				if loss != nil {
					part = graph.Add(loss, part)
				}
				loss = part
			}
			g.Output(fmt.Sprint("y", i), y)
		}
		if gradients {
			values := make([]*graph.Value, len(wrt))
			for i, k := range wrt {
				values[i] = v[k]
			}
			for i, d := range graph.Gradients(loss, values...) {
				g.Output(fmt.Sprint("d", wrt[i]), d)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return g, wrt
}

func (r row) fill(m *machine) {
	for i, in := range r.in {
		x := m.in[fmt.Sprint("x", i)]
		switch {
		case in.ints != nil:
			copy(x.Int64(), in.ints)
		case in.real != nil:
			copy(x.Float32(), in.real)
		default:
			noise(uint64(i), x.Float32())
		}
	}
}

func (r row) test(t *testing.T) {
	name, _, _ := strings.Cut(r.op, " ")
	g, wrt := r.graph(t, false)
	m := load(t, g, ort.SessionOptions{Threads: threads})
	r.fill(m)
	results := func() (y []float64) {
		out := m.run()
		for i := range len(out) {
			y = append(y, out[fmt.Sprint("y", i)]...)
		}
		return y
	}
	x := make([][]float64, len(r.in))
	for i := range x {
		x[i] = floats(m.in[fmt.Sprint("x", i)])
	}
	y, want := results(), r.want(x)
	if len(y) != len(want) {
		t.Fatalf("%d elements, want %d", len(y), len(want))
	}
	for i := range y {
		if !(math.Abs(y[i]-want[i]) <= 2e-6*(1+math.Abs(want[i]))) { // a few float32 quanta, for sums of ten terms
			t.Fatalf("element %d is %v, want %v", i, y[i], want[i])
		}
	}
	if !graph.RuleKinds()[name] || len(wrt) == 0 {
		return
	}

	g, _ = r.graph(t, true)
	back := load(t, g, ort.SessionOptions{Threads: threads, Level: 1})
	r.fill(back)
	var weights []float64
	for i := range g.Outputs() {
		if x := back.in[fmt.Sprint("r", i)]; x != nil {
			noise(uint64(100+i), x.Float32())
			weights = append(weights, floats(x)...)
		}
	}
	loss := func() (sum float64) {
		for i, v := range results() {
			sum += v * weights[i]
		}
		return sum
	}
	gradients := back.run()
	worst := 0.0 // relative to the input's largest derivative
	for _, k := range wrt {
		got := gradients[fmt.Sprint("d", k)]
		largest := 0.0
		for _, d := range got {
			largest = max(largest, math.Abs(d))
		}
		if largest == 0 {
			t.Errorf("gradient of input %d is zero: the row tests nothing", k)
		}
		for i, v := range m.in[fmt.Sprint("x", k)].Float32() {
			at := func(h float32) float64 {
				m.in[fmt.Sprint("x", k)].Float32()[i] = v + h
				return loss()
			}
			numeric := (at(step) - at(-step)) / (float64(v+step) - float64(v-step))
			at(0)
			worst = max(worst, math.Abs(got[i]-numeric)/largest)
			if !(math.Abs(got[i]-numeric) <= tolerance*math.Abs(numeric)+floor*largest) {
				t.Fatalf("gradient of input %d, element %d, is %v, want %v by differences\n%s", k, i, got[i], numeric, g)
			}
		}
	}
	t.Logf("largest error %.1e of the input's largest derivative", worst)
}

// one wraps the single result of an operation.
func one(v *graph.Value) []*graph.Value { return []*graph.Value{v} }

func unary(op string, f func(*graph.Value) *graph.Value, want func(float64) float64) row {
	return row{op, []in{{dims: "N 5"}}, func(v []*graph.Value) []*graph.Value { return one(f(v[0])) }, each(want)}
}

// positive is unary on 0.2 to 2.
func positive(op string, f func(*graph.Value) *graph.Value, want func(float64) float64) row {
	r := unary(op, f, want)
	r.in[0].real = []float32{0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2}
	return r
}

func each(f func(float64) float64) func(x [][]float64) []float64 {
	return func(x [][]float64) (y []float64) {
		for _, v := range x[0] {
			y = append(y, f(v))
		}
		return y
	}
}

// binary tests a [N, 1, T] with b [4, 1]: both are stretched, and b has fewer dims.
func binary(op string, f func(a, b *graph.Value) *graph.Value, want func(a, b float64) float64) row {
	return row{op, []in{{dims: "N 1 T"}, {dims: "4 1"}},
		func(v []*graph.Value) []*graph.Value { return one(f(v[0], v[1])) },
		func(x [][]float64) (y []float64) {
			for n := range 2 {
				for i := range 4 {
					for t := range 3 {
						y = append(y, want(x[0][3*n+t], x[1][i]))
					}
				}
			}
			return y
		}}
}

// truth turns a comparison into numbers.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// product is A B for row-major A [m, k] and B [k, p], or their transposes as stored.
func product(a, b []float64, m, k, p int, ta, tb bool) []float64 {
	y := make([]float64, m*p)
	for i := range m {
		for j := range p {
			for l := range k {
				u, v := i*k+l, l*p+j
				if ta {
					u = l*m + i
				}
				if tb {
					v = j*k + l
				}
				y[i*p+j] += a[u] * b[v]
			}
		}
	}
	return y
}

func sum(x []float64) (s float64) {
	for _, v := range x {
		s += v
	}
	return s
}

// logSoftmax of one row.
func logSoftmax(x []float64) []float64 {
	total, most := 0.0, slices.Max(x)
	for _, v := range x {
		total += math.Exp(v - most)
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v - most - math.Log(total)
	}
	return y
}
