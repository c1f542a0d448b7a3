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
	Group      int               // completions that are sampled side by side
	Target     int               // tokens of a supervised target; sft alone
	Rows       int               // examples of a unit; sft alone
	Units      int               // units of an update: prompt groups, or Rows examples
	Workers    int               // units computed at once
	InFlight   int               // units whose gradients may exist at once
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

// What a process takes before it computes, measured with ONNX Runtime 1.30 on Linux.
const (
	bytesOfLibrary = 80e6
	bytesPerNode   = 9e3
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
	add("moments", 2*trained, "of AdamW, of %.4g million trained parameters", float64(trained)/4e6)
	add("gradient", trained, "summed over the units of an update")

	w := walk{program: p, Sizes: s}
	w.steps()
	if w.err != nil {
		return nil, fmt.Errorf("memory: %w", w.err)
	}
	for _, phase := range w.phases {
		add(phase.Name, int64(lanes)*phase.Bytes, "%s, on %d workers", phase.What, lanes)
	}
	add("gradients in flight", int64(max(0, held-lanes))*trained, "of units that wait to be added")
	nodes := 0
	for _, g := range p.Graphs() {
		nodes += g.Nodes()
	}
	add(ProgramPart, bytesOfLibrary+int64(nodes)*bytesPerNode, "ONNX Runtime and sessions of %d nodes", nodes)
	return m, nil
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
	inputs  int64  // what the host feeds in the phase at work
	phases  []Part // what each adds to what is there already
	err     error
}

// phase notes by how much the arena has grown since the phase before, and what the host has fed.
func (w *walk) phase(name, what string) {
	bytes := w.inputs + w.arena.Total()
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
		w.inputs += bytes
	}
}

func (w *walk) steps() {
	p := w.program
	prompt := w.symbols(1, w.Prompt)
	prompt["G"], prompt["C"], prompt["S"] = w.Group, w.Completion, w.Prompt
	features := w.run(p.Vision, prompt)
	w.feed(p.Vision, prompt)
	if w.Completion > 0 {
		cache := w.run(p.Prefill, prompt)
		w.feed(p.Prefill, prompt, "features")
		w.arena.Release(w.run(p.Decode, prompt))
		w.feed(p.Decode, prompt, "k.", "v.") // own_k and own_v stay the host's
		w.arena.Release(cache)
		w.phase("rollout", fmt.Sprintf("%d completions of a prompt and their cache", w.Group))
	}
	w.arena.Release(features)

	rows, tokens, selected := 1, w.Prompt+w.Group*max(w.Completion-1, 0), w.Group*w.Completion
	if p.Variant.Name == "" {
		rows, tokens, selected = w.Rows, w.Prompt+max(w.Target-1, 0), w.Rows*w.Target
	}
	unit := w.symbols(rows, tokens)
	unit["C"] = selected
	what := fmt.Sprintf("%d rows of %d tokens", rows, tokens)
	if p.Layered != nil {
		w.layered(unit, rows*tokens)
		w.phase("gradient pass", what+", layer by layer")
	} else {
		if p.HasReference || !p.OnPolicy {
			w.arena.Release(w.run(p.Score, unit))
			w.feed(p.Score, unit)
			if p.HasReference && !p.OnPolicy {
				w.feed(p.Score, unit)
			}
			w.phase("score", what)
		}
		w.arena.Release(w.run(p.Gradient, unit))
		w.feed(p.Gradient, unit)
		w.phase("gradient pass", what)
	}
	w.arena.Release(w.run(p.Optimizer, nil))
	w.phase("optimizer", "intermediate results")
}

// layered is train's pass over a unit: forward, keeping the inputs of the layers, and back.
func (w *walk) layered(unit map[string]int, tokens int) {
	l, c := w.program.Layered, w.program.Model.Decoder()
	layer := l.Layer
	if l.Train != nil {
		layer = l.Train
	}
	w.feed(l.Embed, unit)
	w.feed(l.LayerGradient, unit, "ids", "x", "d")
	w.inputs += 4 * int64(tokens*c.Width) // the gradient behind the norm
	states := []graph.Held{w.run(l.Embed, unit)}
	for range c.Layers {
		states = append(states, w.run(layer, unit))
	}
	gradients := graph.Held{}
	keep := func(out graph.Held, but string, as int) {
		for name, b := range out {
			switch {
			case name == but:
			case strings.HasPrefix(name, "g.") && gradients[fmt.Sprint(name, as)] == nil:
				gradients[fmt.Sprint(name, as)] = b
				delete(out, name)
			}
		}
	}
	chunk := map[string]int{"C": min(unit["C"], HeadRows), "N": unit["N"], "T": unit["T"]}
	for range (unit["C"] + HeadRows - 1) / HeadRows {
		out := w.run(l.Head, chunk)
		keep(out, "", 0)
		w.arena.Release(out)
	}
	var d graph.Held
	back := func(g *graph.Graph, state graph.Held, as int) {
		out := w.run(g, unit)
		w.arena.Release(d)
		keep(out, "dx", as)
		d = out
		w.arena.Release(state)
	}
	back(l.NormGradient, states[c.Layers], 0)
	for i := c.Layers - 1; i >= 0; i-- {
		back(l.LayerGradient, states[i], i)
	}
	out := w.run(l.EmbedGradient, unit)
	keep(out, "dfeatures", 0)
	vision := w.run(l.VisionGradient, unit)
	w.feed(l.VisionGradient, unit, "d")
	for _, h := range []graph.Held{d, out, vision, gradients} {
		w.arena.Release(h)
	}
}

// symbols are the sizes of the symbols of N rows of T tokens with the pictures of each.
func (w *walk) symbols(rows, tokens int) map[string]int {
	p, sizes := w.program, map[string]int{"N": rows, "T": tokens, "L": rows * tokens}
	if p.Vision == nil {
		return sizes
	}
	pictures := slices.Concat(slices.Repeat([][]*models.Picture{w.Pictures}, rows)...)
	if len(pictures) == 0 {
		pictures = append(pictures, p.Model.Blank())
	}
	for _, in := range p.Model.Feed(pictures) {
		p.Vision.Sizes(sizes, in.Name, in.Shape)
	}
	return sizes
}
