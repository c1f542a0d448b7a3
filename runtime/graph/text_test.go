package graph_test

import (
	"bytes"
	"testing"

	"mixr/runtime/graph"
)

// head is a small graph with symbols, a gradient, a constant of each kind, an unused value and an input that is an output.
func head(g *graph.Graph) {
	x := g.Input("x", graph.F32, "N", "T", 4)
	w := g.Input("out_proj.weight", graph.F32, 3, 4)
	graph.Exp(x) // nothing needs it
	y := graph.Linear(x, w, nil)
	loss := graph.SumAll(graph.Scale(y, 0.5))
	g.Output("loss", loss)
	g.Output("d.out_proj.weight", graph.Gradients(loss, w)[0])
	g.Output("copy", x)
}

const headText = `graph head
input x float32 [N, T, 4]
input out_proj.weight float32 [3, 4]
const const float32 [] = 0.5
const const_1 int64 [1] = -1
const const_2 int64 [1] = 0
const const_3 float32 [1] = 1
const const_4 int64 [2] = -1 3
const const_5 int64 [2] = -1 4
out_proj/FusedMatMul = FusedMatMul(x, out_proj.weight) {transA=0 transB=1 alpha=1} float32 [N, T, 3]
Scale/Mul = Mul(out_proj/FusedMatMul, const) float32 [N, T, 3]
SumAll/Reshape = Reshape(Scale/Mul, const_1) float32 [3*N*T]
loss = ReduceSum(SumAll/Reshape, const_2) {keepdims=1} float32 [1]
grad/loss/Shape = Shape(Scale/Mul) int64 [3]
grad/loss/Expand = Expand(const_3, grad/loss/Shape) float32 [N, T, 3]
grad/Scale/Mul/Mul = Mul(grad/loss/Expand, const) float32 [N, T, 3]
grad/out_proj/FusedMatMul/Reshape = Reshape(grad/Scale/Mul/Mul, const_4) float32 [N*T, 3]
grad/out_proj/FusedMatMul/Reshape_1 = Reshape(x, const_5) float32 [N*T, 4]
d.out_proj.weight = Gemm(grad/out_proj/FusedMatMul/Reshape, grad/out_proj/FusedMatMul/Reshape_1) {transA=1 transB=0 alpha=1} float32 [3, 4]
copy = Identity(x) float32 [N, T, 4]
output loss
output d.out_proj.weight
output copy
`

func TestText(t *testing.T) {
	g, err := graph.Build("head", head)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.String(); got != headText {
		t.Errorf("got\n%s\nwant\n%s", got, headText)
	}
}

func TestMarshalIsDeterministic(t *testing.T) {
	var first []byte
	for i := range 20 {
		g, err := graph.Build("head", head)
		if err != nil {
			t.Fatal(err)
		}
		b, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := g.Marshal()
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("a second Marshal of one graph differs (%v)", err)
		}
		if i == 0 {
			first = b
		} else if !bytes.Equal(b, first) {
			t.Fatal("equal graphs have different bytes")
		}
	}
}

// A name that the caller chose is kept; a node that had it gives way.
func TestOutputNames(t *testing.T) {
	g, err := graph.Build("names", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N")
		a := graph.Neg(x) // named Neg
		b := graph.Neg(a) // named Neg_1
		g.Output("Neg_1", a)
		g.Output("Neg", b)
		g.Output("also", b)
		defer g.Scope("layer/")()
		g.Output("y", graph.Exp(graph.Neg(b)))
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `graph names
input x float32 [N]
Neg_1 = Neg(x) float32 [N]
Neg = Neg(Neg_1) float32 [N]
also = Identity(Neg) float32 [N]
layer/Neg = Neg(Neg) float32 [N]
y = Exp(layer/Neg) float32 [N]
output Neg_1
output Neg
output also
output y
`
	if got := g.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
