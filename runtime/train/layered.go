package train

import (
	"mixr/runtime/graph"
	"mixr/runtime/ort"
)

// pass runs packed rows through the parts of a layered program on one lane, under one set of weights.
type pass struct {
	*model
	lane    *lane
	weights map[string]*ort.Tensor
	rows    *rows
	in      *inputs // what graphs read of rows and pictures
	keys    []int64 // of dropout, [layers, N, T]; nil where nothing is dropped
}

// openPass lays out the rows. The features of their pictures are the kept ones, or those of the side's tower.
func (m *model) openPass(l *lane, s *side, packed *rows, kept []float32, prompts ...*prompt) (*pass, error) {
	p := &pass{model: m, lane: l, weights: s.weights, rows: packed, in: newInputs(m.engine)}
	packed.putTo(p.in)
	if d := m.program.Model.Decoder().Width; kept != nil {
		supply(p.in, "features", kept, len(kept)/d, d)
	} else if m.program.Sees() {
		features, err := m.features(s.vision, prompts...)
		if err != nil {
			p.Close()
			return nil, err
		}
		p.in.tensors["features"] = features
	}
	if err := p.in.err; err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *pass) Close() { p.in.free() }

// run computes one part, with the weights of layer i where it is a layer, and more inputs besides those of the rows.
func (p *pass) run(g *graph.Graph, i int, more map[string]*ort.Tensor) (map[string]*ort.Tensor, error) {
	b := p.lane.parts[g]
	for _, in := range g.Inputs() {
		name := in.Name()
		for _, set := range []map[string]*ort.Tensor{more, p.in.tensors} {
			if t := set[name]; t != nil {
				b.set(name, t)
				name = ""
				break
			}
		}
		if t := p.weights[p.program.InLayer(name, i)]; t != nil {
			b.set(name, t)
		}
	}
	if p.keys != nil && b.reads("dropout") {
		size := p.rows.n * p.rows.t
		feed(b, "dropout", p.keys[i*size:(i+1)*size], 1, p.rows.n, p.rows.t)
	}
	return b.run()
}

// forward computes the states x_0 ... x_L [N, T, D]: what each layer reads, and what the norm behind the last one does. Unless all are
// kept only the last one is there, the others nil. The caller frees them.
func (p *pass) forward(keep bool) (states []*ort.Tensor, err error) {
	parts, layer := p.program.Layered, p.program.Layered.Layer
	if p.keys != nil {
		layer = parts.Train
	}
	out, err := p.run(parts.Embed, 0, nil)
	if err != nil {
		return nil, err
	}
	states = append(states, out["y"])
	for i := range p.program.Model.Decoder().Layers {
		out, err := p.run(layer, i, map[string]*ort.Tensor{"x": states[i]})
		if err != nil {
			freeAll(states)
			return nil, err
		}
		if !keep {
			states[i].Free()
			states[i] = nil
		}
		states = append(states, out["y"])
	}
	return states, nil
}

// score gives the log-probabilities [C] of the selected tokens and, where the program scores them, their entropies.
func (p *pass) score(temperature float64) (logp, entropy []float32, err error) {
	states, err := p.forward(false)
	if err != nil {
		return nil, nil, err
	}
	defer freeAll(states)
	for from := 0; from < len(p.rows.sel); from += p.headRows {
		out, err := p.chunk(p.program.Layered.Score, states[len(states)-1], from, nil, temperature)
		if err != nil {
			return nil, nil, err
		}
		logp = append(logp, out["logp"].Float32()...)
		if h := out["entropy"]; h != nil {
			entropy = append(entropy, h.Float32()...)
		}
		free(out)
	}
	return logp, entropy, nil
}

// chunk runs a part on the selected tokens from the given one on, with their values of the loss.
func (p *pass) chunk(g *graph.Graph, x *ort.Tensor, from int, values map[string][]float32, temperature float64) (map[string]*ort.Tensor, error) {
	b, to := p.lane.parts[g], min(from+p.headRows, len(p.rows.sel))
	feed(b, "temperature", []float32{float32(temperature)}, 1)
	feed(b, "select", p.rows.sel[from:to], to-from)
	feed(b, "target", p.rows.target[from:to], to-from)
	for name, v := range values {
		feed(b, name, v[from:to], to-from)
	}
	return p.run(g, 0, map[string]*ort.Tensor{"x": x})
}

// gradient computes loss and gradients of the rows as one unit. values are the inputs of the loss for each selected token.
func (p *pass) gradient(values map[string][]float32, temperature float64, prompts ...*prompt) (_ *unit, err error) {
	parts := p.program.Layered
	u := &unit{gradients: map[string]*ort.Tensor{}}
	defer func() {
		if err != nil {
			free(u.gradients)
		}
	}()
	states, err := p.forward(true)
	if err != nil {
		return nil, err
	}
	defer func() { freeAll(states) }()

	c := p.program.Model.Decoder()
	d, err := p.engine.NewTensor(graph.F32, p.rows.n, p.rows.t, c.Width) // the gradient at where the backward pass has come to
	if err != nil {
		return nil, err
	}
	defer func() { d.Free() }()
	for from := 0; from < len(p.rows.sel); from += p.headRows {
		out, err := p.chunk(parts.Head, states[len(states)-1], from, values, temperature)
		if err != nil {
			return nil, err
		}
		addRows(d.Float32(), out["drows"].Float32(), p.rows.sel[from:], c.Width)
		out["drows"].Free()
		delete(out, "drows")
		u.add(out)
	}
	// back takes the gradient through one part and frees the state that it came from.
	back := func(g *graph.Graph, layer, state int) error {
		out, err := p.run(g, layer, map[string]*ort.Tensor{"x": states[state], "d": d})
		if err != nil {
			return err
		}
		d.Free()
		d = out["dx"]
		delete(out, "dx")
		for name, t := range out {
			u.addGradient(p.program.InLayer(name, layer), t)
		}
		states[state].Free()
		return nil
	}
	if err := back(parts.NormGradient, 0, len(states)-1); err != nil {
		return nil, err
	}
	for i := c.Layers - 1; i >= 0; i-- {
		if err := back(parts.LayerGradient, i, i); err != nil {
			return nil, err
		}
	}
	if parts.EmbedGradient == nil {
		return u, nil
	}
	out, err := p.run(parts.EmbedGradient, 0, map[string]*ort.Tensor{"d": d})
	if err != nil {
		return nil, err
	}
	features := out["dfeatures"]
	delete(out, "dfeatures")
	u.add(out)
	if parts.VisionGradient == nil {
		return u, nil
	}
	defer features.Free()
	p.feedPictures(p.lane.parts[parts.VisionGradient], prompts...)
	if out, err = p.run(parts.VisionGradient, 0, map[string]*ort.Tensor{"d": features}); err != nil {
		return nil, err
	}
	u.add(out)
	return u, nil
}

// addRows adds row i of from to row at[i] of to, both of the given width, in order.
func addRows(to, from []float32, at []int64, width int) {
	for i := range len(from) / width {
		row := to[int(at[i])*width:][:width]
		for j, v := range from[i*width:][:width] {
			row[j] += v
		}
	}
}

func freeAll(tensors []*ort.Tensor) {
	for _, t := range tensors {
		t.Free()
	}
}
