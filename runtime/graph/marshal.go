package graph

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The model is written field by field in the order of their numbers, so equal graphs give equal bytes. Field numbers
// are those of onnx.proto3 (github.com/onnx/onnx).

const (
	irVersion = 10 // newest that needs nothing of ours, accepted by ONNX Runtime since 1.18
	opset     = 24 // the first with TensorScatter
	msOpset   = 1
)

// Marshal verifies the graph and returns it as a serialised ONNX ModelProto, without nodes that no output needs. The
// same graph gives the same bytes.
func (g *Graph) Marshal() ([]byte, error) {
	if err := g.Verify(); err != nil {
		return nil, err
	}
	var m message
	m.varint(1, irVersion)
	m.text(2, "mixr") // producer_name
	m.bytes(7, g.marshalGraph())
	for _, o := range []struct {
		domain  string
		version int64
	}{{"", opset}, {ms, msOpset}} {
		var set message
		set.text(1, o.domain)
		set.varint(2, o.version)
		m.bytes(8, set)
	}
	return m, nil
}

func (g *Graph) marshalGraph() message {
	nodes, consts := g.live()
	var m message
	for _, n := range nodes {
		m.bytes(1, n.marshal())
	}
	m.text(2, g.name)
	for _, v := range consts {
		m.bytes(5, v.marshalConst())
	}
	for _, v := range g.inputs {
		m.bytes(11, v.marshalInfo())
	}
	for _, o := range g.outputs {
		m.bytes(12, o.Value.marshalInfo())
	}
	return m
}

// NodeProto.
func (n *node) marshal() message {
	var m message
	for _, v := range n.in {
		m.text(1, v.name)
	}
	for _, v := range n.out {
		m.text(2, v.name)
	}
	m.text(3, n.out[0].name)
	m.text(4, n.op)
	for _, a := range n.attrs {
		m.bytes(5, a.marshal())
	}
	if domain := onnxOps[n.op].domain; domain != "" {
		m.text(7, domain)
	}
	return m
}

// AttributeProto. Field 20, the type, is written even where the value is zero: readers go by it.
func (a attr) marshal() message {
	const typeFloat, typeInt, typeString, typeInts = 1, 2, 3, 7
	var m message
	m.text(1, a.name)
	switch v := a.value.(type) {
	case float64:
		m.float(2, float32(v))
		m.varint(20, typeFloat)
	case int:
		m.varint(3, int64(v))
		m.varint(20, typeInt)
	case string:
		m.text(4, v)
		m.varint(20, typeString)
	case []int:
		for _, x := range v {
			m.varint(8, int64(x))
		}
		m.varint(20, typeInts)
	default:
		panic(fmt.Sprintf("graph: attribute %s has type %T, which is never emitted", a.name, a.value))
	}
	return m
}

// TensorProto.
func (v *Value) marshalConst() message {
	var m message
	for _, d := range v.shape {
		m.varint(1, int64(d.n))
	}
	m.varint(2, int64(v.dtype))
	m.text(8, v.name)
	m.bytes(9, v.raw)
	return m
}

// ValueInfoProto: name and type; symbolic dims become dim_param.
func (v *Value) marshalInfo() message {
	var shape message
	for _, d := range v.shape {
		var dim message
		if n, ok := d.Int(); ok {
			dim.varint(1, int64(n))
		} else {
			dim.text(2, d.String())
		}
		shape.bytes(1, dim)
	}
	var tensor, typ, m message
	tensor.varint(1, int64(v.dtype))
	tensor.bytes(2, shape)
	typ.bytes(1, tensor)
	m.text(1, v.name)
	m.bytes(2, typ)
	return m
}

// message is a protobuf message under construction.
type message []byte

func (m *message) varint(field protowire.Number, v int64) {
	*m = protowire.AppendTag(*m, field, protowire.VarintType)
	*m = protowire.AppendVarint(*m, uint64(v))
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendTag(*m, field, protowire.Fixed32Type)
	*m = protowire.AppendFixed32(*m, math.Float32bits(v))
}

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendBytes(*m, v)
}

func (m *message) text(field protowire.Number, s string) { m.bytes(field, []byte(s)) }
