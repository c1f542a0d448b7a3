package internvl

import (
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// projectorNormEps is fixed in the architecture: the projector's LayerNorm has torch's default.
const projectorNormEps = 1e-5

// Tower declares the input pixels [I, P, 3*14*14], I tiles in patches (see Picture), and returns the features [M, D]: the merged tokens
// of a tile in raster order, tile after tile.
func (c *Config) Tower(g *graph.Graph, p *nn.Params) *graph.Value {
	v := &c.Vision
	pixels := g.Input("pixels", graph.F32, "I", v.patches(), v.patchDim())
	x := tower(p.At("vision_tower"), v, pixels)
	return projector(p.At("multi_modal_projector"), c, shuffle(v, x))
}

// tower is InternViT (arXiv 2312.14238): a vision transformer whose patches see each other within a tile. pixels [I, P, 3*14*14].
// Returns [I, P, Dv]; the class token that stood before the patches is dropped.
func tower(p *nn.Params, v *Vision, pixels *graph.Value) *graph.Value {
	x := embed(p.At("embeddings"), v, pixels) // [I, 1+P, Dv]
	for i := range v.Layers {
		x = block(p.At("encoder.layer.%d", i), v, x)
	}
	if v.FinalNorm {
		x = nn.LayerNorm(p.At("layernorm"), x, v.Width, v.NormEps, nn.WithBias)
	}
	return graph.Slice(x, 1, 1, graph.End)
}

// embed projects patches, puts the class token before them and adds position embeddings. A convolution whose stride is its kernel is
// a matrix product of the patches.
func embed(p *nn.Params, v *Vision, pixels *graph.Value) *graph.Value {
	defer p.Scope()()
	class := p.Weight("cls_token", 1, 1, v.Width)
	x := nn.Linear(p.At("patch_embeddings.projection"), pixels, v.patchDim(), v.Width, nn.WithBias) // [I, P, Dv]
	x = graph.Concat(1, graph.Expand(class, graph.Slice(x, 1, 0, 1)), x)                            // [I, 1+P, Dv]
	return graph.Add(x, p.Weight("position_embeddings", 1, 1+v.patches(), v.Width))
}

// block is norm, attention, residual, norm, MLP, residual; each residual is scaled by a gain of its own. x [I, 1+P, Dv].
func block(p *nn.Params, v *Vision, x *graph.Value) *graph.Value {
	defer p.Scope()()
	norm := func(name string, x *graph.Value) *graph.Value {
		if v.RMS {
			return nn.RMSNorm(p.At("%s", name), x, v.Width, v.NormEps)
		}
		return nn.LayerNorm(p.At("%s", name), x, v.Width, v.NormEps, nn.WithBias)
	}
	h := attention(p.At("attention"), v, norm("layernorm_before", x))
	x = graph.Add(x, graph.Mul(h, p.Weight("lambda_1", v.Width)))
	h = nn.MLP(p.At("mlp"), norm("layernorm_after", x), v.Width, v.FeedForward, nn.ActivationNamed(v.Act), nn.WithBias)
	return graph.Add(x, graph.Mul(h, p.Weight("lambda_2", v.Width)))
}

// attention lets all tokens of a tile see each other. x [I, 1+P, Dv].
func attention(p *nn.Params, v *Vision, x *graph.Value) *graph.Value {
	heads := nn.Heads{Query: v.Heads, KV: v.Heads, Width: v.Width / v.Heads}
	part := func(name string, normed bool) *graph.Value {
		y := nn.Linear(p.At("%s_proj", name), x, v.Width, v.Width, nn.Bias(v.QKVBias))
		if normed {
			y = nn.RMSNorm(p.At("%s_norm", name), y, v.Width, v.QKNormEps)
		}
		return heads.Keys(y) // [I, H, 1+P, E]
	}
	q, k, values := part("q", v.QKNorm), part("k", v.QKNorm), part("v", false)
	o := heads.Merge(heads.Attend(q, k, values, nil)) // [I, 1+P, Dv]
	return nn.Linear(p.At("projection_layer"), o, v.Width, v.Width, nn.WithBias)
}

// shuffle joins the patches of each square of two by two, left to right and then top to bottom, by their features (pixel shuffle, order
// v2). x [I, P, Dv]. Returns [M, 4*Dv], the squares of a tile in raster order.
func shuffle(v *Vision, x *graph.Value) *graph.Value {
	squares := v.side() / mergeSide                                             // along a side
	x = graph.Reshape(x, -1, mergeSide, squares, mergeSide*v.Width)             // [I*squares, row in the square, squares, 2*Dv]
	return graph.Reshape(graph.Transpose(x, 0, 2, 1, 3), -1, mergeUnit*v.Width) // [M, 4*Dv]
}

// projector is LayerNorm and a two-layer MLP. x [M, 4*Dv]. Returns [M, D].
func projector(p *nn.Params, c *Config, x *graph.Value) *graph.Value {
	defer p.Scope()()
	unit, d := mergeUnit*c.Vision.Width, c.Text.Width
	x = nn.LayerNorm(p.At("layer_norm"), x, unit, projectorNormEps, nn.WithBias)
	x = nn.ActivationNamed(c.ProjectorAct)(nn.Linear(p.At("linear_1"), x, unit, d, nn.WithBias))
	return nn.Linear(p.At("linear_2"), x, d, d, nn.WithBias)
}
