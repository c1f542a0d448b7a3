package graph

import "fmt"

// DType is an element type, numbered as in ONNX.
type DType int32

const (
	F32  DType = 1
	I32  DType = 6
	I64  DType = 7
	Bool DType = 9
	F64  DType = 11
)

func (t DType) String() string {
	switch t {
	case F32:
		return "float32"
	case I32:
		return "int32"
	case I64:
		return "int64"
	case Bool:
		return "bool"
	case F64:
		return "float64"
	}
	return fmt.Sprintf("dtype(%d)", int32(t))
}

func (t DType) float() bool { return t == F32 || t == F64 }

// Value is a tensor of the graph: an input, a constant or the result of a node. Values belong to one graph.
type Value struct {
	g     *Graph
	name  string
	dtype DType
	shape Shape
	from  *node  // nil for inputs and constants
	raw   []byte // little-endian elements of a constant, else nil
}

// Name returns the name in the emitted model. Output may change it.
func (v *Value) Name() string { return v.name }

// Graph is the graph that the value belongs to.
func (v *Value) Graph() *Graph { return v.g }

// DType returns the element type.
func (v *Value) DType() DType { return v.dtype }

// Shape returns the dims; the caller must not change them.
func (v *Value) Shape() Shape { return v.shape }

// Rank returns the number of dims.
func (v *Value) Rank() int { return len(v.shape) }

// Dim returns the size of dim i; a negative i counts from the end.
func (v *Value) Dim(i int) Dim {
	at, ok := dimIndex(i, len(v.shape))
	if !ok {
		fail("Dim", []*Value{v}, here(), "no dim %d", i)
	}
	return v.shape[at]
}

// Want asserts the shape and returns v: dims are int, string or Dim, and -1 stands for any size.
func (v *Value) Want(dims ...any) *Value {
	want := make([]any, len(dims))
	for i, d := range dims {
		if want[i] = d; d == -1 && i < len(v.shape) {
			want[i] = v.shape[i]
		}
	}
	s, err := shapeOf(want)
	if err != nil {
		fail("Want", []*Value{v}, here(), "%v", err)
	}
	if !s.Equal(v.shape) {
		fail("Want", []*Value{v}, here(), "want %v", s)
	}
	return v
}
