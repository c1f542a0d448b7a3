package qwen25vl

import (
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// visionNormEps is fixed in the architecture: Qwen2_5_VLVisionBlock and PatchMerger of Hugging Face transformers pass 1e-6.
const visionNormEps = 1e-6

// VisionIn is what the vision tower reads; the host fills it (VisionFeed). P patches of all images, in merge-unit order: the
// MergeUnit patches of a unit stand together, units in raster order, images and steps of videos one after the other.
type VisionIn struct {
	Pixels   *graph.Value // [P, 1176], normalised, each patch as [channel, frame, row, column]
	Pos      *graph.Value // [1, P] int64, row of the angle tables
	Cos, Sin *graph.Value // [P, E/2]: first half by patch row, second half by patch column
	Window   Windows      // who attends to whom in most blocks
	Full     Windows      // in the blocks of FullAttBlocks: one window for each image or step of a video
}

// Windows arranges P patches in W windows of S places for attention. Patches see each other if they share a window.
//
// Places beyond a window's patches are padding: Index names any patch there. As keys they are hidden by the mask; as queries they
// are read by nobody, and graph.Permute gives places that Inverse does not name a gradient of 0, so that they change neither
// values nor gradients.
type Windows struct {
	Index   *graph.Value // [W, S] int64: patch at each place; any patch at a padded place
	Inverse *graph.Value // [P] int64: place of each patch
	Mask    *graph.Value // [W, 1, 1, S] additive: 0 at patches, nn.Hidden at padding
}

// Vision is the vision tower of Qwen2.5-VL (arXiv 2502.13923, section 2.1.1) and its merger: patches to features of the decoder's
// width, [M, D] with M = P / MergeUnit, in the order of the merge units. Declare P as "4*M" to have M as a symbol of its own.
//
// differs: Hugging Face reorders patches by window before the blocks and undoes it after the merger. Here patches keep their
// order and Windows say who sees whom; attention does not depend on the order of its keys, so the results are the same.
func Vision(p *nn.Params, c *Config, in VisionIn) *graph.Value {
	v := &c.Vision
	p = p.At("visual")
	patches, half := in.Pixels.Dim(0), v.HeadDim()/2
	in.Pixels.Want(patches, PatchDim)
	in.Pos.Want(1, patches)
	in.Cos.Want(patches, half)
	in.Sin.Want(patches, half)
	in.Window.want(patches)
	in.Full.want(patches)

	x := graph.Linear(in.Pixels, p.Weight("patch_embed.proj.weight", v.HiddenSize, PatchDim), nil) // [P, Dv]
	for i := range v.Depth {
		where := in.Window
		if v.Full(i) {
			where = in.Full
		}
		x = visionBlock(p.At("blocks.%d", i), c, in, where, x)
	}
	return merger(p.At("merger"), c, x)
}

// visionBlock is norm, attention, residual, norm, MLP, residual. x [P, Dv].
func visionBlock(p *nn.Params, c *Config, in VisionIn, where Windows, x *graph.Value) *graph.Value {
	defer p.Scope()()
	v := &c.Vision
	h := nn.RMSNorm(p.At("norm1"), x, v.HiddenSize, visionNormEps)
	x = graph.Add(x, visionAttention(p.At("attn"), c, in, where, h))
	h = nn.RMSNorm(p.At("norm2"), x, v.HiddenSize, visionNormEps)
	return graph.Add(x, nn.SwiGLU(p.At("mlp"), h, v.HiddenSize, v.IntermediateSize, nn.WithBias))
}

// visionAttention lets the patches of a window see each other. Angles belong to patches, so the rotation comes before the
// patches are arranged in windows. x [P, Dv].
func visionAttention(p *nn.Params, c *Config, in VisionIn, where Windows, x *graph.Value) *graph.Value {
	v := &c.Vision
	d, heads := v.HiddenSize, nn.Heads{Query: v.NumHeads, KV: v.NumHeads, Width: v.HeadDim()}

	qkv := nn.Linear(p.At("qkv"), x, d, 3*d, nn.WithBias) // [P, 3*Dv]
	part := func(i int) *graph.Value { return graph.Slice(qkv, 1, i*d, (i+1)*d) }
	rotate := func(x *graph.Value) *graph.Value {
		x = graph.RoPE(graph.Reshape(x, 1, -1, d), in.Pos, in.Cos, in.Sin, heads.Query) // [1, P, Dv]
		return graph.Reshape(x, -1, d)
	}
	q := heads.Keys(where.gather(rotate(part(0)))) // [W, H, S, E]
	k := heads.Keys(where.gather(rotate(part(1))))
	values := heads.Keys(where.gather(part(2)))
	o := heads.Merge(heads.Attend(q, k, values, where.Mask)) // [W, S, Dv]
	return nn.Linear(p.At("proj"), where.scatter(o), d, d, nn.WithBias)
}

// gather arranges rows [P, D] as [W, S, D].
func (w Windows) gather(x *graph.Value) *graph.Value { return graph.Permute(x, w.Index, w.Inverse) }

// scatter puts [W, S, D] back in the order of patches, [P, D].
func (w Windows) scatter(x *graph.Value) *graph.Value {
	return graph.Permute(graph.Reshape(x, -1, x.Dim(2)), w.Inverse, graph.Reshape(w.Index, -1))
}

// want asserts the shapes of a layout of that many patches.
func (w Windows) want(patches graph.Dim) {
	w.Index.Want(-1, -1)
	w.Inverse.Want(patches)
	w.Mask.Want(w.Index.Dim(0), 1, 1, w.Index.Dim(1))
}

// merger joins the patches of each merge unit: norm, concatenation, two-layer MLP with exact GELU. x [P, Dv]. Returns [M, D].
func merger(p *nn.Params, c *Config, x *graph.Value) *graph.Value {
	defer p.Scope()()
	v := &c.Vision
	unit := v.HiddenSize * MergeUnit
	x = nn.RMSNorm(p.At("ln_q"), x, v.HiddenSize, visionNormEps)
	x = graph.Reshape(x, -1, unit) // [M, 4*Dv]
	x = graph.GELU(nn.Linear(p.At("mlp.0"), x, unit, unit, nn.WithBias))
	return nn.Linear(p.At("mlp.2"), x, unit, v.OutHiddenSize, nn.WithBias) // [M, D]
}
