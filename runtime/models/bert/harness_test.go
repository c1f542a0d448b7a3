package bert

import (
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/models/modeltest"
	"mixr/runtime/nn"
	"mixr/runtime/ort/orttest"
)

// encode declares what Encode reads; feed fills it.
func encode(g *graph.Graph, p *nn.Params, c *Config, types bool) *graph.Value {
	in := In{
		IDs:  g.Input("ids", graph.I64, "N", "T"),
		Pos:  g.Input("pos", graph.I64, "T"),
		Mask: g.Input("mask", graph.F32, "N", 1, 1, "T"),
	}
	if types {
		in.Types = g.Input("types", graph.I64, "N", "T")
	}
	return Encode(p, c, in)
}

func feed(f *Feed, feeds map[string]orttest.Value) {
	n, tokens := f.Texts, f.Tokens
	feeds["ids"], feeds["types"] = orttest.I64(f.IDs, n, tokens), orttest.I64(f.Types, n, tokens)
	feeds["pos"], feeds["mask"] = orttest.I64(f.Pos, tokens), orttest.F32(f.Mask, n, 1, 1, tokens)
}

// encoder runs encode on any number of batches.
type encoder struct {
	*orttest.Runner
	feeds map[string]orttest.Value // the parameters
}

func newEncoder(t *testing.T, c *Config, types bool, params map[string]orttest.Value) *encoder {
	t.Helper()
	return &encoder{orttest.NewRunner(t, "hidden", func(g *graph.Graph) {
		g.Output("hidden", encode(g, nn.NewParams(g), c, types))
	}), params}
}

// hidden are the hidden states of the texts' tokens, one after the other, without padding.
func (e *encoder) hidden(f *Feed) []float32 {
	feed(f, e.feeds)
	return modeltest.Unpad(e.Run(e.feeds)["hidden"].Floats(), f.Mask)
}
