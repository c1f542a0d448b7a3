// Package modeltest compares the graphs of small models with fixtures: it feeds the weights that the fixtures' scripts drew, and takes
// gradients of every parameter. Only tests import it.
package modeltest

import (
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/graph"
	"mixr/runtime/nn"
	"mixr/runtime/ort/orttest"
)

// Weights feeds all parameters with what fixture.Weight draws for them.
func Weights(specs []nn.Spec) map[string]orttest.Value {
	feeds := map[string]orttest.Value{}
	for _, s := range specs {
		feeds[s.Name] = orttest.F32(fixture.Weight(s.Name, s.Shape...), s.Shape...)
	}
	return feeds
}

// Gradients returns the gradient of sum(out * loss) by each parameter under its name, where build makes out from the inputs that feeds
// fills. loss has as many elements as out.
func Gradients(t testing.TB, specs []nn.Spec, feeds map[string]orttest.Value, loss []float32,
	build func(g *graph.Graph, p *nn.Params) (out *graph.Value)) map[string][]float32 {
	t.Helper()
	feeds["loss"] = orttest.F32(loss, len(loss))
	out := orttest.NewRunner(t, "gradient", func(g *graph.Graph) {
		p := nn.NewParams(g)
		out := graph.Reshape(build(g, p), -1)
		sum := graph.SumAll(graph.Mul(out, g.Input("loss", graph.F32, out.Dim(0))))
		wrt := make([]*graph.Value, len(specs))
		for i, s := range specs {
			wrt[i] = p.Weight(s.Name, s.Shape...)
		}
		for i, d := range graph.Gradients(sum, wrt...) {
			g.Output("d "+specs[i].Name, d)
		}
	}).Run(feeds)
	got := map[string][]float32{}
	for _, s := range specs {
		got[s.Name] = out["d "+s.Name].Floats()
	}
	return got
}

// Unpad returns the values of tokens, one after the other: of values [N, T, D] those where mask [N, T] is 0.
func Unpad(values, mask []float32) (tokens []float32) {
	d := len(values) / len(mask)
	for i, m := range mask {
		if m == 0 {
			tokens = append(tokens, values[i*d:][:d]...)
		}
	}
	return tokens
}

// Pad is the inverse of Unpad, with values of 0 where mask is not: tokens of d values each.
func Pad(tokens, mask []float32, d int) []float32 {
	values := make([]float32, len(mask)*d)
	for i, m := range mask {
		if m == 0 {
			copy(values[i*d:], tokens[:d])
			tokens = tokens[d:]
		}
	}
	return values
}
