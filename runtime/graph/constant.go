package graph

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Floats returns a float32 constant of the given shape.
func (g *Graph) Floats(shape []int, data ...float32) *Value {
	raw := make([]byte, 0, 4*len(data))
	for _, x := range data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return g.constant(F32, shape, len(data), raw)
}

// Ints returns an int64 constant of the given shape.
func (g *Graph) Ints(shape []int, data ...int64) *Value {
	raw := make([]byte, 0, 8*len(data))
	for _, x := range data {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	return g.constant(I64, shape, len(data), raw)
}

// scalar returns a floating-point constant of one element; its shape is [] or, if ones are given, all 1.
func (g *Graph) scalar(t DType, f float64, ones ...int) *Value {
	if t == F64 {
		return g.constant(F64, ones, 1, binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)))
	}
	return g.Floats(ones, float32(f))
}

// ints returns a vector of int64, as ONNX takes shapes, axes and pads.
func (g *Graph) ints(v ...int) *Value {
	data := make([]int64, len(v))
	for i, x := range v {
		data[i] = int64(x)
	}
	return g.Ints([]int{len(v)}, data...)
}

// constant returns the constant of that content; equal constants are one value.
func (g *Graph) constant(t DType, shape []int, n int, raw []byte) *Value {
	s := constShape(shape)
	if size, _ := s.Size().Int(); size != n {
		fail("constant", nil, here(), "shape %v needs %d elements, got %d", s, size, n)
	}
	return g.get(once{what: fmt.Sprintf("const %v %v %x", t, s, raw)}, func() *Value {
		v := &Value{g: g, name: g.unique("const"), dtype: t, shape: s, raw: raw}
		g.consts = append(g.consts, v)
		return v
	})
}

// constInts returns the elements of a constant int64 vector.
func (v *Value) constInts() []int {
	ints := make([]int, len(v.raw)/8)
	for i := range ints {
		ints[i] = int(binary.LittleEndian.Uint64(v.raw[8*i:]))
	}
	return ints
}
