package ort

// #include "complement.h"
import "C"

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unsafe"

	"mixr/runtime/graph"
)

// maxRank is the largest number of dimensions of a tensor here; mixr's graphs use five.
const maxRank = 8

// width is the size of one element in bytes; its keys are the element types that a tensor can have.
var width = map[graph.DType]int{graph.F32: 4, graph.I32: 4, graph.I64: 8, graph.Bool: 1, graph.F64: 8}

// Tensor is a dense row-major host array in ONNX Runtime's memory. The slices that its methods return are views: they are
// valid until Free and see what runs write. Binding a tensor keeps its memory alive inside the library, so freeing a bound
// tensor invalidates the views only.
//
// Reading the same tensor from several goroutines, or binding it as input in several concurrent runs, is safe; writing
// needs the usual care.
type Tensor struct {
	engine *Engine
	value  *C.OrtValue
	data   unsafe.Pointer
	dtype  graph.DType
	shape  []int
	count  int // elements
}

// NewTensor allocates a tensor filled with zeros. No dimensions make a scalar; a dimension may be 0.
func (e *Engine) NewTensor(t graph.DType, shape ...int) (*Tensor, error) {
	size, ok := width[t]
	if !ok {
		return nil, fmt.Errorf("ort: new tensor: element type %v is not supported", t)
	}
	if len(shape) > maxRank {
		return nil, fmt.Errorf("ort: new tensor %s: at most %d dimensions", describe(t, shape), maxRank)
	}
	dims := make([]C.int64_t, maxRank)
	count := 1
	for i, d := range shape {
		if d < 0 || d > 0 && count > math.MaxInt/size/d {
			return nil, fmt.Errorf("ort: new tensor %s: dimension %d is negative or the size overflows", describe(t, shape), i)
		}
		dims[i] = C.int64_t(d)
		count *= d
	}
	var value *C.OrtValue
	if err := check(C.mixr_value(C.int(t), &dims[0], C.size_t(len(shape)), &value)); err != nil {
		return nil, fmt.Errorf("ort: new tensor %s: %w", describe(t, shape), err)
	}
	x, err := e.adopt(value)
	if err != nil {
		return nil, fmt.Errorf("ort: new tensor %s: %w", describe(t, shape), err)
	}
	clear(unsafe.Slice((*byte)(x.data), count*size)) // the library does not clear what it allocates
	return x, nil
}

// View is a tensor of another shape over the first elements of t. It shares t's memory, which it does not keep alive: neither it nor a
// binding that holds it may be used after t.Free. The caller frees it as well.
func (t *Tensor) View(shape ...int) (*Tensor, error) {
	if t.value == nil {
		return nil, fmt.Errorf("ort: view of %s: the tensor was freed", t)
	}
	if len(shape) > maxRank {
		return nil, fmt.Errorf("ort: view of %s: at most %d dimensions, got %d", t, maxRank, len(shape))
	}
	dims, count := make([]C.int64_t, maxRank), 1
	for i, d := range shape {
		if d < 0 || d > 0 && count > t.count/d {
			return nil, fmt.Errorf("ort: view of %s: the tensor is smaller than %v", t, shape)
		}
		dims[i] = C.int64_t(d)
		count *= d
	}
	var value *C.OrtValue
	bytes := C.size_t(count * width[t.dtype])
	if err := check(C.mixr_view(C.int(t.dtype), t.data, bytes, &dims[0], C.size_t(len(shape)), &value)); err != nil {
		return nil, fmt.Errorf("ort: view of %s: %w", t, err)
	}
	return t.engine.adopt(value)
}

// adopt makes a tensor of a value of the library and releases the value if it cannot.
func (e *Engine) adopt(value *C.OrtValue) (*Tensor, error) {
	var dtype C.int
	var dims [maxRank]C.int64_t
	var rank C.size_t
	x := &Tensor{engine: e, value: value, count: 1}
	if err := check(C.mixr_value_info(value, &dtype, &dims[0], maxRank, &rank, &x.data)); err != nil {
		C.mixr_release_value(value)
		return nil, err
	}
	x.dtype = graph.DType(dtype)
	if _, ok := width[x.dtype]; !ok {
		C.mixr_release_value(value)
		return nil, fmt.Errorf("element type %v is not supported", x.dtype)
	}
	for _, d := range dims[:rank] {
		x.shape = append(x.shape, int(d))
		x.count *= int(d)
	}
	e.tensors.Add(1)
	return x, nil
}

// DType is the element type.
func (t *Tensor) DType() graph.DType { return t.dtype }

// Shape is a copy of the dimensions; a scalar has none.
func (t *Tensor) Shape() []int { return slices.Clone(t.shape) }

// Len is the number of elements.
func (t *Tensor) Len() int { return t.count }

// Float32 is the view of an F32 tensor; another type panics.
func (t *Tensor) Float32() []float32 { return view[float32](t, graph.F32) }

// Float64 is the view of an F64 tensor; another type panics.
func (t *Tensor) Float64() []float64 { return view[float64](t, graph.F64) }

// Int64 is the view of an I64 tensor; another type panics.
func (t *Tensor) Int64() []int64 { return view[int64](t, graph.I64) }

// Int32 is the view of an I32 tensor; another type panics.
func (t *Tensor) Int32() []int32 { return view[int32](t, graph.I32) }

// Bool is the view of a Bool tensor; another type panics.
func (t *Tensor) Bool() []bool { return view[bool](t, graph.Bool) }

func view[T any](t *Tensor, want graph.DType) []T {
	if t.value == nil {
		panic(fmt.Sprintf("ort: tensor %s used after Free", t))
	}
	if t.dtype != want {
		panic(fmt.Sprintf("ort: tensor %s viewed as %v", t, want))
	}
	return unsafe.Slice((*T)(t.data), t.count)
}

// String is the type and shape, such as "F32[2, 192]".
func (t *Tensor) String() string { return describe(t.dtype, t.shape) }

// Free releases the memory. A second Free does nothing; a view taken before must not be used any more.
func (t *Tensor) Free() {
	if t == nil || t.value == nil {
		return
	}
	C.mixr_release_value(t.value)
	t.value, t.data = nil, nil
	t.engine.tensors.Add(-1)
}

func describe(t graph.DType, shape []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v[", t)
	for i, d := range shape {
		if i > 0 {
			b.WriteString(", ")
		}
		if d < 0 {
			b.WriteString("?") // a symbolic dimension
		} else {
			fmt.Fprint(&b, d)
		}
	}
	b.WriteString("]")
	return b.String()
}
