package profile

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// traced writes a trace of one node a line: op, microseconds, shapes of inputs, shape of the output.
func traced(runs int, dur int, nodes ...string) string {
	var b strings.Builder
	b.WriteString("[\n" + `{"cat" : "Session","dur" :9,"name" :"session_initialization","args" : {}}`)
	for range runs {
		fmt.Fprintf(&b, ",\n%s", strings.Join(nodes, ",\n"))
		fmt.Fprintf(&b, ",\n"+`{"cat" : "Session","dur" :%d,"name" :"model_run","args" : {}}`, dur)
	}
	return b.String() + "\n]\n"
}

func nodeEvent(name, op string, us int, output string, inputs ...string) string {
	for i, in := range inputs {
		inputs[i] = `{"float":` + in + `}`
	}
	return fmt.Sprintf(`{"cat" : "Node","dur" :%d,"name" :"%s_kernel_time","args" : {"op_name" : "%s","input_type_shape" : [%s],"output_type_shape" : [{"float":%s}],"output_size" : "4"}}`,
		us, name, op, strings.Join(inputs, ","), output)
}

func TestReadTrace(t *testing.T) {
	one := []string{
		nodeEvent("l.0/up", "FusedMatMul", 40, "[8,1,1408]", "[8,1,512]", "[1408,512]"),
		nodeEvent("l.1/up", "FusedMatMul", 20, "[8,1,1408]", "[8,1,512]", "[1408,512]"),
		nodeEvent("l.0/scores", "MatMul", 10, "[1,2,4,48]", "[1,2,4,64]", "[1,2,48,64]"),
		nodeEvent("l.0/mul", "Mul", 5, "[1,8,512]", "[1,8,512]", "[]"),
		`{"cat" : "Node","dur" :1,"name" :"l.0/mul_fence_before","args" : {"op_name" : "Mul"}}`,
	}
	two := strings.ReplaceAll(traced(1, 100, one...), "48", "50") // another run, of other sizes
	text := strings.TrimSuffix(traced(1, 100, one...), "\n]\n") + "," + strings.TrimPrefix(two, "[\n")
	g, err := ReadTrace(strings.NewReader(text), "decode", 80e-6)
	if err != nil {
		t.Fatal(err)
	}
	if g.Name != "decode" || g.Runs != 2 || math.Abs(g.Slowdown-1.25) > 1e-9 || math.Abs(g.BetweenF-0.25) > 1e-9 {
		t.Errorf("graph %+v, want 2 runs that took 1.25 times as long, a quarter of it between operations", g)
	}
	// Flops of the linear layers: 2 * 8 * 512 * 1408 in 40 and in 20 µs; of the scores 2 * 2*4*64*48 (and 50) in 10.
	want := []Op{
		{Op: "FusedMatMul", Shape: "[8, 512] × [1408, 512]", Product: true, N: 2, F: 0.6, GFLOPS: 2 * 2 * 8 * 512 * 1408 / 60e-6 / 1e9},
		{Op: "MatMul", Shape: "[2, 4, 64] × [2, 48..50, 64]", Product: true, N: 1, F: 0.1, GFLOPS: 2 * 2 * 4 * 64 * 49 / 10e-6 / 1e9},
		{Op: "Mul", Shape: "[8, 512]", N: 1, F: 0.05},
	}
	if len(g.Ops) != len(want) {
		t.Fatalf("ops %+v, want %+v", g.Ops, want)
	}
	for i, w := range want {
		got := g.Ops[i]
		if got.Op != w.Op || got.Shape != w.Shape || got.Product != w.Product || got.N != w.N || math.Abs(got.F-w.F) > 1e-9 ||
			math.Abs(got.GFLOPS-w.GFLOPS) > 1e-6*w.GFLOPS {
			t.Errorf("op %d: got %+v, want %+v", i, got, w)
		}
	}
}

// TestFlops: either factor may be transposed, a batch may share one, and rows may come in several dimensions.
func TestFlops(t *testing.T) {
	for _, c := range []struct {
		name           string
		a, b, out      []int
		shape          string
		multiplyAndAdd int
	}{
		{"linear", []int{30, 512}, []int{1408, 512}, []int{30, 1408}, "[30, 512] × [1408, 512]", 30 * 512 * 1408},
		{"weight gradient", []int{30, 1408}, []int{30, 512}, []int{1408, 512}, "[30, 1408] × [30, 512]", 30 * 512 * 1408},
		{"rows in two dimensions", []int{5, 6, 512}, []int{512, 64}, []int{5, 6, 64}, "[30, 512] × [512, 64]", 30 * 512 * 64},
		{"batch", []int{2, 3, 7, 64}, []int{2, 3, 64, 9}, []int{2, 3, 7, 9}, "[2, 3, 7, 64] × [2, 3, 64, 9]", 6 * 7 * 64 * 9},
		{"transposed batch", []int{6, 64, 7}, []int{6, 9, 64}, []int{6, 7, 9}, "[6, 64, 7] × [6, 9, 64]", 6 * 7 * 64 * 9},
		{"shared factor", []int{8, 2, 4, 64}, []int{1, 2, 64, 9}, []int{8, 2, 4, 9}, "[8, 2, 4, 64] × [2, 64, 9]", 16 * 4 * 64 * 9},
		{"empty", []int{0, 512}, []int{1408, 512}, []int{0, 1408}, "[0, 512] × [1408, 512]", 0},
		{"vector", []int{512}, []int{512}, nil, "[512] × [512]", 0}, // not written by mixr
	} {
		shapes, flops := product(c.a, c.b, c.out)
		v := node{}
		for _, s := range shapes {
			var dims []span
			for _, d := range s {
				dims = append(dims, span{d, d})
			}
			v.dims = append(v.dims, dims)
		}
		if v.shape() != c.shape || flops != 2*float64(c.multiplyAndAdd) {
			t.Errorf("%s: %s with %g flops, want %s with %d", c.name, v.shape(), flops, c.shape, 2*c.multiplyAndAdd)
		}
	}
}

// Classes that hardly count are joined by operation, and no time is lost.
func TestReadTraceRest(t *testing.T) {
	var nodes []string
	for i := range 5 {
		nodes = append(nodes, nodeEvent(fmt.Sprint("n", i), "Add", 1, fmt.Sprintf("[%d]", 10+i)))
	}
	g, err := ReadTrace(strings.NewReader(traced(1, 10_000, append(nodes, nodeEvent("big", "Add", 9000, "[7]"))...)), "g", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Ops) != 2 || g.Ops[0].Shape != "[7]" || g.Ops[1].Shape != "other shapes" || g.Ops[1].N != 5 || math.Abs(g.Ops[1].F-5e-4) > 1e-12 || g.Slowdown != 0 {
		t.Errorf("graph %+v", g)
	}
}

func TestReadTraceBad(t *testing.T) {
	whole := traced(2, 10, nodeEvent("n", "Add", 1, "[10]"))
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "EOF"},
		{"another format", `{"traceEvents": []}`, "want a list"},
		{"cut", whole[:len(whole)-30], "unexpected EOF"},
		{"not closed", strings.TrimSuffix(whole, "]\n"), "EOF"},
		{"factor missing", traced(1, 10, nodeEvent("n", "MatMul", 1, "[10]", "[1]")), "node n: MatMul with 1 inputs"},
		{"wrong type", traced(1, 10, `{"cat": "Node", "dur": "long", "name": "n_kernel_time"}`), "Dur"},
	} {
		_, err := ReadTrace(strings.NewReader(c.text), "decode", 0)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "trace of decode") {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
	g, err := ReadTrace(strings.NewReader("[]"), "decode", 1)
	if err != nil || g.Runs != 0 || g.Ops != nil {
		t.Errorf("no events: got %+v, %v", g, err)
	}
}
