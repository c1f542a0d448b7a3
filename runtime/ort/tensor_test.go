package ort_test

import (
	"math"
	"slices"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

func TestTensorTypes(t *testing.T) {
	e := orttest.Open(t)
	length := map[graph.DType]func(*ort.Tensor) int{
		graph.F32:  func(x *ort.Tensor) int { return len(x.Float32()) },
		graph.F64:  func(x *ort.Tensor) int { return len(x.Float64()) },
		graph.I64:  func(x *ort.Tensor) int { return len(x.Int64()) },
		graph.Bool: func(x *ort.Tensor) int { return len(x.Bool()) },
	}
	for dtype, n := range length {
		for _, shape := range [][]int{{}, {1}, {2, 3}, {4, 0, 5}, {1, 1, 1, 1, 1, 1, 1, 7}} {
			x := tensor(t, e, dtype, shape...)
			want := 1
			for _, d := range shape {
				want *= d
			}
			if x.DType() != dtype || !slices.Equal(x.Shape(), shape) || x.Len() != want || n(x) != want {
				t.Errorf("%v %v: got %s with %d elements", dtype, shape, x, n(x))
			}
			for other, view := range length {
				if other != dtype {
					wantPanic(t, func() { view(x) })
				}
			}
		}
	}
}

// TestTensorZero: the library hands out memory as it finds it, so garbage is put there first.
func TestTensorZero(t *testing.T) {
	e := orttest.Open(t)
	for range 20 {
		x, err := e.NewTensor(graph.F32, 1000)
		check(t, err)
		for i, v := range x.Float32() {
			if v != 0 {
				t.Fatalf("element %d is %v", i, v)
			}
			x.Float32()[i] = float32(math.NaN())
		}
		x.Free()
	}
}

func TestTensorErrors(t *testing.T) {
	e := orttest.Open(t)
	for _, c := range []struct {
		dtype graph.DType
		shape []int
		want  string
	}{
		{graph.F32, []int{2, -1}, "dimension 1"},
		{graph.F32, []int{1 << 40, 1 << 40}, "overflows"},
		{graph.F32, []int{1, 1, 1, 1, 1, 1, 1, 1, 1}, "at most 8"},
		{graph.DType(8), []int{1}, "not supported"}, // strings
		{graph.F32, []int{1 << 58}, "ort: new tensor"},
	} {
		_, err := e.NewTensor(c.dtype, c.shape...)
		wantError(t, err, c.want)
	}
	x := tensor(t, e, graph.F32, 2)
	x.Free()
	wantPanic(t, func() { x.Float32() })
	x.Shape()
	if x.String() != "float32[2]" {
		t.Errorf("a freed tensor is %s", x)
	}
}

func wantPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

// A view has the memory of its tensor in another shape, and may be freed before it.
func TestTensorView(t *testing.T) {
	e := orttest.Open(t)
	x := tensor(t, e, graph.F32, 4, 3)
	for i := range x.Float32() {
		x.Float32()[i] = float32(i)
	}
	v, err := x.View(3, 2)
	if err != nil {
		t.Fatal(err)
	}
	v.Float32()[5] = 50
	if got := x.Float32()[:7]; !slices.Equal(got, []float32{0, 1, 2, 3, 4, 50, 6}) || !slices.Equal(v.Shape(), []int{3, 2}) || v.Len() != 6 {
		t.Errorf("%v, %s", got, v)
	}
	v.Free()
	if x.Float32()[5] != 50 {
		t.Error("the tensor went with its view")
	}
	for _, shape := range [][]int{{13}, {4, 4}, {-1, 2}, {1, 1, 1, 1, 1, 1, 1, 1, 1}} {
		if _, err := x.View(shape...); err == nil {
			t.Errorf("a view %v of %s", shape, x)
		}
	}
	x.Free()
	if _, err := x.View(1); err == nil {
		t.Error("a view of a freed tensor")
	}
}
