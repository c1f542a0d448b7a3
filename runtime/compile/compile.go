// Package compile turns one resolved experiment into the ONNX graphs that carry it out.
//
// In: an experiment and the architecture of its policy. Out: a Program, that is the parameters (which of them train) and the
// graphs vision, prefill, decode, score, gradient, accumulate, norm and optimizer, whose weights are inputs and whose sizes are
// symbolic, so that one session of each serves every prompt. It never opens a file, never holds a weight and never runs a graph.
//
// The shapes that the host feeds (packing, positions, masks) are described beside each graph and built by package train.
package compile

import (
	"fmt"
	"slices"

	"mixr/runtime/graph"
	"mixr/runtime/grpo"
	"mixr/runtime/models"
	"mixr/runtime/nn"
	"mixr/runtime/spec"
)

// Param is one tensor of the policy.
type Param struct {
	nn.Spec
	Module    string // vision | merger | embedding | decoder | adapter
	Trainable bool
}

// Program is everything that a trial runs.
type Program struct {
	Model  models.Model
	Params []Param
	LoRA   *nn.LoRA // adapters, which are then all that trains; nil if the policy's own weights train

	Vision     *graph.Graph // pictures -> features; the frozen tower, or evaluation of a trained one; nil for text-only families
	Prefill    *graph.Graph // prompt -> key/value cache and the first sampled token
	Decode     *graph.Graph // one token for each completion of a prompt
	Score      *graph.Graph // log-probabilities of given completions; nil for sft, and where Layered does it
	Gradient   *graph.Graph // loss and gradients of one unit (a prompt group, or some sft rows); nil where Layered does it
	Layered    *Layered     // scoring and gradient in parts, with policy.recompute; else nil
	Accumulate *graph.Graph // gradients of one unit added to the sum
	Norm       *graph.Graph // of the summed gradients, which decides whether the optimizer runs
	Optimizer  *graph.Graph // AdamW on the summed gradients, in place

	// OnPolicy is true when every rollout is used for one update by the policy that drew it, so that the ratio is exactly 1 and needs no
	// old log-probabilities; HasReference when a KL term, of the loss or in the reward, reads reference log-probabilities; TrainsVision
	// when the gradient graph holds the vision tower and is fed pixels instead of features.
	OnPolicy, HasReference, TrainsVision bool

	MovingReference bool // the reference follows the policy, so that it does not keep what was before training

	// RatioOfRows is true when the ratio is of sequences, off policy: Gradient reads mean [R, C] and row [C] (grpo.RowMeans), and
	// Layered.Head, which sees a part of a row's tokens, row_log_ratio [C] (grpo.RowLogRatio).
	RatioOfRows bool

	ScoresEntropy bool // scoring gives entropy [C] besides logp, by which tokens are chosen

	Variant grpo.Variant   // of the loss; zero for sft and eval
	Update  spec.Optimizer // of the stage; zero for eval
}

// Graphs lists the program's graphs by name, in the order in which a step uses them.
func (p *Program) Graphs() []*graph.Graph {
	all := slices.Concat([]*graph.Graph{p.Vision, p.Prefill, p.Decode, p.Score, p.Gradient}, p.Layered.Graphs(),
		[]*graph.Graph{p.Accumulate, p.Norm, p.Optimizer})
	return slices.DeleteFunc(all, func(g *graph.Graph) bool { return g == nil })
}

// Base lists the parameters of the policy's own, those that its checkpoint holds.
func (p *Program) Base() []Param {
	return slices.DeleteFunc(slices.Clone(p.Params), func(q Param) bool { return q.Module == Adapter })
}

// Sees reports whether the policy has a vision tower.
func (p *Program) Sees() bool {
	return slices.ContainsFunc(p.Params, func(q Param) bool { return q.Module == "vision" })
}

// Branches reports whether Score, Gradient and the layers of Layered read one prompt with its completions. Those of stage sft read
// several examples that share nothing.
func (p *Program) Branches() bool { return p.Variant.Name != "" }

// Window lays out the windows of nn.Branches for a group: Q, the places of a window, and W, the number of windows, one for each completion
// and those that the prompt is cut into. prompt and longest are tokens as they are fed, the latter those of the longest completion, which is
// all but its last; prompt must be above 0. A prompt with short completions is not cut into many windows.
func Window(prompt, longest, group int) (places, windows int) {
	places = max(longest, min(prompt, shortestWindow))
	return places, group + (prompt+places-1)/places
}

// shortestWindow: what windows cost besides their scores, P keys each, is small against 64 queries.
const shortestWindow = 64

// Trainable lists the parameters that the optimizer updates.
func (p *Program) Trainable() []Param {
	return slices.DeleteFunc(slices.Clone(p.Params), func(q Param) bool { return !q.Trainable })
}

// Compile builds all graphs of an experiment on a policy of the given architecture; of stage eval, those that sample.
func Compile(exp *spec.Experiment, m models.Model) (*Program, error) {
	p, learns := &Program{Model: m}, exp.Stage != "eval"
	if learns {
		p.LoRA = adapters(exp.Policy.LoRA)
	}
	for _, s := range m.Specs() {
		module := m.Module(s.Name)
		p.Params = append(p.Params, Param{s, module, learns && p.LoRA == nil && !slices.Contains(exp.Policy.Freeze, module)})
	}
	if p.LoRA != nil {
		specs, err := adapterSpecs(m.Decoder(), p.LoRA)
		if err != nil {
			return nil, err
		}
		for _, s := range specs {
			p.Params = append(p.Params, Param{s, Adapter, true})
		}
	}
	trains := func(module string) bool {
		return slices.ContainsFunc(p.Params, func(q Param) bool { return q.Trainable && q.Module == module })
	}
	if learns && len(p.Trainable()) == 0 {
		return nil, fmt.Errorf("policy.freeze: nothing is left to train in %s", exp.Policy.From)
	}
	p.TrainsVision = trains("vision") || trains("merger")

	var objective objective
	switch exp.Stage {
	case "eval":
	case "sft":
		objective, p.Update = supervised, exp.SFT.Optimizer
	case "grpo":
		o := exp.GRPO
		var err error
		if p.Variant, err = variant(o); err != nil {
			return nil, err
		}
		p.OnPolicy, p.HasReference = o.UpdatesPerStep() == 1 && o.Correction == "none", o.KL > 0
		p.MovingReference = p.HasReference && o.ReferenceSync > 0
		p.RatioOfRows, p.ScoresEntropy = p.Variant.Level == grpo.Sequence && !p.OnPolicy, o.EntropyShare < 1
		objective, p.Update = p.relative(!exp.Policy.Recompute), o.Optimizer
	default:
		return nil, fmt.Errorf("stage: unknown stage %q", exp.Stage)
	}

	for _, s := range []struct {
		into  **graph.Graph
		name  string
		build func(*graph.Graph)
		skip  bool
	}{
		{&p.Vision, "vision", p.vision, !p.Sees()},
		{&p.Prefill, "prefill", p.prefill, false},
		{&p.Decode, "decode", p.decode, false},
		{&p.Score, "score", p.score, !learns || exp.Stage == "sft" || exp.Policy.Recompute},
		{&p.Gradient, "gradient", func(g *graph.Graph) { p.gradient(g, objective) }, !learns || exp.Policy.Recompute},
	} {
		if s.skip {
			continue
		}
		var err error
		if *s.into, err = graph.Build(s.name, s.build); err != nil {
			return nil, fmt.Errorf("compile %s: %w", s.name, err)
		}
	}
	if learns {
		if err := p.learn(exp.Policy.Recompute, objective); err != nil {
			return nil, err
		}
	}
	for _, g := range p.Graphs() {
		if err := g.Verify(); err != nil {
			return nil, fmt.Errorf("compile: %w", err)
		}
	}
	return p, nil
}

// learn builds what an update takes beside the gradient graph, or in its place.
func (p *Program) learn(recompute bool, objective objective) (err error) {
	if recompute {
		if p.Layered, err = p.layered(objective); err != nil {
			return err
		}
	}
	if p.Accumulate, err = grpo.BuildAccumulate(p.optimized()); err != nil {
		return fmt.Errorf("compile accumulate: %w", err)
	}
	if p.Norm, err = grpo.BuildNorm(p.optimized()); err != nil {
		return fmt.Errorf("compile norm: %w", err)
	}
	if p.Optimizer, err = grpo.BuildAdamW(p.optimized(), p.AdamW()); err != nil {
		return fmt.Errorf("compile optimizer: %w", err)
	}
	return nil
}

// AdamW is the optimizer of the program's stage.
func (p *Program) AdamW() grpo.AdamW {
	o := p.Update
	return grpo.AdamW{Beta1: o.AdamBeta1, Beta2: o.AdamBeta2, AdamEps: o.AdamEps, WeightDecay: o.WeightDecay, GradClip: o.GradClip}
}

// Rates are the learning rates of the policy's modules where that of the experiment stands at lr.
func (p *Program) Rates(lr float64) map[string]float64 {
	f := p.Update.ModuleRate
	return map[string]float64{
		"vision": lr * f.Vision, "merger": lr * f.Merger, "embedding": lr * f.Embedding, "decoder": lr * f.Decoder, Adapter: lr * f.Adapter,
	}
}
