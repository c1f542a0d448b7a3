package bert

import (
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// In is what the encoder reads; the host fills it (Config.Feed).
type In struct {
	IDs   *graph.Value // [N, T] int64
	Types *graph.Value // [N, T] int64, 0 or 1 for the first or second text of a pair; nil: all 0
	Pos   *graph.Value // [T] int64, 0 to T-1
	Mask  *graph.Value // [N, 1, 1, T] additive: 0 at tokens, nn.Hidden at padding
}

// Encode returns the hidden states [N, T, D] after the last layer. Rows of padding hold numbers that mean nothing.
func Encode(p *nn.Params, c *Config, in In) *graph.Value {
	n, t := in.IDs.Dim(0), in.IDs.Dim(1)
	in.Pos.Want(t)
	in.Mask.Want(n, 1, 1, t)
	x := embed(p.At("embeddings"), c, in)
	for i := range c.NumLayers {
		x = layer(p.At("encoder.layer.%d", i), c, x, in.Mask)
	}
	return x
}

// embed is the sum of word, type and position embeddings, normalised: [N, T, D].
func embed(p *nn.Params, c *Config, in In) *graph.Value {
	defer p.Scope()()
	words := p.Weight("word_embeddings.weight", c.VocabSize, c.HiddenSize)
	positions := p.Weight("position_embeddings.weight", c.MaxPositions, c.HiddenSize)
	types := p.Weight("token_type_embeddings.weight", c.TypeVocabSize, c.HiddenSize)

	x := graph.Gather(words, in.IDs) // [N, T, D]
	if in.Types != nil {
		x = graph.Add(x, graph.Gather(types, in.Types.Want(in.IDs.Dim(0), in.IDs.Dim(1))))
	} else {
		x = graph.Add(x, graph.Slice(types, 0, 0, 1)) // [1, D], the same for every token
	}
	x = graph.Add(x, graph.Gather(positions, in.Pos)) // [T, D], the same for every text
	return norm(p, c, x)
}

// layer is attention, residual, norm, MLP, residual, norm: the norms stand behind the residuals. x [N, T, D].
func layer(p *nn.Params, c *Config, x, mask *graph.Value) *graph.Value {
	defer p.Scope()()
	d, f, heads := c.HiddenSize, c.IntermediateSize, c.heads()
	head := func(name string) *graph.Value { // [N, H, T, E]
		return heads.Keys(nn.Linear(p.At("attention.self.%s", name), x, d, d, nn.WithBias))
	}
	o := heads.Merge(heads.Attend(head("query"), head("key"), head("value"), mask)) // [N, T, D]
	o = nn.Linear(p.At("attention.output.dense"), o, d, d, nn.WithBias)
	x = norm(p.At("attention.output"), c, graph.Add(o, x))

	h := nn.ActivationNamed(c.HiddenAct)(nn.Linear(p.At("intermediate.dense"), x, d, f, nn.WithBias)) // [N, T, F]
	h = nn.Linear(p.At("output.dense"), h, f, d, nn.WithBias)
	return norm(p.At("output"), c, graph.Add(h, x))
}

func norm(p *nn.Params, c *Config, x *graph.Value) *graph.Value {
	return nn.LayerNorm(p.At("LayerNorm"), x, c.HiddenSize, c.LayerNormEps, nn.WithBias)
}
