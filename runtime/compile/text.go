package compile

import (
	"fmt"

	"mixr/runtime/graph"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

// vision is the tower alone: features [M, D] of the merged patches of all pictures fed.
func (p *Program) vision(g *graph.Graph) {
	g.Output("features", p.Model.Tower(g, nn.NewParams(g)))
}

// text declares the inputs of rows of tokens and runs the decoder over them:
// ids [N, T], image_index [N, T] (row of features), is_image [N, T, 1], pos [N, T] (row of the angle tables), cos, sin [L, E/2],
// mask [N, 1, T, T] (additive, 0 = visible). It returns the final hidden states [N, T, D] and each layer's cache [N, K, T, E].
// A policy that reads text alone (features nil) has neither image_index nor is_image.
//
// What is scored is read in windows, see nn.Branches: in place of mask, index [W, Q], place [N*T] and branch_mask [W, 1, Q, Q]; of a
// prompt with its completions also stem [P] and seat [N*T], and branch_mask is [W, 1, Q, P+Q]. Then there is no cache.
func (p *Program) text(g *graph.Graph, params *nn.Params, features *graph.Value, windows bool) (*graph.Value, []decoder.KV) {
	return decoder.Text(params, p.Model.Decoder(), p.over(g, p.embed(g, params, features), windows))
}

// embed declares what text's embedding reads, ids and, for pictures, image_index and is_image. It returns the embeddings [N, T, D].
func (p *Program) embed(g *graph.Graph, params *nn.Params, features *graph.Value) *graph.Value {
	var imageIndex, isImage *graph.Value
	if features != nil {
		imageIndex, isImage = g.Input("image_index", graph.I64, "N", "T"), g.Input("is_image", graph.Bool, "N", "T", 1)
	}
	return decoder.Embed(params, p.Model.Decoder(), g.Input("ids", graph.I64, "N", "T"), features, imageIndex, isImage)
}

// over declares what every layer of text reads besides x [N, T, D].
func (p *Program) over(g *graph.Graph, x *graph.Value, windows bool) decoder.TextIn {
	half := p.Model.Decoder().HeadWidth / 2
	in := decoder.TextIn{
		Embeds: x,
		Pos:    g.Input("pos", graph.I64, "N", "T"),
		Cos:    g.Input("cos", graph.F32, "L", half),
		Sin:    g.Input("sin", graph.F32, "L", half),
	}
	if !windows {
		in.Mask = g.Input("mask", graph.F32, "N", 1, "T", "T")
		return in
	}
	keys := "Q"
	in.Branches = &nn.Branches{Index: g.Input("index", graph.I64, "W", "Q"), Place: g.Input("place", graph.I64, "N*T")}
	if p.Branches() {
		in.Branches.Stem, in.Branches.Seat = g.Input("stem", graph.I64, "P"), g.Input("seat", graph.I64, "N*T")
		keys = "P+Q"
	}
	in.Branches.Mask = g.Input("branch_mask", graph.F32, "W", 1, "Q", keys)
	return in
}

// featureInput declares the features of a tower that ran on its own; nil if the policy has none.
func (p *Program) featureInput(g *graph.Graph) *graph.Value {
	if !p.Sees() {
		return nil
	}
	return g.Input("features", graph.F32, "M", p.Model.Decoder().Width)
}

// prefill runs one prompt [1, T] and samples the first token of its G completions: uniforms u [G, 1], temperature [1],
// last [1] (index of the prompt's last token). Outputs next, logp [G], logits [1, V] and k.i, v.i [1, K, T, E].
func (p *Program) prefill(g *graph.Graph) {
	params := p.params(g)
	hidden, caches := p.text(g, params, p.featureInput(g), false)
	for i, kv := range caches {
		g.Output(fmt.Sprintf("k.%d", i), kv.K)
		g.Output(fmt.Sprintf("v.%d", i), kv.V)
	}
	last := graph.Gather(graph.Reshape(hidden, -1, p.Model.Decoder().Width), g.Input("last", graph.I64, 1)) // [1, D]
	p.sample(g, params, last, "G")
}

// decode feeds one token [R] to completions of several prompts; see decoder.Step. Outputs next, logp [R] and logits [R, V]; o.own_k.i and
// o.own_v.i are meant to be bound to the buffers of the inputs own_k.i and own_v.i.
func (p *Program) decode(g *graph.Graph) {
	params, c := p.params(g), p.Model.Decoder()
	in := decoder.StepIn{
		Token: g.Input("token", graph.I64, "R"),
		Pos:   g.Input("pos", graph.I64, "R", 1),
		Cos:   g.Input("cos", graph.F32, "P", c.HeadWidth/2),
		Sin:   g.Input("sin", graph.F32, "P", c.HeadWidth/2),
		At:    g.Input("at", graph.I64, "R"),
		Slot:  g.Input("slot", graph.I64, "P", "G"),
		Back:  g.Input("back", graph.I64, "R"),
		Seen:  g.Input("seen", graph.F32, "P", 1, 1, "S"),
		Mask:  g.Input("mask", graph.F32, 1, 1, 1, "C"),
	}
	for i := range c.Layers {
		kv := func(name, n, s string) *graph.Value {
			return g.Input(fmt.Sprintf("%s.%d", name, i), graph.F32, n, c.KVHeads, s, c.HeadWidth)
		}
		in.Prompt = append(in.Prompt, decoder.KV{K: kv("k", "P", "S"), V: kv("v", "P", "S")})
		in.Own = append(in.Own, decoder.KV{K: kv("own_k", "R", "C"), V: kv("own_v", "R", "C")})
	}
	hidden, own := decoder.Step(params, c, in)
	for i, kv := range own {
		g.Output(fmt.Sprintf("o.own_k.%d", i), kv.K)
		g.Output(fmt.Sprintf("o.own_v.%d", i), kv.V)
	}
	p.sample(g, params, hidden, "R")
}

// sample turns hidden states [R or 1, D] into the next tokens of the rows of u. rows is the symbol of their number. logits is for the host
// to draw from, where it does: an output that is not bound costs nothing.
func (p *Program) sample(g *graph.Graph, params *nn.Params, hidden *graph.Value, rows string) {
	head := decoder.Head(params, p.Model.Decoder())
	logits := graph.Transpose(graph.Columns(head, hidden, false), 1, 0) // [R or 1, V]
	token, logp := decoder.Sample(logits, g.Input("u", graph.F32, rows, 1), g.Input("temperature", graph.F32, 1))
	g.Output("next", token)
	g.Output("logp", logp)
	g.Output("logits", logits)
}
