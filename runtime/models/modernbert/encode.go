package modernbert

import (
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// In is what the encoder reads; the host fills it (Config.Feed).
type In struct {
	IDs    *graph.Value // [N, T] int64
	Pos    *graph.Value // [N, T] int64, row of the angle tables
	Global Angles       // of the layers that see everything
	Local  Angles       // of the layers that see the window
	Mask   *graph.Value // [N, 1, 1, T] additive: 0 at tokens, nn.Hidden at padding
	Window *graph.Value // [1, 1, T, T] additive: 0 where a query of a local layer sees a key, nn.Hidden where it is too far
}

// Angles are rotary tables, each [L, E/2] with L >= T.
type Angles struct{ Cos, Sin *graph.Value }

// Encode returns the hidden states [N, T, D] after the final norm. Rows of padding hold numbers that mean nothing.
func Encode(p *nn.Params, c *Config, in In) *graph.Value {
	n, t := in.IDs.Dim(0), in.IDs.Dim(1)
	in.Pos.Want(n, t)
	in.Mask.Want(n, 1, 1, t)
	in.Window.Want(1, 1, t, t)

	near := graph.Add(in.Mask, in.Window)                                                              // [N, 1, T, T]
	x := graph.Gather(p.Weight("embeddings.tok_embeddings.weight", c.VocabSize, c.HiddenSize), in.IDs) // [N, T, D]
	x = norm(p.At("embeddings.norm"), c, x)
	for i, local := range c.Local {
		angles, mask := in.Global, in.Mask
		if local {
			angles, mask = in.Local, near
		}
		x = layer(p.At("layers.%d", i), c, i == 0, x, in.Pos, angles, mask)
	}
	return norm(p.At("final_norm"), c, x)
}

// layer is norm, attention, residual, norm, MLP, residual. The first layer has no norm before its attention, since the embeddings are
// normalised. x [N, T, D].
func layer(p *nn.Params, c *Config, first bool, x, pos *graph.Value, angles Angles, mask *graph.Value) *graph.Value {
	defer p.Scope()()
	h := x
	if !first {
		h = norm(p.At("attn_norm"), c, x)
	}
	x = graph.Add(x, attention(p.At("attn"), c, h, pos, angles, mask))
	return graph.Add(x, geglu(p.At("mlp"), c, norm(p.At("mlp_norm"), c, x)))
}

// attention projects to queries, keys and values in one product and rotates the first two. x [N, T, D].
func attention(p *nn.Params, c *Config, x, pos *graph.Value, angles Angles, mask *graph.Value) *graph.Value {
	d, heads := c.HiddenSize, c.heads()
	qkv := nn.Linear(p.At("Wqkv"), x, d, 3*d, c.AttentionBias) // [N, T, 3*D]
	part := func(i int) *graph.Value { return graph.Slice(qkv, -1, i*d, (i+1)*d) }
	rotate := func(x *graph.Value) *graph.Value { return graph.RoPE(x, pos, angles.Cos, angles.Sin, heads.Query) }
	o := heads.Attend(heads.Keys(rotate(part(0))), heads.Keys(rotate(part(1))), heads.Keys(part(2)), mask) // [N, H, T, E]
	return nn.Linear(p.At("Wo"), heads.Merge(o), d, d, c.AttentionBias)
}

// geglu is the gated MLP Wo(act(a) * b) with a and b from one product (arXiv 2002.05202). x [N, T, D].
func geglu(p *nn.Params, c *Config, x *graph.Value) *graph.Value {
	d, f := c.HiddenSize, c.IntermediateSize
	ab := nn.Linear(p.At("Wi"), x, d, 2*f, c.MLPBias) // [N, T, 2*F]
	a, b := graph.Slice(ab, -1, 0, f), graph.Slice(ab, -1, f, 2*f)
	return nn.Linear(p.At("Wo"), graph.Mul(nn.ActivationNamed(c.Activation)(a), b), f, d, c.MLPBias)
}

func norm(p *nn.Params, c *Config, x *graph.Value) *graph.Value {
	return nn.LayerNorm(p, x, c.HiddenSize, c.NormEps, c.NormBias)
}
