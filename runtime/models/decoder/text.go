package decoder

import (
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// TextIn is what the decoder reads: N rows of T tokens. Which token sees which is the mask's business alone, so one row may be a
// prompt with several completions behind it (each sees the prompt and itself, positions restart); padding stands anywhere.
type TextIn struct {
	Embeds   *graph.Value // [N, T, D]
	Pos      *graph.Value // [N, T] int64, row of the angle tables
	Cos, Sin *graph.Value // [L, E/2], M-RoPE angles already chosen by section (Config.TextRope)
	Mask     *graph.Value // [N, 1, T, T] additive, 0 = visible, nn.Hidden = not

	Branches *nn.Branches // in place of Mask, where rows are read in windows, as a prompt with its completions; there is no cache then
}

// KV is the key and value cache of one layer, each [N, K, S, E], keys already rotated.
type KV struct{ K, V *graph.Value }

// Embed looks up token embeddings and puts image features where isImage is true. ids [N, T]; features [M, D], or nil for text
// alone; imageIndex [N, T] int64 is the row of features (any valid row where the token is text, so M is at least 1);
// isImage [N, T, 1] bool. Returns [N, T, D].
func Embed(p *nn.Params, c *Config, ids, features, imageIndex, isImage *graph.Value) *graph.Value {
	x := graph.Gather(embedding(p, c), ids) // [N, T, D]
	if features == nil {
		return x
	}
	return graph.Where(isImage, graph.Gather(features, imageIndex), x)
}

// Text is the decoder over whole rows. It returns the hidden states
// [N, T, D] after the final norm and the cache of each layer [N, K, T, E].
func Text(p *nn.Params, c *Config, in TextIn) (hidden *graph.Value, caches []KV) {
	mask := in.mask(c)
	x := in.Embeds
	for i := range c.Layers {
		var cache KV
		x, cache = textLayer(p, c, i, x, in, mask)
		caches = append(caches, cache)
	}
	return Norm(p, c, x), caches
}

// Layer is layer i of Text alone: in.Embeds is what the layer before it gave, [N, T, D], and so is the result.
func Layer(p *nn.Params, c *Config, i int, in TextIn) *graph.Value {
	x, _ := textLayer(p, c, i, in.Embeds, in, in.mask(c))
	return x
}

// mask asserts the shapes of everything that is fed, and repeats the mask for the heads of a group: [N, 1, h*T, T], or
// [W, 1, h*Q, P+Q].
func (in TextIn) mask(c *Config) *graph.Value {
	n, t := in.Embeds.Dim(0), in.Embeds.Dim(1)
	in.Embeds.Want(n, t, c.Width)
	in.Pos.Want(n, t)
	if b := in.Branches; b != nil {
		w, q, size := b.Index.Dim(0), b.Index.Dim(1), n.Times(t)
		b.Place.Want(size)
		keys := q
		if b.Stem != nil {
			b.Seat.Want(size)
			keys = b.Stem.Dim(0).Plus(q)
		}
		b.Mask.Want(w, 1, q, keys)
		return c.heads().Mask(b.Mask)
	}
	in.Mask.Want(n, 1, t, t)
	return c.heads().Mask(in.Mask)
}

func textLayer(p *nn.Params, c *Config, i int, x *graph.Value, in TextIn, mask *graph.Value) (y *graph.Value, cache KV) {
	heads := c.heads()
	y = layer(p.At("%slayers.%d", c.Prefix, i).Layer(i), c, x, in.Pos, in.Cos, in.Sin, func(q, k, v *graph.Value) *graph.Value {
		if in.Branches != nil {
			return in.Branches.Attend(heads, q, k, v, mask)
		}
		k, v = heads.Keys(k), heads.Keys(v) // [N, K, T, E]
		cache = KV{k, v}
		return heads.Merge(heads.Attend(heads.Queries(q), k, v, mask))
	})
	return y, cache
}

// layer is norm, attention, residual, norm, MLP, residual. x [N, T, D]. mix turns rotated queries [N, T, H*E], rotated keys and
// values [N, T, K*E] into what each token gathers, [N, T, H*E]; over whole rows and over a cache it differs, the rest does not.
func layer(p *nn.Params, c *Config, x, pos, cos, sin *graph.Value, mix func(q, k, v *graph.Value) *graph.Value) *graph.Value {
	defer p.Scope()()
	d, heads := c.Width, c.heads()
	queries, keys := heads.Query*heads.Width, heads.KV*heads.Width

	h := nn.RMSNorm(p.At("input_layernorm"), x, d, c.NormEps)
	q := nn.Linear(p.At("self_attn.q_proj"), h, d, queries, nn.Bias(c.QKVBias))
	k := nn.Linear(p.At("self_attn.k_proj"), h, d, keys, nn.Bias(c.QKVBias))
	v := nn.Linear(p.At("self_attn.v_proj"), h, d, keys, nn.Bias(c.QKVBias))
	q, k = graph.RoPE(q, pos, cos, sin, heads.Query), graph.RoPE(k, pos, cos, sin, heads.KV)
	x = graph.Add(x, nn.Linear(p.At("self_attn.o_proj"), mix(q, k, v), queries, d, nn.Bias(c.OutBias)))

	h = nn.RMSNorm(p.At("post_attention_layernorm"), x, d, c.NormEps)
	return graph.Add(x, nn.SwiGLU(p.At("mlp"), h, d, c.FeedForward, nn.Bias(c.MLPBias)))
}

// Norm is the norm that follows the last layer. x [..., D].
func Norm(p *nn.Params, c *Config, x *graph.Value) *graph.Value {
	return nn.RMSNorm(p.At("%snorm", c.Prefix), x, c.Width, c.NormEps)
}

// Head returns the matrix [V, D] that turns hidden states into logits: lm_head, or the token embedding where they are tied.
func Head(p *nn.Params, c *Config) *graph.Value {
	if c.Tied {
		return embedding(p, c)
	}
	return p.Weight(c.HeadName, c.Vocab, c.Width)
}

func embedding(p *nn.Params, c *Config) *graph.Value {
	return p.Weight(c.Embedding(), c.Vocab, c.Width)
}

// Declare adds the whole decoder to a graph for the sake of its parameters, in the order of the data flow.
func Declare(g *graph.Graph, p *nn.Params, c *Config) {
	Text(p, c, TextIn{
		Embeds: Embed(p, c, g.Input("ids", graph.I64, "N", "T"), nil, nil, nil),
		Pos:    g.Input("pos", graph.I64, "N", "T"),
		Cos:    g.Input("cos", graph.F32, "L", c.HeadWidth/2),
		Sin:    g.Input("sin", graph.F32, "L", c.HeadWidth/2),
		Mask:   g.Input("mask", graph.F32, "N", 1, "T", "T"),
	})
	Head(p, c)
}
