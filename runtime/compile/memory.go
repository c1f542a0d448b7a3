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
	Completion int               // sampled tokens, as max_completion_tokens allows
	Group      int               // completions that are sampled side by side
	Target     int               // tokens of a supervised target; sft alone
	Rows       int               // examples of a unit; sft alone
	Units      int               // prompt groups, or units of sft, of an update
	Workers    int               // units computed at once
	InFlight   int               // units whose gradients may exist at once
}

// Part is memory for one purpose.
type Part struct {
	Name  string
	Bytes int64
	What  string // for a reader
}

// Memory is what a trial takes, by purpose. Everything counts at its own worst moment, since ONNX Runtime keeps what a session has
// once taken.
type Memory []Part

// Total is the sum, in bytes.
func (m Memory) Total() int64 {
	sum := int64(0)
	for _, p := range m {
		sum += p.Bytes
	}
	return sum
}

// Memory estimates what the trial takes on the CPU, or on a device that holds everything.
func (p *Program) Memory(s Sizes) (Memory, error) {
	var m Memory
	add := func(name string, bytes int64, what string, args ...any) {
		if bytes > 0 {
			m = append(m, Part{name, bytes, fmt.Sprintf(what, args...)})
		}
	}
	all, trained := size(p.Params), size(p.Trainable())
	lanes := int64(max(1, min(s.Workers, s.Units)))
	add("weights", all, "%.3g million parameters in float32", float64(all)/4e6)
	if p.HasReference {
		add("reference", trained, "the trained weights as they were, for the KL term")
	}
	add("moments", 2*trained, "of AdamW")
	add("gradient", trained, "summed over the units of an update")
	held := int64(max(1, min(s.InFlight, s.Units)))
	add("gradients in flight", held*trained, "of %d units before they are added", held)

	w, err := p.walk(s)
	if err != nil {
		return nil, err
	}
	for _, part := range w.parts {
		add(part.Name, lanes*part.Bytes, "%s, on %d workers", part.What, lanes)
	}
	add("optimizer", w.optimizer, "intermediate results")
	add("graphs", w.graphs, "ONNX Runtime and its sessions")
	return m, nil
}

func size(params []Param) (bytes int64) {
	for _, q := range params {
		bytes += 4 * int64(q.Size())
	}
	return bytes
}

// walked is the memory of graphs: of one lane by purpose, and of all.
type walked struct {
	parts             []Part
	optimizer, graphs int64
}

func (p *Program) walk(s Sizes) (*walked, error) {
	w, c := &walked{}, p.Model.Decoder()
	rows, tokens, selected := 1, s.Prompt+s.Group*max(s.Completion-1, 0), s.Group*s.Completion
	if p.Variant.Name == "" {
		rows, tokens, selected = s.Rows, s.Prompt+max(s.Target-1, 0), s.Rows*s.Target
	}
	prompt := p.symbols(s, 1, s.Prompt)
	unit := p.symbols(s, rows, tokens)
	unit["C"] = selected

	var failed error
	// run is the memory of one graph beyond parameters: its inputs, of which binding keeps the last ones, and what a run takes.
	run := func(g *graph.Graph, sizes map[string]int) (peak graph.Peak, inputs int64) {
		if g == nil || failed != nil {
			return
		}
		fail := func(err error) {
			if failed == nil && err != nil {
				failed = err
			}
		}
		peak, err := g.Peak(sizes, func(output string) bool { return strings.HasPrefix(output, "o.") })
		fail(err)
		for _, in := range g.Inputs() {
			if _, fixed := in.Shape().Ints(); fixed {
				continue
			}
			bytes, err := in.Bytes(sizes)
			fail(err)
			inputs += bytes
		}
		return peak, inputs
	}
	part := func(name string, bytes int64, what string) { w.parts = append(w.parts, Part{name, bytes, what}) }
	total := func(g *graph.Graph, sizes map[string]int) int64 {
		peak, inputs := run(g, sizes)
		return peak.Total + inputs
	}

	part("vision", total(p.Vision, prompt), "features of a prompt's pictures")
	cache := 2 * 4 * int64(c.Layers*c.KVHeads*c.HeadWidth)
	prompt["G"], prompt["C"], prompt["S"] = s.Group, s.Completion, s.Prompt
	part("rollout cache", cache*int64(s.Group*s.Completion), "keys and values of a group's completions")
	part("prefill", total(p.Prefill, prompt), "a prompt, with its keys and values")
	decode, _ := run(p.Decode, prompt)
	part("decode", decode.Total, "a token of each completion")
	sides := int64(1)
	if p.HasReference && !p.OnPolicy {
		sides = 2
	}
	score, inputs := run(p.Score, unit)
	part("score", score.Total+sides*inputs, "log-probabilities of a unit")

	if l := p.Layered; l == nil {
		peak, inputs := run(p.Gradient, unit)
		grads := size(p.Trainable())
		part("gradient pass", peak.Total-grads+inputs, "activations of a unit")
	} else {
		chunk := p.symbols(s, rows, tokens)
		chunk["C"] = min(selected, HeadRows)
		state := 4 * int64(rows*tokens*c.Width)
		part("states", int64(c.Layers+3)*state, "inputs of the layers, and a gradient")
		common := int64(0)
		for name := range map[string]bool{"ids": true, "pos": true, "cos": true, "sin": true, "mask": true} {
			for _, g := range []*graph.Graph{l.Embed, l.LayerGradient} {
				if i := slices.IndexFunc(g.Inputs(), func(v *graph.Value) bool { return v.Name() == name }); i >= 0 {
					bytes, err := g.Inputs()[i].Bytes(unit)
					if err != nil {
						return nil, err
					}
					common += bytes
				}
			}
		}
		part("rows", common, "masks and positions")
		for _, g := range l.Graphs() {
			sizes := unit
			if g == l.Head || g == l.Score {
				sizes = chunk
			}
			peak, _ := run(g, sizes)
			part(g.Name(), peak.Total-peak.Outputs, "a part of a unit")
		}
	}
	peak, _ := run(p.Optimizer, nil)
	w.optimizer = peak.Total
	for _, g := range p.Graphs() {
		w.graphs += bytesPerSession + bytesPerNode*int64(g.Nodes())
	}
	w.graphs += bytesOfLibrary
	return w, failed
}

// What a process takes for code: measured with ONNX Runtime 1.30 on Linux.
const (
	bytesOfLibrary  = 40e6
	bytesPerSession = 1e6
	bytesPerNode    = 6e3
)

// symbols are the sizes of the symbols of N rows of T tokens with the pictures of each.
func (p *Program) symbols(s Sizes, rows, tokens int) map[string]int {
	sizes := map[string]int{"N": rows, "T": tokens, "L": rows * tokens}
	if p.Vision == nil {
		return sizes
	}
	pictures := slices.Concat(slices.Repeat([][]*models.Picture{s.Pictures}, rows)...)
	if len(pictures) == 0 {
		pictures = append(pictures, p.Model.Blank())
	}
	for _, in := range p.Model.Feed(pictures) {
		p.Vision.Sizes(sizes, in.Name, in.Shape)
	}
	return sizes
}
