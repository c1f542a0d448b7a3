package compile

import (
	"fmt"
	"slices"
	"strings"

	"mixr/runtime/graph"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

// Layered is scoring and the gradient cut into parts, for policy.recompute: the caller runs them one after the other and keeps only
// the inputs of the decoder's layers, which one graph serves in turn. Every part reads the inputs of Program.Score and Program.Gradient
// that concern it; x [N, T, D] is what the part before it gave and y what it gives, d the gradient that arrives at y and dx the one
// that leaves at x. Parameters of a layer have the names of layer 0: see Program.InLayer.
type Layered struct {
	Embed *graph.Graph // ids and features -> y
	Layer *graph.Graph // x -> y
	Train *graph.Graph // Layer as a gradient runs it, where adapters drop inputs: dropout is [1, N, T]; nil where nothing is dropped
	Score *graph.Graph // x -> logp [C] of the selected tokens, and entropy; C may be any part of them, since no token's value depends on another's

	Head           *graph.Graph // Score with the loss: also drows [C, D], the gradient at the selected rows behind the norm, and the head's
	NormGradient   *graph.Graph // x, d -> dx and the norm's
	LayerGradient  *graph.Graph // x, d -> dx and the layer's
	EmbedGradient  *graph.Graph // d -> dfeatures and the embedding's, where they train; nil if neither does
	VisionGradient *graph.Graph // pictures, d [M, D] -> the tower's; nil if it is frozen
}

// HeadRows is the most tokens whose logits exist at a time in a layered pass. It is part of the numerics (sums over tokens are cut
// there), so it is no setting.
const HeadRows = 1024

// Graphs lists them in the order of use; none for nil.
func (l *Layered) Graphs() []*graph.Graph {
	if l == nil {
		return nil
	}
	all := []*graph.Graph{l.Embed, l.Layer, l.Train, l.Score, l.Head, l.NormGradient, l.LayerGradient, l.EmbedGradient, l.VisionGradient}
	return slices.DeleteFunc(all, func(g *graph.Graph) bool { return g == nil })
}

// InLayer is the name in layer i of a parameter that a graph of Layered knows by its name in layer 0, or the gradient of one. Names
// outside the layers stay as they are.
func (p *Program) InLayer(name string, i int) string {
	prefix, g := p.Model.Decoder().Prefix+"layers.", ""
	if rest, ok := strings.CutPrefix(name, "g."); ok {
		name, g = rest, "g."
	}
	if rest, ok := strings.CutPrefix(name, prefix+"0."); ok {
		return fmt.Sprintf("%s%s%d.%s", g, prefix, i, rest)
	}
	return g + name
}

// layered builds the parts.
func (p *Program) layered(objective objective) (*Layered, error) {
	l, c := &Layered{}, p.Model.Decoder()
	// trained declares the trainable ones among the parameters that a graph has by now, after x.
	trained := func(params *nn.Params, x ...*graph.Value) (wrt []*graph.Value, names []string) {
		wrt = x
		for _, s := range params.List() {
			if slices.ContainsFunc(p.Params, func(q Param) bool { return q.Name == s.Name && q.Trainable }) {
				wrt, names = append(wrt, params.Weight(s.Name, s.Shape...)), append(names, "g."+s.Name)
			}
		}
		return wrt, names
	}
	out := func(g *graph.Graph, names []string, values []*graph.Value) {
		for i, v := range values {
			g.Output(names[i], v)
		}
	}
	state := func(g *graph.Graph, name string) *graph.Value { return g.Input(name, graph.F32, "N", "T", c.Width) }
	embed := func(g *graph.Graph, params *nn.Params) (y, features *graph.Value) {
		features = p.featureInput(g)
		return p.embed(g, params, features), features
	}
	layer := func(g *graph.Graph, params *nn.Params) (x, y *graph.Value) {
		x = state(g, "x")
		return x, decoder.Layer(params, c, 0, p.over(g, x, true))
	}
	rows := func(g *graph.Graph, params *nn.Params) *graph.Value {
		y := decoder.Norm(params, c, state(g, "x"))                                           // of all rows: of the chosen ones alone it is not equal to the bit
		return graph.Gather(graph.Reshape(y, -1, c.Width), g.Input("select", graph.I64, "C")) // [C, D]
	}
	embedTrains := slices.ContainsFunc(p.Trainable(), func(q Param) bool { return q.Name == c.Embedding() })

	for _, s := range []struct {
		into  **graph.Graph
		name  string
		skip  bool
		build func(g *graph.Graph)
	}{
		{&l.Embed, "embed", false, func(g *graph.Graph) {
			y, _ := embed(g, p.params(g))
			g.Output("y", y)
		}},
		{&l.Layer, "layer", false, func(g *graph.Graph) {
			_, y := layer(g, p.params(g))
			g.Output("y", y)
		}},
		{&l.Train, "layer_dropout", !p.Drops(), func(g *graph.Graph) {
			_, y := layer(g, p.trained(g, 1))
			g.Output("y", y)
		}},
		{&l.Score, "score", p.Variant.Name == "", func(g *graph.Graph) {
			params := p.params(g)
			p.scores(g, p.scored(g, params, rows(g, params)))
		}},
		{&l.Head, "head", false, func(g *graph.Graph) {
			params := p.params(g)
			hidden := rows(g, params)
			head := nn.NewParams(g) // its own list: the norm's gain is not differentiated here
			h := p.scored(g, head, hidden)
			loss := p.losses(g, h, objective)
			wrt, names := trained(head, hidden)
			out(g, append([]string{"drows"}, names...), graph.Gradients(loss, wrt...))
		}},
		{&l.NormGradient, "norm_gradient", false, func(g *graph.Graph) {
			params, x := p.params(g), state(g, "x")
			y := decoder.Norm(params, c, x)
			wrt, names := trained(params, x)
			out(g, append([]string{"dx"}, names...), graph.Backward(y, state(g, "d"), wrt...))
		}},
		{&l.LayerGradient, "layer_gradient", false, func(g *graph.Graph) {
			params := p.trained(g, 1)
			x, y := layer(g, params)
			wrt, names := trained(params, x)
			out(g, append([]string{"dx"}, names...), graph.Backward(y, state(g, "d"), wrt...))
		}},
		{&l.EmbedGradient, "embed_gradient", !embedTrains && !p.TrainsVision, func(g *graph.Graph) {
			params := p.params(g)
			y, features := embed(g, params)
			wrt, names := trained(params)
			if p.TrainsVision {
				wrt, names = append(wrt, features), append(names, "dfeatures")
			}
			out(g, names, graph.Backward(y, state(g, "d"), wrt...))
		}},
		{&l.VisionGradient, "vision_gradient", !p.TrainsVision, func(g *graph.Graph) {
			params := p.params(g)
			features := p.Model.Tower(g, params)
			wrt, names := trained(params)
			out(g, names, graph.Backward(features, g.Input("d", graph.F32, "M", c.Width), wrt...))
		}},
	} {
		if s.skip {
			continue
		}
		var err error
		if *s.into, err = graph.Build(s.name, s.build); err != nil {
			return nil, fmt.Errorf("compile %s: %w", s.name, err)
		}
	}
	return l, nil
}
