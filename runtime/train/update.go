package train

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"mixr/runtime/graph"
	"mixr/runtime/grpo"
	"mixr/runtime/ort"
)

// unit is what the gradient of one unit of work gives: the weighted loss and the values of its C scored tokens. The gradients stay in the
// tensors until they are added.
type unit struct {
	loss              float64
	logp, entropy, kl []float32
	gradients         map[string]*ort.Tensor
}

// gradient computes loss and gradients of sequences that fit one unit, each in a row of its own. values are the inputs of the loss for
// each token of their completions, in order; kept are the features of their pictures, nil where they are to be computed.
func (r *runner) gradient(l *lane, sequences []sequence, kept []float32, values map[string][]float32, temperature float64) (*unit, error) {
	m, packed := r.model, pack(r.model.program.Model.Decoder(), sequences)
	keys := r.dropoutKeys(packed, sequences)
	var prompts []*prompt
	for _, s := range sequences {
		prompts = append(prompts, s.prompt)
	}
	if m.program.Layered != nil {
		p, err := m.openPass(l, &l.policy, packed, kept, prompts...)
		if err != nil {
			return nil, err
		}
		defer p.Close()
		p.keys = keys
		return p.gradient(values, temperature, prompts...)
	}
	packed.feedTo(l.gradient)
	if keys != nil {
		feed(l.gradient, "dropout", keys, m.program.Model.Decoder().Layers, packed.n, packed.t)
	}
	done, err := m.see(l.gradient, l.policy.vision, kept, prompts...)
	if err != nil {
		return nil, err
	}
	defer done()
	for name, v := range values {
		feed(l.gradient, name, v, len(v))
	}
	feed(l.gradient, "temperature", []float32{float32(temperature)}, 1)
	out, err := l.gradient.run()
	if err != nil {
		return nil, err
	}
	u := &unit{gradients: map[string]*ort.Tensor{}}
	u.add(out)
	return u, nil
}

// add takes over the outputs of one more run for the unit: values of tokens follow those that are there, losses and gradients are
// added to them.
func (u *unit) add(out map[string]*ort.Tensor) {
	for name, t := range out {
		switch name {
		case "loss":
			u.loss += float64(t.Float32()[0])
		case "logp":
			u.logp = append(u.logp, t.Float32()...)
		case "entropy":
			u.entropy = append(u.entropy, t.Float32()...)
		case "kl":
			u.kl = append(u.kl, t.Float32()...)
		default:
			u.addGradient(name, t)
			continue
		}
		t.Free()
	}
}

// addGradient takes over one gradient.
func (u *unit) addGradient(name string, t *ort.Tensor) {
	sum := u.gradients[name]
	if sum == nil {
		u.gradients[name] = t
		return
	}
	to := sum.Float32()
	for i, v := range t.Float32() {
		to[i] += v
	}
	t.Free()
}

// updated is one finished optimizer step.
type updated struct {
	units    []*unit // in order, without gradients
	loss     float64
	gradNorm float64 // before clipping
	lr       float64

	gradientS, optimizerS float64 // seconds
}

// update computes n units on the lanes, adds their gradients in order and steps the optimizer. index counts updates from 0.
func (r *runner) update(ctx context.Context, n, index int, work func(l *lane, i int) (*unit, error)) (*updated, error) {
	u := &updated{}
	start := time.Now()
	for _, t := range r.model.sum {
		clear(t.Float32())
	}
	err := ordered(ctx, n, len(r.lanes), r.inFlight, func(lane, i int) (*unit, error) {
		return work(r.lanes[lane], i)
	}, func(i int, v *unit) error {
		defer func() { free(v.gradients); v.gradients = nil }()
		u.loss += v.loss
		u.units = append(u.units, v)
		return r.add(v.gradients)
	}, func(v *unit) { free(v.gradients) })
	if err != nil {
		return nil, err
	}
	u.gradientS = time.Since(start).Seconds()
	o := r.model.program.Update
	factor, err := grpo.Schedule(o.Schedule, index, r.updates, o.WarmupFrac)
	if err != nil {
		return nil, err
	}
	u.lr = o.LearningRate * factor
	start = time.Now()
	u.gradNorm, err = r.optimize(u.lr, index)
	u.optimizerS = time.Since(start).Seconds()
	return u, err
}

// add sums one unit's gradients into the update's.
func (r *runner) add(gradients map[string]*ort.Tensor) error {
	for name, t := range gradients {
		r.accumulate.set(name, t)
	}
	_, err := r.accumulate.run()
	return err
}

// Diverged is returned when the gradient of an update is not finite. The update was not made: weights and moments are those of the
// update before.
type Diverged struct {
	Update int // from 1
	Norm   float64
}

func (e *Diverged) Error() string {
	return fmt.Sprintf("update %d: the gradient norm is %v: the run has diverged; lower learning_rate or grad_clip", e.Update, e.Norm)
}

// optimize applies AdamW in place and returns the gradient's norm before clipping, or *Diverged.
func (r *runner) optimize(lr float64, index int) (float64, error) {
	rate, eps, keep := r.model.program.AdamW().Scalars(lr, index+1)
	for name, v := range map[string]float32{"rate": rate, "eps": eps, "keep": keep} {
		feed(r.optimizer, name, []float32{v}, 1)
	}
	before := r.unsure
	r.unsure = true // also where the run below fails half way
	out, err := r.optimizer.run()
	if err != nil {
		return 0, err
	}
	defer free(out)
	norm := float64(out["norm"].Float32()[0])
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		r.unsure = before
		return norm, &Diverged{index + 1, norm}
	}
	return norm, nil
}

// bindUpdate binds the accumulate and optimizer sessions, in place: sums over sums, weights and moments over themselves.
func (r *runner) bindUpdate() (err error) {
	m := r.model
	sums, fixedSums := map[string]*ort.Tensor{}, map[string]*ort.Tensor{}
	state, fixedState := map[string]*ort.Tensor{}, map[string]*ort.Tensor{}
	for _, q := range m.program.Trainable() {
		sums["acc."+q.Name], fixedSums["o.acc."+q.Name] = m.sum[q.Name], m.sum[q.Name]
		state["g."+q.Name] = m.sum[q.Name]
		for prefix, set := range map[string]map[string]*ort.Tensor{"": m.weights, "m.": m.m, "v.": m.v} {
			state[prefix+q.Name], fixedState["o."+prefix+q.Name] = set[q.Name], set[q.Name]
		}
	}
	bindTo := func(g *graph.Graph, in, out map[string]*ort.Tensor) (*bound, error) {
		pairs := map[string]string{} // output -> the input whose buffer it shares
		for _, o := range g.Outputs() {
			if name, ok := strings.CutPrefix(o.Name, "o."); ok {
				pairs[o.Name] = name
			}
		}
		if err := g.CheckAliases(pairs); err != nil {
			return nil, err
		}
		return bind(m.engine, m.sessions[g.Name()], g, in, out)
	}
	if r.accumulate, err = bindTo(m.program.Accumulate, sums, fixedSums); err != nil {
		return err
	}
	r.optimizer, err = bindTo(m.program.Optimizer, state, fixedState)
	return err
}
