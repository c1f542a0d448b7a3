package graph_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// sizes of the symbols in test graphs; all different, so that a mix-up of dims shows.
var sizes = map[string]int{"N": 2, "T": 3, "S": 5, "C": 4, "P": 7, "Q": 9, "G": 8, "D": 6, "W": 11}

// size evaluates a dim that is a sum of products.
func size(t *testing.T, d graph.Dim) (sum int) {
	for term := range strings.SplitSeq(strings.Trim(d.String(), "()"), "+") {
		product := 1
		for f := range strings.SplitSeq(term, "*") {
			v, ok := sizes[f]
			if !ok {
				var err error
				if v, err = strconv.Atoi(f); err != nil {
					t.Fatalf("no size for dim %v", d)
				}
			}
			product *= v
		}
		sum += product
	}
	return sum
}

// machine runs one graph again and again on inputs that tests change in place.
type machine struct {
	t       *testing.T
	g       *graph.Graph
	binding *ort.Binding
	in      map[string]*ort.Tensor
}

func load(t *testing.T, g *graph.Graph, o ort.SessionOptions) *machine {
	t.Helper()
	e := orttest.Open(t)
	s, err := e.NewSession(g, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, g)
	}
	t.Cleanup(func() { s.Close() })
	b, err := s.NewBinding()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	m := &machine{t, g, b, map[string]*ort.Tensor{}}
	for _, v := range g.Inputs() {
		shape := make([]int, v.Rank())
		for i, d := range v.Shape() {
			shape[i] = size(t, d)
		}
		x, err := e.NewTensor(v.DType(), shape...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(x.Free)
		m.in[v.Name()] = x
		if err := b.Input(v.Name(), x); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range g.Outputs() {
		if err := b.OutputAuto(o.Name); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// run returns the outputs, converted to float64.
func (m *machine) run() map[string][]float64 {
	m.t.Helper()
	if err := m.binding.Run(); err != nil {
		m.t.Fatalf("%v\n%s", err, m.g)
	}
	tensors, err := m.binding.Outputs()
	if err != nil {
		m.t.Fatal(err)
	}
	out := map[string][]float64{}
	for name, x := range tensors {
		out[name] = floats(x)
		x.Free()
	}
	return out
}

func floats(x *ort.Tensor) []float64 {
	v := make([]float64, x.Len())
	for i := range v {
		switch x.DType() {
		case graph.F32:
			v[i] = float64(x.Float32()[i])
		case graph.F64:
			v[i] = x.Float64()[i]
		case graph.I64:
			v[i] = float64(x.Int64()[i])
		case graph.I32:
			v[i] = float64(x.Int32()[i])
		case graph.Bool:
			if x.Bool()[i] {
				v[i] = 1
			}
		}
	}
	return v
}

// noise fills x with numbers of size 0.2 to 1.5 and either sign, in steps that keep any two apart, so that no
// difference quotient of the tests meets a kink or a tie.
func noise(seed uint64, x []float32) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for i, k := range rng.Perm(len(x)) {
		v := 0.2 + 1.3*(float64(k)+0.2*rng.Float64())/float64(len(x))
		x[i] = float32(math.Copysign(v, rng.Float64()-0.5))
	}
}
