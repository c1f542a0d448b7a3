package compile

import (
	"mixr/runtime/graph"
	"mixr/runtime/grpo"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
	"mixr/runtime/spec"
)

// head holds what a loss may read: logp and entropy [C] of the target tokens at the C selected positions.
type head struct{ logp, entropy *graph.Value }

// selected scores C tokens: select [C] names flat positions of hidden [N, T, D] whose next token is target [C].
func (p *Program) selected(g *graph.Graph, params *nn.Params, hidden *graph.Value) head {
	return p.scored(g, params, graph.Gather(graph.Reshape(hidden, -1, p.Model.Decoder().Width), g.Input("select", graph.I64, "C")))
}

// scored is selected for rows [C, D] that were chosen.
func (p *Program) scored(g *graph.Graph, params *nn.Params, rows *graph.Value) head {
	logp, entropy := graph.LogProb(rows, decoder.Head(params, p.Model.Decoder()), g.Input("target", graph.I64, "C"),
		g.Input("temperature", graph.F32, 1))
	return head{logp, entropy}
}

// score gives the log-probabilities of completions under the weights that are bound: the policy's or the reference's.
func (p *Program) score(g *graph.Graph) {
	params := p.params(g)
	hidden, _ := p.text(g, params, p.featureInput(g), true)
	p.scores(g, p.selected(g, params, hidden))
}

// scores emits what a scoring pass gives: logp [C] and, where tokens are chosen by it, entropy [C].
func (p *Program) scores(g *graph.Graph, h head) {
	g.Output("logp", h.logp)
	if p.ScoresEntropy {
		g.Output("entropy", h.entropy)
	}
}

// gradient emits loss [1], the per-token values that metrics are made of, and g.NAME for every trainable parameter.
func (p *Program) gradient(g *graph.Graph, objective objective) {
	params := p.trained(g, p.Model.Decoder().Layers)
	var features *graph.Value
	if p.TrainsVision {
		features = p.Model.Tower(g, params)
	} else {
		features = p.featureInput(g)
	}
	hidden, _ := p.text(g, params, features, true)
	loss := p.losses(g, p.selected(g, params, hidden), objective)

	trainable := p.Trainable()
	wrt := make([]*graph.Value, len(trainable))
	for i, q := range trainable {
		wrt[i] = params.Weight(q.Name, q.Shape...)
	}
	for i, d := range graph.Gradients(loss, wrt...) {
		g.Output("g."+trainable[i].Name, d)
	}
}

// objective adds the loss [1] of scored tokens to a graph, with the inputs that it reads.
type objective func(g *graph.Graph, h head) *graph.Value

// losses emits loss [1] and the per-token values that metrics are made of.
func (p *Program) losses(g *graph.Graph, h head, objective objective) *graph.Value {
	loss := objective(g, h)
	g.Output("loss", loss)
	g.Output("logp", h.logp)
	g.Output("entropy", h.entropy)
	return loss
}

// supervised is minus the weighted log-likelihood of the target completion.
func supervised(g *graph.Graph, h head) *graph.Value {
	return grpo.SFT(h.logp, g.Input("weight", graph.F32, "C"))
}

// variant is the loss of a grpo stage.
func variant(o *spec.GRPO) (grpo.Variant, error) {
	v, err := grpo.VariantOf(o.Loss)
	if err != nil {
		return v, err
	}
	if o.Level != "" {
		v.Level = grpo.Level(o.Level)
	}
	v.ClipLow, v.ClipHigh, v.Delta = o.ClipLow, o.ClipHigh, o.ClipDual
	if o.RatioCap != nil {
		v.RatioCap = *o.RatioCap
	}
	v.TauPos, v.TauNeg = o.TauPositive, o.TauNegative
	v.KL, v.KLEstimator, v.KLClamp, v.KLGradient = o.KL, grpo.KLEstimator(o.KLEstimator), o.KLClamp, grpo.KLGradient(o.KLGradient)
	v.KLTimesRatio, v.KLInReward = o.KLTimesRatio, o.KLIn == "reward"
	v.EntropyBonus = o.EntropyBonus
	v.Reweighted = o.EntropyShare < 1 || o.Correction != "none" || o.OffPolicyDrift > 0
	return v, v.Check()
}

// relative is the GRPO objective of the program's variant; on policy the old log-probabilities are the new ones without gradient.
// byRow says that the mean log-ratio of each row is taken here, from all its tokens, and not an input.
func (p *Program) relative(byRow bool) objective {
	return func(g *graph.Graph, h head) *graph.Value {
		v, input := p.Variant, func(name string) *graph.Value { return g.Input(name, graph.F32, "C") }
		in := grpo.Inputs{LogP: h.logp, Advantage: input("advantage"), Weight: input("weight")}
		switch {
		case p.RatioOfRows && byRow:
			change := graph.Sub(graph.StopGradient(h.logp), input("old"))
			in.RowLogRatio = grpo.MeanByRow(change, g.Input("mean", graph.F32, "R", "C"), g.Input("row", graph.I64, "C"))
		case p.RatioOfRows:
			in.RowLogRatio = input("row_log_ratio")
		case !p.OnPolicy:
			in.Old = input("old")
		}
		if v.PenalisesKL() {
			in.Ref = input("ref")
			if v.Reweighted {
				in.KLWeight = input("kl_weight")
			}
		}
		if v.EntropyBonus != 0 {
			in.Entropy, in.EntropyWeight = h.entropy, input("entropy_weight")
		}
		out := grpo.Objective(in, v)
		if out.KL != nil {
			g.Output("kl", out.KL)
		}
		return out.Loss
	}
}

// optimized describes the trainable parameters to the optimizer.
func (p *Program) optimized() []grpo.Param {
	var out []grpo.Param
	for _, q := range p.Trainable() {
		out = append(out, grpo.Param{Name: q.Name, Shape: q.Shape, Module: q.Module})
	}
	return out
}
