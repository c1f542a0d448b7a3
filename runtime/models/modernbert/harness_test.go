package modernbert

import (
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/models/modeltest"
	"mixr/runtime/nn"
	"mixr/runtime/ort/orttest"
)

// encode declares what Encode reads; feed fills it.
func encode(g *graph.Graph, p *nn.Params, c *Config) *graph.Value {
	angles := func(kind string) Angles {
		half := c.heads().Width / 2
		return Angles{g.Input(kind+"_cos", graph.F32, "T", half), g.Input(kind+"_sin", graph.F32, "T", half)}
	}
	return Encode(p, c, In{
		IDs:    g.Input("ids", graph.I64, "N", "T"),
		Pos:    g.Input("pos", graph.I64, "N", "T"),
		Global: angles("global"),
		Local:  angles("local"),
		Mask:   g.Input("mask", graph.F32, "N", 1, 1, "T"),
		Window: g.Input("window", graph.F32, 1, 1, "T", "T"),
	})
}

func feed(f *Feed, feeds map[string]orttest.Value) {
	n, tokens, half := f.Texts, f.Tokens, len(f.GlobalCos)/f.Tokens
	feeds["ids"], feeds["pos"] = orttest.I64(f.IDs, n, tokens), orttest.I64(f.Pos, n, tokens)
	feeds["global_cos"], feeds["global_sin"] = orttest.F32(f.GlobalCos, tokens, half), orttest.F32(f.GlobalSin, tokens, half)
	feeds["local_cos"], feeds["local_sin"] = orttest.F32(f.LocalCos, tokens, half), orttest.F32(f.LocalSin, tokens, half)
	feeds["mask"], feeds["window"] = orttest.F32(f.Mask, n, 1, 1, tokens), orttest.F32(f.Window, 1, 1, tokens, tokens)
}

// encoder runs encode on any number of batches.
type encoder struct {
	*orttest.Runner
	feeds map[string]orttest.Value // the parameters
}

func newEncoder(t *testing.T, c *Config, params map[string]orttest.Value) *encoder {
	t.Helper()
	return &encoder{orttest.NewRunner(t, "hidden", func(g *graph.Graph) {
		g.Output("hidden", encode(g, nn.NewParams(g), c))
	}), params}
}

// hidden are the hidden states of the texts' tokens, one after the other, without padding.
func (e *encoder) hidden(f *Feed) []float32 {
	feed(f, e.feeds)
	return modeltest.Unpad(e.Run(e.feeds)["hidden"].Floats(), f.Mask)
}
