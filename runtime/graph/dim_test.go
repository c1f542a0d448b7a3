package graph_test

import (
	"testing"

	"mixr/runtime/graph"
)

func dim(t *testing.T, s string) graph.Dim {
	t.Helper()
	d, err := graph.ParseDim(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParseDim(t *testing.T) {
	for in, want := range map[string]string{
		"192": "192", "0": "0", "N": "N", "image_rows": "image_rows",
		"T*N": "N*T", "2*N*3": "6*N", "N*N": "N*N", "0*N": "0",
		"S + C": "(C+S)", "(C+S)*N": "(C+S)*N", "N*(S+C)": "(C+S)*N",
		"N+N": "2*N", "1+T+2": "(3+T)", "((A+B)+C)": "(A+B+C)", "2*(A+B)": "2*(A+B)",
	} {
		if got := dim(t, in).String(); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	for _, bad := range []string{"", "-1", "N*", "*N", "N T*", "2N", "(N", "N)", "N/2", "99999999999999999999", "2147483649*N", "2147483648*2"} {
		if d, err := graph.ParseDim(bad); err == nil {
			t.Errorf("%q is accepted as %v", bad, d)
		}
	}
}

func TestDimAlgebra(t *testing.T) {
	n, tt := dim(t, "N"), dim(t, "T")
	for _, c := range []struct {
		got  graph.Dim
		want string
	}{
		{n.Times(tt), "N*T"},
		{tt.Times(n), "N*T"},
		{n.Times(graph.Const(3)).Times(graph.Const(2)), "6*N"},
		{n.Times(graph.Const(0)), "0"},
		{graph.Dim{}.Plus(n), "N"},
		{n.Plus(tt).Plus(n), "(2*N+T)"},
		{n.Plus(tt.Plus(graph.Const(1))), "(1+N+T)"},
		{n.Times(tt).Plus(tt.Times(n)), "2*N*T"},
		{n.Plus(tt).Times(n), "(N+T)*N"},
	} {
		if c.got != dim(t, c.want) || c.got.String() != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	if _, ok := n.Int(); ok {
		t.Error("a symbol has a size")
	}
	if v, ok := graph.Const(7).Int(); !ok || v != 7 {
		t.Error("a constant has no size")
	}
}

// Every text that ParseDim accepts is a fixed point after one round: canonical text means the same dim.
func FuzzParseDim(f *testing.F) {
	for _, s := range []string{"N", "2*N*T", "N*(C+S)", "(1+T)+N", "((A))", "0*A+B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := graph.ParseDim(s)
		if err != nil {
			return
		}
		e, err := graph.ParseDim(d.String())
		if err != nil || e != d {
			t.Errorf("%q is %q, which is read as %q (%v)", s, d, e, err)
		}
	})
}

// Shapes that operations infer from symbols alone.
func TestSymbolicShapes(t *testing.T) {
	g := graph.New("shapes")
	x := g.Input("x", graph.F32, "N", "T", 12)
	k := g.Input("k", graph.F32, "N", 3, "S", 4)
	own := g.Input("own", graph.F32, "N", 3, "C", 4)
	w := g.Input("w", graph.F32, 5, 12)
	ids := g.Input("ids", graph.I64, "N", "T")
	table := g.Input("table", graph.F32, "V", 12)
	for _, c := range []struct {
		got  *graph.Value
		want string
	}{
		{graph.Reshape(x, -1, 12), "[N*T, 12]"},
		{graph.Reshape(x, 0, 0, 3, -1), "[N, T, 3, 4]"},
		{graph.Reshape(x, 0, -1), "[N, 12*T]"},
		{graph.Reshape(x, "N", "T", 2, 6), "[N, T, 2, 6]"},
		{graph.Reshape(x, -1), "[12*N*T]"},
		{graph.Transpose(x, 2, 0, 1), "[12, N, T]"},
		{graph.Concat(-2, k, own), "[N, 3, (C+S), 4]"},
		{graph.Concat(2, k, k), "[N, 3, 2*S, 4]"},
		{graph.MatMul(k, own, false, true, 1), "[N, 3, S, C]"},
		{graph.Linear(x, w, nil), "[N, T, 5]"},
		{graph.Gather(table, ids), "[N, T, 12]"},
		{graph.Sum(x, 0, -1), "[T]"},
		{graph.ReduceLogSumExp(x), "[N, T, 1]"},
		{graph.SumAll(x), "[1]"},
		{graph.Add(x, g.Floats([]int{12}, make([]float32, 12)...)), "[N, T, 12]"},
		{graph.Slice(x, 1, -1, graph.End), "[N, 1, 12]"},
	} {
		if got := c.got.Shape().String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.got.Name(), got, c.want)
		}
	}
}
