package train

import (
	"maps"
	"slices"

	"mixr/runtime/compile"
	"mixr/runtime/graph"
	"mixr/runtime/models"
	"mixr/runtime/ort"
	"mixr/runtime/reward"
)

// model is a program on an engine: sessions, weights, optimizer state.
type model struct {
	engine   *ort.Engine
	program  *compile.Program
	sessions map[string]*ort.Session // by graph name
	layout   []models.Stored         // of the checkpoint that the weights are from, for export

	weights   map[string]*ort.Tensor // the policy
	reference map[string]*ort.Tensor // the initial weights; frozen tensors are the policy's own
	synced    bool                   // the reference is not the initial weights any more
	m, v, sum map[string]*ort.Tensor // AdamW moments and the gradient of the update, by parameter

	headRows int // most tokens whose logits exist at a time in a layered pass
}

// openModel creates the sessions, each of which computes on that many threads, and allocates all state, cleared. Close frees it.
func openModel(e *ort.Engine, p *compile.Program, threads int) (_ *model, err error) {
	m := &model{engine: e, program: p, sessions: map[string]*ort.Session{}, headRows: compile.HeadRows,
		weights: map[string]*ort.Tensor{}, reference: map[string]*ort.Tensor{},
		m: map[string]*ort.Tensor{}, v: map[string]*ort.Tensor{}, sum: map[string]*ort.Tensor{}}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	for _, g := range p.Graphs() {
		if g == p.Accumulate || g == p.Norm || g == p.Optimizer {
			continue // bindUpdate opens them
		}
		if m.sessions[g.Name()], err = e.NewSession(g, ort.SessionOptions{Threads: threads, Level: 1}); err != nil {
			return nil, err
		}
	}
	for _, q := range p.Params {
		if m.weights[q.Name], err = e.NewTensor(graph.F32, q.Shape...); err != nil {
			return nil, err
		}
		if !q.Trainable {
			m.reference[q.Name] = m.weights[q.Name]
			continue
		}
		into := []map[string]*ort.Tensor{m.m, m.v, m.sum}
		if p.HasReference {
			into = append(into, m.reference)
		}
		for _, s := range into {
			if s[q.Name], err = e.NewTensor(graph.F32, q.Shape...); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func (m *model) Close() {
	for _, s := range m.sessions {
		if s != nil {
			s.Close()
		}
	}
	for name, t := range m.reference {
		if t != m.weights[name] {
			t.Free()
		}
	}
	for _, set := range []map[string]*ort.Tensor{m.weights, m.m, m.v, m.sum} {
		free(set)
	}
}

// keepReference makes the present weights the reference.
func (m *model) keepReference() {
	for name, t := range m.reference {
		if w := m.weights[name]; w != t {
			copy(t.Float32(), w.Float32())
		}
	}
}

// lane is what one worker needs to compute units on its own: a binding of every session.
type lane struct {
	prompter                  *prompter
	scorer                    *reward.Scorer
	policy, reference         side
	prefill, decode, gradient *bound
	parts                     map[*graph.Graph]*bound // of a layered program; their weights are bound for each run
	caches                    int64                   // bytes of keys and values that a batch had at most, for a profile
}

// side is the policy as it is, or as it was at the start, to score with. Graphs that are not needed are nil.
type side struct {
	weights       map[string]*ort.Tensor
	vision, score *bound
}

// openLane binds every session of the model once more.
func (m *model) openLane(render *prompter, scorer *reward.Scorer) (*lane, error) {
	l := &lane{prompter: render, scorer: scorer, parts: map[*graph.Graph]*bound{}}
	l.policy.weights, l.reference.weights = m.weights, m.reference
	p := m.program
	for _, b := range []struct {
		into    **bound
		graph   *graph.Graph
		weights map[string]*ort.Tensor
		skip    bool
	}{
		{&l.policy.vision, p.Vision, m.weights, p.Vision == nil},
		{&l.reference.vision, p.Vision, m.reference, !p.HasReference || !p.TrainsVision},
		{&l.prefill, p.Prefill, m.weights, false},
		{&l.policy.score, p.Score, m.weights, p.Score == nil},
		{&l.reference.score, p.Score, m.reference, p.Score == nil || !p.HasReference},
		{&l.gradient, p.Gradient, m.weights, p.Gradient == nil},
	} {
		if b.skip {
			continue
		}
		var err error
		if *b.into, err = bind(m.engine, m.sessions[b.graph.Name()], b.graph, b.weights, nil); err != nil {
			l.Close()
			return nil, err
		}
	}
	var err error
	if l.decode, err = bindInputs(m.engine, m.sessions[p.Decode.Name()], p.Decode, m.weights); err != nil {
		l.Close()
		return nil, err
	}
	for _, g := range p.Layered.Graphs() {
		b, err := bind(m.engine, m.sessions[g.Name()], g, nil, nil)
		if err != nil {
			l.Close()
			return nil, err
		}
		l.parts[g] = b
	}
	return l, nil
}

func (l *lane) Close() {
	whole := []*bound{l.policy.vision, l.reference.vision, l.prefill, l.decode, l.policy.score, l.reference.score, l.gradient}
	for _, b := range slices.AppendSeq(whole, maps.Values(l.parts)) {
		b.Close()
	}
}

// feedPictures binds the tower's inputs for all pictures of the prompts, in order. A unit without any gets a blank one, whose features
// no token reads.
func (m *model) feedPictures(b *bound, prompts ...*prompt) {
	var all []*models.Picture
	for _, p := range prompts {
		all = append(all, p.pictures...)
	}
	if len(all) == 0 {
		all = append(all, m.program.Model.Blank())
	}
	for _, in := range m.program.Model.Feed(all) {
		if in.F32 != nil {
			feed(b, in.Name, in.F32, in.Shape...)
		} else {
			feed(b, in.Name, in.I64, in.Shape...)
		}
	}
}

// features runs the vision tower over the prompts' pictures: [M, D], or nil for a policy without one. The caller frees it.
func (m *model) features(tower *bound, prompts ...*prompt) (*ort.Tensor, error) {
	if tower == nil {
		return nil, nil
	}
	m.feedPictures(tower, prompts...)
	out, err := tower.run()
	if err != nil {
		return nil, err
	}
	return out["features"], nil
}

// see binds what a graph over these prompts reads of their pictures: the pictures where it holds the tower itself, else their features,
// the kept ones or those of the given tower; nothing for a policy that reads text alone. The caller calls done after the run.
func (m *model) see(b, tower *bound, kept []float32, prompts ...*prompt) (done func(), err error) {
	done = func() {}
	p := m.program
	switch {
	case !p.Sees():
	case p.TrainsVision && b.graph == p.Gradient:
		m.feedPictures(b, prompts...)
	case kept != nil:
		d := p.Model.Decoder().Width
		feed(b, "features", kept, len(kept)/d, d)
	default:
		features, err := m.features(tower, prompts...)
		if err != nil {
			return done, err
		}
		b.set("features", features)
		done = features.Free
	}
	return done, nil
}
