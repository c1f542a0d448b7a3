package train

import (
	"context"
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
	m, packed := r.model, r.model.pack(sequences)
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
	if l.gradient.reads("row") {
		feedRows(l.gradient, sequences)
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
	skipped  bool // the gradient is not finite, and weights and moments are what they were

	gradientS, optimizerS float64 // seconds
}

// update computes n units on the lanes, adds their gradients in order and steps the optimizer. index counts updates from 0, those that
// are skipped included: a skipped one does not make the schedule longer.
func (r *runner) update(ctx context.Context, n, index int, work func(l *lane, i int) (*unit, error)) (*updated, error) {
	u := &updated{}
	r.profile.enter(gradientPhase)
	defer r.profile.enter(otherPhase)
	start := time.Now()
	if n == 0 { // no unit, no gradient
		for _, t := range r.model.sum {
			clear(t.Float32())
		}
	}
	err := ordered(ctx, n, len(r.lanes), r.inFlight, func(lane, i int) (*unit, error) {
		return work(r.lanes[lane], i)
	}, func(i int, v *unit) error {
		defer func() { free(v.gradients); v.gradients = nil }()
		u.loss += v.loss
		u.units = append(u.units, v)
		if r.observe != nil {
			if err := r.observe(i, v.gradients); err != nil {
				return err
			}
		}
		return r.add(i, v.gradients)
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
	r.profile.enter(optimizerPhase)
	start = time.Now()
	if err := r.optimize(u, index); err != nil {
		return nil, err
	}
	u.optimizerS = time.Since(start).Seconds()
	return u, nil
}

// add sums the gradients of unit i into the update's; those of the first are copied, which passes over memory once less than to clear
// and to add.
func (r *runner) add(i int, gradients map[string]*ort.Tensor) error {
	if i == 0 {
		for name, t := range gradients {
			copy(r.model.sum[strings.TrimPrefix(name, "g.")].Float32(), t.Float32())
		}
		return nil
	}
	for name, t := range gradients {
		r.accumulate.set(name, t)
	}
	_, err := r.accumulate.run()
	return err
}

// optimize applies AdamW in place and notes the gradient's norm before clipping. Where that is not finite nothing is applied, and too
// many of these in a row are *Diverged.
func (r *runner) optimize(u *updated, index int) error {
	out, err := r.norm.run()
	if err != nil {
		return err
	}
	norm := out["norm"].Float32()[0]
	free(out)
	u.gradNorm = float64(norm)
	p := r.model.program
	if math.IsNaN(u.gradNorm) || math.IsInf(u.gradNorm, 0) {
		u.skipped = true
		return r.progress.skip(index, p.Update.SkipLimit, u.gradNorm)
	}
	for name, v := range p.AdamW().Scalars(norm, r.progress.Applied+1, p.Rates(u.lr)) {
		feed(r.optimizer, name, []float32{v}, 1)
	}
	r.unsure = true // also where the run below fails half way
	if _, err := r.optimizer.run(); err != nil {
		return err
	}
	r.progress.Applied++
	r.progress.Row = 0
	return nil
}

// bindUpdate opens and binds what follows the gradients: sums over sums, weights and moments over themselves.
//
// The optimizer is element by element and so gives the same bits on any number of threads: while it runs the workers have nothing to do.
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
	for _, b := range []struct {
		into    **bound
		graph   *graph.Graph
		threads int
		in, out map[string]*ort.Tensor
	}{
		{&r.accumulate, m.program.Accumulate, 1, sums, fixedSums},
		{&r.norm, m.program.Norm, 1, state, nil},
		{&r.optimizer, m.program.Optimizer, max(r.opts.Workers, 1), state, fixedState},
	} {
		pairs := map[string]string{} // output -> the input whose buffer it shares
		for _, o := range b.graph.Outputs() {
			if name, ok := strings.CutPrefix(o.Name, "o."); ok {
				pairs[o.Name] = name
			}
		}
		if err := b.graph.CheckAliases(pairs); err != nil {
			return err
		}
		// Nothing is to be fused, and higher levels take seconds on graphs of thousands of nodes.
		s, err := m.engine.NewSession(b.graph, ort.SessionOptions{Threads: b.threads, Level: 0})
		if err != nil {
			return err
		}
		m.sessions[b.graph.Name()] = s
		if *b.into, err = bind(m.engine, s, b.graph, b.in, b.out); err != nil {
			return err
		}
	}
	return nil
}
