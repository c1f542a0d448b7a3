package compile

import (
	"fmt"
	"slices"
	"strings"

	"mixr/runtime/graph"
	"mixr/runtime/models"
)

// Sizes are the largest that a trial meets, and how much of it is computed at once.
type Sizes struct {
	Prompt     int               // tokens of a prompt, those of its pictures included
	Pictures   []*models.Picture // of that prompt
	Completion int               // sampled tokens, as max_completion_tokens allows; 0 where nothing is sampled
	Group      int               // completions of a prompt
	Beside     int               // prompts whose completions are sampled side by side; 0 = 1
	Units      int               // units of an update: prompt groups, or some examples
	Workers    int               // units computed at once
	InFlight   int               // units whose gradients may exist at once

	// Of a unit of stage sft.
	Examples int // with the pictures of Prompt
	Tokens   int // of all of them
	Targets  int // of these, that are learned
	Longest  int // tokens of an example
	Windows  int // that its examples stand in, see nn.Branches

	KeepsEmbedding bool // a reward reads the embedding as it was before training
}

// Part is memory for one purpose.
type Part struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	What  string `json:"what"` // for a reader
}

// Memory is what a process takes that runs a trial, by purpose.
type Memory []Part

// ProgramPart is the name of the part that stays on the host where tensors are on a device.
const ProgramPart = "program"

// Total is the sum, in bytes.
func (m Memory) Total() int64 {
	sum := int64(0)
	for _, p := range m {
		sum += p.Bytes
	}
	return sum
}

// What a process takes besides, measured with ONNX Runtime 1.30 on Linux: for code that has run and Go's heap, and for sessions.
const (
	bytesOfLibrary = 95e6
	bytesPerNode   = 9e3
)

// By what factors the arena grows beyond that of a walk, as measured: for what the library does to graphs, and where several workers
// take turns layer by layer, so that their blocks lie in between each other's.
const (
	unforeseen  = 1.05
	interleaved = 1.02
)

// Memory estimates what the trial takes where it runs: the tensors that live as long as it does, and what ONNX Runtime's arena grows to
// over the phases of a step, one after the other, with all sizes at their largest.
func (p *Program) Memory(s Sizes) (Memory, error) {
	var m Memory
	add := func(name string, bytes int64, what string, args ...any) {
		if bytes > 0 {
			m = append(m, Part{name, bytes, fmt.Sprintf(what, args...)})
		}
	}
	trained := size(p.Trainable())
	lanes, held := max(1, min(s.Workers, s.Units)), max(1, min(s.InFlight, s.Units))
	add("weights", size(p.Params), "%.4g million parameters in float32", float64(size(p.Params))/4e6)
	if p.HasReference {
		add("reference", trained, "the trained weights as they were, for the KL term")
	}
	if embedding := p.embedding(); s.KeepsEmbedding && embedding.Trainable && (!p.HasReference || p.MovingReference) {
		add("embedding", size([]Param{embedding}), "the embedding as it was, for rewards.bmas")
	}
	add("moments", 2*trained, "of AdamW, of %.4g million trained parameters", float64(trained)/4e6)
	add("gradient", trained, "summed over the units of an update")

	w := walk{program: p, Sizes: s, sets: (held + lanes - 1) / lanes}
	w.steps()
	if w.err != nil {
		return nil, fmt.Errorf("memory: %w", w.err)
	}
	for _, phase := range w.phases {
		bytes := int64(lanes) * phase.Bytes
		if phase.Name == "gradient pass" { // every lane has counted as many units as the one that has most
			bytes -= int64(w.sets*lanes-held) * trained
		}
		add(phase.Name, bytes, "%s, on %d workers", phase.What, lanes)
	}
	nodes := 0
	for _, g := range p.Graphs() {
		nodes += g.Nodes()
	}
	add(ProgramPart, bytesOfLibrary+int64(nodes)*bytesPerNode, "ONNX Runtime and sessions of %d nodes", nodes)
	return m, nil
}

// embedding is the decoder's token embedding.
func (p *Program) embedding() Param {
	name := p.Model.Decoder().Embedding()
	return p.Params[slices.IndexFunc(p.Params, func(q Param) bool { return q.Name == name })]
}

func size(params []Param) (bytes int64) {
	for _, q := range params {
		bytes += 4 * int64(q.Size())
	}
	return bytes
}

// walk follows a step of one lane through the arena.
type walk struct {
	Sizes
	program *Program
	arena   graph.Arena
	sets    int    // units whose gradients exist at once, of one lane
	inputs  int64  // what the host feeds in the phase at work
	phases  []Part // what each adds to what is there already
	err     error
}

// phase notes by how much the arena has grown since the phase before, and what the host has fed.
func (w *walk) phase(name, what string) {
	factor := unforeseen
	if w.program.Layered != nil && w.Workers > 1 {
		factor = interleaved
	}
	bytes := w.inputs + int64(factor*float64(w.arena.Total()))
	for _, p := range w.phases {
		bytes -= p.Bytes
	}
	w.phases = append(w.phases, Part{name, max(bytes, 0), what})
}

// run is one run of a graph; nil runs nothing.
func (w *walk) run(g *graph.Graph, sizes map[string]int) graph.Held {
	if g == nil || w.err != nil {
		return nil
	}
	held, err := w.arena.Run(g, sizes, func(output string) bool { return strings.HasPrefix(output, "o.") })
	w.err = err
	return held
}

// feed counts what the host keeps for a graph: the inputs whose sizes are open. A binding keeps its last ones. Those of past runs of the
// names in but are other graphs' results.
func (w *walk) feed(g *graph.Graph, sizes map[string]int, but ...string) {
	if g == nil || w.err != nil {
		return
	}
	for _, in := range g.Inputs() {
		if _, fixed := in.Shape().Ints(); fixed || slices.ContainsFunc(but, func(name string) bool { return strings.HasPrefix(in.Name(), name) }) {
			continue
		}
		bytes, err := in.Bytes(sizes)
		if err != nil {
			w.err = err
			return
		}
		w.inputs += 2 * bytes // what the host laid out, and the tensor that it was copied to
	}
}

// hold counts inputs of these names as tensors of the host.
func (w *walk) hold(g *graph.Graph, sizes map[string]int, names ...string) {
	for _, in := range g.Inputs() {
		if w.err != nil || !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(in.Name(), name) }) {
			continue
		}
		var bytes int64
		bytes, w.err = in.Bytes(sizes)
		w.inputs += bytes
	}
}

func (w *walk) steps() {
	p := w.program
	prompt := w.symbols(w.Prompt, 1)
	beside := max(w.Beside, 1)
	prompt["G"], prompt["C"], prompt["S"] = w.Group, w.Completion, w.Prompt
	prompt["P"], prompt["R"] = beside, beside*w.Group
	features := w.run(p.Vision, prompt)
	w.feed(p.Vision, prompt)
	if w.Completion > 0 {
		cache := w.run(p.Prefill, prompt)
		w.feed(p.Prefill, prompt, "features")
		w.arena.Release(w.run(p.Decode, prompt))
		w.feed(p.Decode, prompt, "k.", "v.", "own_")
		w.hold(p.Decode, prompt, "own_")
		if beside > 1 { // the caches of several prompts are copied side by side
			w.hold(p.Decode, prompt, "k.", "v.")
		}
		w.arena.Release(cache)
		w.phase("rollout", fmt.Sprintf("%d completions of %d prompts and their caches", beside*w.Group, beside))
	}
	w.arena.Release(features)

	tokens, selected, examples, places, windows := w.Tokens, w.Targets, w.Examples, w.Longest, w.Windows
	if p.Branches() {
		tokens, selected, examples = w.Prompt+w.Group*(w.Completion-1), w.Group*w.Completion, 1
		places, windows = Window(w.Prompt, w.Completion-1, w.Group)
	}
	unit := w.symbols(tokens, examples)
	unit["C"], unit["R"], unit["P"] = selected, w.Group, w.Prompt
	unit["Q"], unit["W"] = places, windows
	what := fmt.Sprintf("a row of %d tokens", tokens)
	scores := p.HasReference || p.ScoresEntropy || !p.OnPolicy && p.Variant.Name != ""
	if p.Layered != nil {
		if scores {
			w.layeredScore(unit)
			w.phase("score", what+", layer by layer")
		}
		w.feed(p.Layered.Embed, unit)
		w.feed(p.Layered.LayerGradient, unit, "ids", "x", "d")
		w.feed(p.Layered.VisionGradient, unit, "d")
		w.inputs += 4 * int64(tokens*p.Model.Decoder().Width) // the gradient behind the norm
		w.units(func() graph.Held { return w.layered(unit) })
		w.phase("gradient pass", what+", layer by layer")
	} else {
		if scores {
			w.arena.Release(w.run(p.Score, unit))
			w.feed(p.Score, unit)
			if p.HasReference && !p.OnPolicy {
				w.feed(p.Score, unit)
			}
			w.phase("score", what)
		}
		w.units(func() graph.Held { return w.run(p.Gradient, unit) })
		w.feed(p.Gradient, unit)
		w.phase("gradient pass", what)
	}
	w.arena.Release(w.run(p.Optimizer, nil))
	w.phase("optimizer", "intermediate results")
}

// units computes as many units as may exist at once, and one more in the place of the first. What stays of each fragments the arena.
func (w *walk) units(gradient func() graph.Held) {
	var waiting []graph.Held
	for range w.sets + 1 {
		if len(waiting) == w.sets {
			w.arena.Release(waiting[0])
			waiting = waiting[1:]
		}
		waiting = append(waiting, gradient())
	}
	for _, h := range waiting {
		w.arena.Release(h)
	}
}

// layeredScore is train's pass that only scores.
func (w *walk) layeredScore(unit map[string]int) {
	l := w.program.Layered
	state := w.run(l.Embed, unit)
	for range w.program.Model.Decoder().Layers {
		next := w.run(l.Layer, unit)
		w.arena.Release(state)
		state = next
	}
	w.arena.Release(w.run(l.Score, chunk(unit)))
	w.arena.Release(state)
}

// chunk are the sizes of one run of the head.
func chunk(unit map[string]int) map[string]int {
	return map[string]int{"C": min(unit["C"], HeadRows), "N": unit["N"], "T": unit["T"]}
}

// layered is train's pass over a unit: forward, keeping the inputs of the layers, and back. It returns the gradients.
func (w *walk) layered(unit map[string]int) graph.Held {
	l, c := w.program.Layered, w.program.Model.Decoder()
	layer := l.Layer
	if l.Train != nil {
		layer = l.Train
	}
	states := []graph.Held{w.run(l.Embed, unit)}
	for range c.Layers {
		states = append(states, w.run(layer, unit))
	}
	gradients := graph.Held{}
	keep := func(out graph.Held, layer int) { // the first gradient of each parameter stays, others are added to it
		for name, b := range out {
			if as := w.program.InLayer(name, layer); strings.HasPrefix(name, "g.") && gradients[as] == nil {
				gradients[as] = b
				delete(out, name)
			}
		}
	}
	for range (unit["C"] + HeadRows - 1) / HeadRows {
		out := w.run(l.Head, chunk(unit))
		keep(out, 0)
		w.arena.Release(out)
	}
	var d graph.Held
	back := func(g *graph.Graph, state graph.Held, layer int) {
		out := w.run(g, unit)
		w.arena.Release(d)
		keep(out, layer)
		d = out
		w.arena.Release(state)
	}
	back(l.NormGradient, states[c.Layers], 0)
	for i := c.Layers - 1; i >= 0; i-- {
		back(l.LayerGradient, states[i], i)
	}
	out := w.run(l.EmbedGradient, unit)
	keep(out, 0)
	vision := w.run(l.VisionGradient, unit)
	keep(vision, 0)
	for _, h := range []graph.Held{d, out, vision} {
		w.arena.Release(h)
	}
	return gradients
}

// symbols are the sizes of the symbols of a row of T tokens with the pictures of that many examples.
func (w *walk) symbols(tokens, examples int) map[string]int {
	p, sizes := w.program, map[string]int{"N": 1, "T": tokens, "L": tokens}
	if p.Vision == nil {
		return sizes
	}
	pictures := slices.Concat(slices.Repeat([][]*models.Picture{w.Pictures}, examples)...)
	if len(pictures) == 0 {
		pictures = append(pictures, p.Model.Blank())
	}
	for _, in := range p.Model.Feed(pictures) {
		p.Vision.Sizes(sizes, in.Name, in.Shape)
	}
	return sizes
}
