package decoder

import (
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// StepIn is one step of the G completions of one prompt. Cache i belongs to layer i.
type StepIn struct {
	Token    *graph.Value // [G] int64, the token of each completion to feed
	Pos      *graph.Value // [G, 1] int64, row of the angle tables
	Cos, Sin *graph.Value // [L, E/2]
	At       *graph.Value // [G] int64, the place of the token in its own cache
	Prompt   []KV         // [1, K, S, E]: the prompt's cache, read by all completions, all of it visible
	Own      []KV         // [G, K, C, E]: each completion's cache
	Mask     *graph.Value // [G, 1, 1, C] additive over the own cache: 0 up to and with At, nn.Hidden after
}

// want asserts the shapes of everything that is fed.
func (in StepIn) want(c *Config) {
	k, e := c.KVHeads, c.HeadWidth
	g, s, place := in.Token.Dim(0), in.Prompt[0].K.Dim(2), in.Own[0].K.Dim(2)
	in.Token.Want(g)
	in.Pos.Want(g, 1)
	in.At.Want(g)
	in.Mask.Want(g, 1, 1, place)
	for i := range c.Layers {
		in.Prompt[i].K.Want(1, k, s, e)
		in.Prompt[i].V.Want(1, k, s, e)
		in.Own[i].K.Want(g, k, place, e)
		in.Own[i].V.Want(g, k, place, e)
	}
}

// Step feeds one token to each completion. It returns the hidden states [G, D] after the final norm and the own caches with
// the token's key and value at At, which may share the buffers of in.Own: the write is a scatter and all readers come after it.
//
// The prompt's cache is stored once for the group and its scores are one product for all completions.
func Step(p *nn.Params, c *Config, in StepIn) (hidden *graph.Value, own []KV) {
	heads := c.heads()
	in.want(c)
	x := graph.Gather(embedding(p, c), graph.Reshape(in.Token, -1, 1)) // [G, 1, D]
	for i := range c.Layers {
		x = layer(p.At("%slayers.%d", c.Prefix, i).Layer(i), c, x, in.Pos, in.Cos, in.Sin, func(q, k, v *graph.Value) *graph.Value {
			kv := KV{
				graph.TensorScatter(in.Own[i].K, heads.Keys(k), in.At),
				graph.TensorScatter(in.Own[i].V, heads.Keys(v), in.At),
			}
			own = append(own, kv)
			return heads.Merge(attendShared(heads, heads.Queries(q), in.Prompt[i], kv, in.Mask))
		})
	}
	return graph.Reshape(Norm(p, c, x), -1, c.Width), own
}

// attendShared is attention of q [G, K, h, E] over a cache shared by all rows, [1, K, S, E], followed by each row's own,
// [G, K, C, E] with mask [G, 1, 1, C]. Returns [G, K, h, E].
//
// The two caches are never joined. With scores s and lse(s) = log sum exp(s), softmax over both parts is the softmax over each,
// weighted by its share of the mass: out = w*prompt + (1-w)*self, w = sigmoid(lse(s_prompt) - lse(s_self)).
func attendShared(heads nn.Heads, q *graph.Value, shared, own KV, mask *graph.Value) *graph.Value {
	// Against the shared cache the rows of the group are just more queries.
	fold := func(x *graph.Value) *graph.Value { // [G, K, h, X] -> [1, K, G*h, X]
		return graph.Reshape(graph.Transpose(x, 1, 0, 2, 3), 1, heads.KV, -1, 0)
	}
	unfold := func(x *graph.Value) *graph.Value { // [1, K, G*h, X] -> [G, K, h, X]
		return graph.Transpose(graph.Reshape(x, heads.KV, -1, heads.Group(), 0), 1, 0, 2, 3)
	}
	onPrompt := heads.Scores(fold(q), shared.K)                                                           // [1, K, G*h, S]
	prompt := unfold(graph.MatMul(graph.Softmax(onPrompt), shared.V, false, false, 1))                    // [G, K, h, E]
	onSelf := graph.Add(heads.Scores(q, own.K), mask)                                                     // [G, K, h, C]
	self := graph.MatMul(graph.Softmax(onSelf), own.V, false, false, 1)                                   // [G, K, h, E]
	w := graph.Sigmoid(graph.Sub(unfold(graph.ReduceLogSumExp(onPrompt)), graph.ReduceLogSumExp(onSelf))) // [G, K, h, 1]
	return graph.Add(self, graph.Mul(w, graph.Sub(prompt, self)))
}
