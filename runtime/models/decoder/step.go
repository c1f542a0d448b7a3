package decoder

import (
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// StepIn is one step of R completions of P prompts, at most G of a prompt, that stand at the same place of their answers. Cache i belongs
// to layer i.
type StepIn struct {
	Token    *graph.Value // [R] int64, the token of each completion to feed
	Pos      *graph.Value // [R, 1] int64, row of the angle tables
	Cos, Sin *graph.Value // [L, E/2]
	At       *graph.Value // [R] int64, the place of the token in its own cache
	Slot     *graph.Value // [P, G] int64, the completions of each prompt as rows; where a prompt has fewer than G, any row
	Back     *graph.Value // [R] int64, where each completion stands in Slot, read as one row
	Prompt   []KV         // [P, K, S, E]: the prompts' caches, each read by all completions of its prompt
	Seen     *graph.Value // [P, 1, 1, S] additive over the prompt's cache: 0, and nn.Hidden where a shorter prompt has no token
	Own      []KV         // [R, K, C, E]: each completion's cache
	Mask     *graph.Value // [1, 1, 1, C] additive over the own caches: 0 up to and with At, nn.Hidden after
}

// want asserts the shapes of everything that is fed.
func (in StepIn) want(c *Config) {
	k, e := c.KVHeads, c.HeadWidth
	r, place, p, s := in.Token.Dim(0), in.Own[0].K.Dim(2), in.Prompt[0].K.Dim(0), in.Prompt[0].K.Dim(2)
	in.Token.Want(r)
	in.Pos.Want(r, 1)
	in.At.Want(r)
	in.Slot.Want(p, in.Slot.Dim(1))
	in.Back.Want(r)
	in.Seen.Want(p, 1, 1, s)
	in.Mask.Want(1, 1, 1, place)
	for i := range c.Layers {
		in.Prompt[i].K.Want(p, k, s, e)
		in.Prompt[i].V.Want(p, k, s, e)
		in.Own[i].K.Want(r, k, place, e)
		in.Own[i].V.Want(r, k, place, e)
	}
}

// Step feeds one token to each completion. It returns the hidden states [R, D] after the final norm and the own caches with
// the token's key and value at At, which may share the buffers of in.Own: the write is a scatter and all readers come after it.
//
// It is Text for few rows of one token each, where the time goes into reading the weights: products take them as they lie
// (nn.LinearOfFew), and states have two dims.
func Step(p *nn.Params, c *Config, in StepIn) (hidden *graph.Value, own []KV) {
	in.want(c)
	x := graph.Gather(embedding(p, c), in.Token) // [R, D]
	for i := range c.Layers {
		var kv KV
		x, kv = stepLayer(p.At("%slayers.%d", c.Prefix, i).Layer(i), c, x, in, i)
		own = append(own, kv)
	}
	return Norm(p, c, x), own
}

// stepLayer is layer i over the caches. x [R, D].
func stepLayer(p *nn.Params, c *Config, x *graph.Value, in StepIn, i int) (y *graph.Value, own KV) {
	defer p.Scope()()
	d, heads := c.Width, c.heads()
	queries, keys := heads.Query*heads.Width, heads.KV*heads.Width

	h := nn.RMSNorm(p.At("input_layernorm"), x, d, c.NormEps)
	q := nn.LinearOfFew(p.At("self_attn.q_proj"), h, d, queries, nn.Bias(c.QKVBias))
	k := nn.LinearOfFew(p.At("self_attn.k_proj"), h, d, keys, nn.Bias(c.QKVBias))
	v := nn.LinearOfFew(p.At("self_attn.v_proj"), h, d, keys, nn.Bias(c.QKVBias))
	rotate := func(x *graph.Value, heads int) *graph.Value { // [R, X] -> [R, 1, X]
		return graph.RoPE(graph.Reshape(x, 0, 1, -1), in.Pos, in.Cos, in.Sin, heads)
	}
	cell := func(x *graph.Value) *graph.Value { return graph.Reshape(x, 0, heads.KV, 1, heads.Width) } // [R, K, 1, E]
	own = KV{
		graph.TensorScatter(in.Own[i].K, cell(rotate(k, heads.KV)), in.At),
		graph.TensorScatter(in.Own[i].V, cell(v), in.At),
	}
	q = graph.Reshape(rotate(q, heads.Query), 0, heads.KV, heads.Group(), heads.Width) // [R, K, h, E]
	o := graph.Reshape(in.attend(heads, q, in.Prompt[i], own), 0, -1)                  // [R, H*E]
	x = graph.Add(x, nn.LinearOfFew(p.At("self_attn.o_proj"), o, queries, d, nn.Bias(c.OutBias)))

	h = nn.RMSNorm(p.At("post_attention_layernorm"), x, d, c.NormEps)
	return graph.Add(x, nn.SwiGLUOfFew(p.At("mlp"), h, d, c.FeedForward, nn.Bias(c.MLPBias))), own
}

// attend is attention of q [R, K, h, E] over the cache of the row's prompt, [P, K, S, E], followed by its own, [R, K, C, E].
// Returns [R, K, h, E].
//
// The two caches are never joined. With scores s and lse(s) = log sum exp(s), softmax over both parts is the softmax over each,
// weighted by its share of the mass: out = w*prompt + (1-w)*self, w = sigmoid(lse(s_prompt) - lse(s_self)).
func (in StepIn) attend(heads nn.Heads, q *graph.Value, shared, own KV) *graph.Value {
	// Against a shared cache the completions of its prompt are just more queries.
	fold := graph.Transpose(graph.Gather(q, in.Slot), 0, 2, 1, 3, 4) // [P, K, G, h, E]
	fold = graph.Reshape(fold, 0, 0, -1, heads.Width)                // [P, K, G*h, E]
	unfold := func(x *graph.Value, width ...any) *graph.Value {      // [P, K, G*h, width...] -> [R, K, h, width...]
		x = graph.Reshape(x, append([]any{0, 0, in.Slot.Dim(1), heads.Group()}, width...)...) // [P, K, G, h, width...]
		x = graph.Transpose(x, []int{0, 2, 1, 3, 4}[:4+len(width)]...)
		return graph.Gather(graph.Reshape(x, append([]any{-1, heads.KV, heads.Group()}, width...)...), in.Back)
	}
	onPrompt, prompt := over(fold, shared, in.Seen, heads)
	onSelf, self := over(q, own, in.Mask, heads)
	w := graph.Reshape(graph.Sigmoid(graph.Sub(unfold(onPrompt), onSelf)), 0, 0, 0, 1) // [R, K, h, 1]
	return graph.Add(self, graph.Mul(w, graph.Sub(unfold(prompt, heads.Width), self)))
}

// over is attention of q [N, K, Q, E] over one cache [N, K, S, E]: log sum exp of the scores [N, K, Q] and the values [N, K, Q, E].
//
// The softmax's largest element is e^max / sum e^s, so that the logarithm of the sum takes two maxima and not another pass of exponentials.
func over(q *graph.Value, cache KV, mask *graph.Value, heads nn.Heads) (mass, values *graph.Value) {
	scores := graph.Add(heads.Scores(q, cache.K), mask)
	p := graph.Softmax(scores)
	mass = graph.Sub(graph.ReduceMax(scores, 3), graph.Log(graph.ReduceMax(p, 3)))
	return mass, graph.MatMul(p, cache.V, false, false, 1)
}
