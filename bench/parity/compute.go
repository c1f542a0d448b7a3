package main

import (
	"fmt"
	"slices"
	"strings"

	"mixr/runtime/compile"
	"mixr/runtime/graph"
	"mixr/runtime/grpo"
	"mixr/runtime/models"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

// logitsGraph is pictures and rows of tokens to logits [N, T, V].
func logitsGraph(m models.Model) (*graph.Graph, error) {
	return graph.Build("logits", func(g *graph.Graph) {
		p, c := nn.NewParams(g), m.Decoder()
		features := m.Tower(g, p)
		var index, isImage *graph.Value
		if features != nil {
			index, isImage = g.Input("image_index", graph.I64, "N", "T"), g.Input("is_image", graph.Bool, "N", "T", 1)
		}
		hidden, _ := decoder.Text(p, c, decoder.TextIn{
			Embeds: decoder.Embed(p, c, g.Input("ids", graph.I64, "N", "T"), features, index, isImage),
			Pos:    g.Input("pos", graph.I64, "N", "T"),
			Cos:    g.Input("cos", graph.F32, "L", c.HeadWidth/2),
			Sin:    g.Input("sin", graph.F32, "L", c.HeadWidth/2),
			Mask:   g.Input("mask", graph.F32, "N", 1, "T", "T"),
		})
		g.Output("logits", graph.Linear(hidden, decoder.Head(p, c), nil))
	})
}

// logits of all prompts, in one batch of rows of different lengths.
func (r *run) logits() error {
	g, err := logitsGraph(r.model)
	if err != nil {
		return err
	}
	var placed []*models.Prompt
	var pictures []*models.Picture
	for _, p := range r.Prompts {
		placed, pictures = append(placed, p.placed), append(pictures, p.pictures...)
	}
	in := lay(r.model.Decoder(), placed, make([][][]int, len(placed)))
	in.pictures(r.model, pictures)
	out, err := r.run(g, in.feeds, r.weights)
	if err != nil {
		return err
	}
	defer out.free()
	all, vocab := out["logits"].Float32(), r.model.Decoder().Vocab
	longest := len(all) / vocab / len(placed)
	for i, p := range placed {
		r.write(fmt.Sprintf("logits.%d", i), all[i*longest*vocab:][:len(p.IDs)*vocab], len(p.IDs), vocab)
	}
	return nil
}

// greedy decodes behind each prompt with the graphs of the rollout: vision, prefill, and decode on a cache that is updated in place.
func (r *run) greedy(p *compile.Program) error {
	for i := range r.Prompts {
		chosen, err := r.decode(p, &r.Prompts[i])
		if err != nil {
			return fmt.Errorf("prompt %d: %w", i, err)
		}
		r.write(fmt.Sprintf("greedy.%d", i), chosen, len(chosen))
	}
	return nil
}

func (r *run) decode(p *compile.Program, prompt *prompt) (chosen []float32, err error) {
	c, places := r.model.Decoder(), r.Greedy
	in := lay(c, []*models.Prompt{prompt.placed}, make([][][]int, 1))
	in.set("last", []int64{int64(len(prompt.IDs) - 1)}, 1)
	in.set("u", []float32{0x1p-24}, 1, 1)
	in.set("temperature", []float32{1e-30}, 1) // greedy
	features := tensors{}
	if p.Vision != nil {
		in.pictures(r.model, prompt.pictures)
		if features, err = r.run(p.Vision, in.feeds, r.weights); err != nil {
			return nil, err
		}
		defer features.free()
	}
	cache, err := r.run(p.Prefill, in.feeds, r.weights, features)
	if err != nil {
		return nil, err
	}
	defer cache.free()
	own := tensors{}
	defer own.free()
	for i := range c.Layers {
		for _, name := range []string{"own_k", "own_v"} {
			if own[fmt.Sprintf("%s.%d", name, i)], err = r.engine.NewTensor(graph.F32, 1, c.KVHeads, places, c.HeadWidth); err != nil {
				return nil, err
			}
		}
	}
	next := cache["next"].Int64()[0]
	for at := range places {
		chosen = append(chosen, float32(next))
		if at == places-1 {
			break
		}
		mask := slices.Repeat([]float32{nn.Hidden}, places)
		clear(mask[:at+1])
		position := []int{prompt.placed.Next + at}
		cos, sin := c.Tables([3][]int{position, position, position})
		step := feeds{}
		step.set("token", []int64{next}, 1)
		step.set("pos", []int64{0}, 1, 1)
		step.set("cos", cos, 1, len(cos))
		step.set("sin", sin, 1, len(sin))
		step.set("at", []int64{int64(at)}, 1)
		step.set("mask", mask, 1, 1, 1, places)
		step.set("slot", []int64{0}, 1, 1)
		step.set("back", []int64{0}, 1)
		step.set("seen", make([]float32, len(prompt.IDs)), 1, 1, 1, len(prompt.IDs))
		step.set("u", []float32{0x1p-24}, 1, 1)
		step.set("temperature", []float32{1e-30}, 1)
		out, err := r.run(p.Decode, step, r.weights, cache, own)
		if err != nil {
			return nil, err
		}
		next = out["next"].Int64()[0]
		out.free()
	}
	return chosen, nil
}

// update is one GRPO update: gradients of each group, summed by the accumulate graph, and one step of the optimizer graph.
func (r *run) update(p *compile.Program) error {
	weights, err := r.testCase.weights(p.Variant)
	if err != nil {
		return err
	}
	state, gradients := tensors{}, tensors{} // m.NAME and v.NAME; acc.NAME, the sums
	defer state.free()
	defer gradients.free()
	for _, q := range p.Trainable() {
		for _, name := range []string{"m.", "v."} {
			if state[name+q.Name], err = r.engine.NewTensor(graph.F32, q.Shape...); err != nil {
				return err
			}
		}
		if gradients["acc."+q.Name], err = r.engine.NewTensor(graph.F32, q.Shape...); err != nil {
			return err
		}
	}
	loss := float32(0)
	for i, g := range r.Groups {
		n := len(g.Completions)
		one, err := r.gradient(p, i, grpo.Weights{Policy: weights.Policy[i*n:][:n], Entropy: weights.Entropy[min(i*n, len(weights.Entropy)):]})
		if err != nil {
			return fmt.Errorf("group %d: %w", i, err)
		}
		loss += one["loss"].Float32()[0]
		_, err = r.run(p.Accumulate, nil, one, gradients)
		one.free()
		if err != nil {
			return err
		}
	}
	r.write("loss", []float32{loss}, 1)
	for name, t := range gradients {
		base := strings.TrimPrefix(name, "acc.")
		r.write("g."+base, t.Float32(), t.Shape()...)
		state["g."+base] = t
	}
	defer func() { // they are freed as gradients
		for _, q := range p.Trainable() {
			delete(state, "g."+q.Name)
		}
	}()
	if !r.Step {
		return nil
	}
	out, err := r.run(p.Norm, nil, state)
	if err != nil {
		return err
	}
	norm := out["norm"].Float32()[0]
	out.free()
	in := feeds{}
	for name, v := range p.AdamW().Scalars(norm, 1, p.Rates(r.Optimizer.LearningRate)) {
		in.set(name, []float32{v}, 1)
	}
	out, err = r.run(p.Optimizer, in, r.weights, state)
	if err != nil {
		return err
	}
	out.free()
	for name, t := range r.weights {
		r.write("w."+name, t.Float32(), t.Shape()...)
	}
	return nil
}

// gradient runs the gradient graph on the i-th group, packed into one row, whose weights are the first of those given.
func (r *run) gradient(p *compile.Program, i int, w grpo.Weights) (tensors, error) {
	g := r.Groups[i]
	prompt := r.Prompts[g.Prompt]
	in := lay(r.model.Decoder(), []*models.Prompt{prompt.placed}, [][][]int{g.Completions})
	in.branch(len(prompt.placed.IDs), g.Completions)
	in.pictures(r.model, prompt.pictures)
	n := len(in.target)
	var advantage []float32
	for j, y := range g.Completions {
		advantage = append(advantage, slices.Repeat([]float32{g.Advantages[j]}, len(y))...)
	}
	in.set("select", in.selected, n)
	in.set("target", in.target, n)
	in.set("advantage", advantage, n)
	in.set("weight", float32s(w.Policy, n), n)
	if w.Entropy != nil {
		in.set("entropy_weight", float32s(w.Entropy, n), n)
	}
	mean, row := grpo.RowMeans(r.masks()[i])
	in.set("mean", mean, len(g.Completions), n)
	in.set("row", row, n)
	in.set("old", slices.Concat(g.Old...), n)
	in.set("ref", slices.Concat(g.Ref...), n)
	in.set("temperature", []float32{float32(r.Temperature)}, 1)
	return r.run(p.Gradient, in.feeds, r.weights)
}

// float32s are the first n values of rows, one row after the other.
func float32s(rows [][]float64, n int) (out []float32) {
	for _, x := range slices.Concat(rows...)[:n] {
		out = append(out, float32(x))
	}
	return out
}
