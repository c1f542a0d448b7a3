package train

import (
	"fmt"
	"strconv"

	"mixr/runtime/graph"
	"mixr/runtime/grpo"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
	"mixr/runtime/ort"
)

// batch is the completions of some prompts while they decode side by side on a lane. All stand at the same place. A completion that has
// ended leaves the batch, and so does a prompt without completions: the last one takes its place, and tensors become views of their first
// rows. Room for keys and values is made as completions grow, so that attention runs over little more than there is.
//
// What a run reads changes in place from one to the next; tensors are made anew only where a shape changes.
type batch struct {
	model    *model
	lane     *lane
	sampling sampling
	picker   *decoder.Picker // where the host draws

	most      int // questions that there is memory for
	questions []*asked
	rows      []*row
	of        []int // the question of each row, as a place in questions
	place     int   // tokens fed to each row
	room      int   // C: tokens that there is memory for
	length    int   // S: tokens of the longest prompt

	shared, own map[string]*ort.Tensor // whole caches: k.i, v.i [P, K, S, E]; own_k.i, own_v.i [R, K, C, E]
	bound       map[string]*ort.Tensor // what the present shapes are bound to: views of caches, inputs, outputs
}

// newBatch makes a batch of up to that many questions.
func newBatch(m *model, l *lane, s sampling, questions []asked) *batch {
	b := &batch{model: m, lane: l, sampling: s, most: len(questions)}
	b.shared, b.own, b.bound = map[string]*ort.Tensor{}, map[string]*ort.Tensor{}, map[string]*ort.Tensor{}
	for _, q := range questions {
		b.length = max(b.length, len(q.prompt.IDs))
	}
	if s.filter != nil {
		b.picker = decoder.NewPicker(*s.filter, m.program.Model.Decoder().Vocab)
	}
	return b
}

// Close frees what the batch has made. Nothing runs on its tensors after it: another batch binds its own.
func (b *batch) Close() {
	b.lane.caches = max(b.lane.caches, sizeOf(b.shared)+sizeOf(b.own))
	for _, set := range []map[string]*ort.Tensor{b.bound, b.shared, b.own} {
		free(set)
	}
}

// begin runs a prompt and draws the first token of its completions. Those that go on become rows.
func (b *batch) begin(q *asked, completions []completion) error {
	s, p, prefill := &b.sampling, q.prompt, b.lane.prefill
	c := b.model.program.Model.Decoder()
	rows, u := make([]*row, len(completions)), make([]float32, len(completions))
	for g := range rows {
		rows[g] = &row{completion: &completions[g], question: q, uniforms: grpo.NewStream(s.seed, p.example.ID, q.first+g)}
		u[g] = rows[g].uniforms.Uniform(0)
		if b.picker != nil && s.filter.RepetitionPenalty != 1 {
			rows[g].seen = make([]bool, c.Vocab)
			for _, id := range p.IDs {
				rows[g].seen[id] = true
			}
		}
	}
	pack(c, []sequence{{prompt: p}}).feedTo(prefill)
	if q.features != nil {
		prefill.set("features", q.features)
	}
	feed(prefill, "last", []int64{int64(len(p.IDs) - 1)}, 1)
	temperature := b.temper(u)
	feed(prefill, "u", u, len(u), 1)
	feed(prefill, "temperature", []float32{temperature}, 1)
	out, err := prefill.run()
	if err != nil {
		return err
	}
	defer func() { free(out) }()
	d := drawn{out["next"].Int64(), out["logp"].Float32(), out["logits"].Float32()}
	going := false
	for g, r := range rows {
		goesOn, err := b.take(r, d, g)
		if err != nil {
			return err
		}
		if goesOn {
			b.rows, b.of, going = append(b.rows, r), append(b.of, len(b.questions)), true
		}
	}
	if !going {
		return nil
	}
	b.questions = append(b.questions, q)
	return b.keep(out)
}

// temper gives the temperature for the graph. Greedy is a temperature so small that any token but the largest, or equals of it, has
// probability 0; of equals the uniforms then take the first. It cannot overflow: logits are far below the 1e8 that would.
func (b *batch) temper(uniforms []float32) float32 {
	if b.sampling.temperature > 0 {
		return float32(b.sampling.temperature)
	}
	for i := range uniforms {
		uniforms[i] = 0x1p-24
	}
	return 1e-30
}

// caches calls f with the names of the key and value caches of each layer, of prompts and of completions.
func (b *batch) caches(f func(shared, own string) error) error {
	for i := range b.model.program.Model.Decoder().Layers {
		for _, kind := range []string{"k.", "v."} {
			name := kind + strconv.Itoa(i)
			if err := f(name, "own_"+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep stores the cache of the last question, as the prefill gave it: it is taken over where the batch has no other.
func (b *batch) keep(prefill map[string]*ort.Tensor) error {
	c, at := b.model.program.Model.Decoder(), len(b.questions)-1
	return b.caches(func(name, _ string) error {
		from := prefill[name]
		if b.most == 1 {
			b.shared[name] = from
			delete(prefill, name)
			return nil
		}
		if b.shared[name] == nil {
			t, err := b.model.engine.NewTensor(graph.F32, b.most, c.KVHeads, b.length, c.HeadWidth) // zeros: what is hidden must be finite
			if err != nil {
				return err
			}
			b.shared[name] = t
		}
		spaced(b.shared[name].Float32()[at*c.KVHeads*b.length*c.HeadWidth:], from.Float32(), c.KVHeads, b.length*c.HeadWidth)
		return nil
	})
}

// spaced copies n blocks that stand side by side to places that far apart.
func spaced(to, from []float32, n, stride int) {
	block := len(from) / n
	for i := range n {
		copy(to[i*stride:], from[i*block:(i+1)*block])
	}
}

// step feeds the last token of each row and draws the next.
func (b *batch) step() error {
	if b.place == b.room {
		if err := b.grow(); err != nil {
			return err
		}
	}
	c, decode := b.model.program.Model.Decoder(), b.lane.decode
	token, at, u := b.bound["token"].Int64(), b.bound["at"].Int64(), b.bound["u"].Float32()
	for i, r := range b.rows {
		token[i], at[i], u[i] = int64(r.tokens[b.place]), int64(b.place), r.uniforms.Uniform(b.place+1)
	}
	b.bound["temperature"].Float32()[0] = b.temper(u)
	b.bound["mask"].Float32()[b.place] = 0
	var pos [3][]int
	for _, q := range b.questions {
		for d := range pos {
			pos[d] = append(pos[d], q.prompt.Next+b.place)
		}
	}
	cos, sin := c.Tables(pos)
	copy(b.bound["cos"].Float32(), cos)
	copy(b.bound["sin"].Float32(), sin)
	if err := decode.compute(); err != nil {
		return err
	}
	b.place++
	d := drawn{b.bound["next"].Int64(), b.bound["logp"].Float32(), b.bound["logits"].Float32()}
	ended := false
	for i, r := range b.rows {
		goesOn, err := b.take(r, d, i)
		if err != nil {
			return err
		}
		ended = ended || !goesOn
	}
	if ended {
		return b.leave()
	}
	return nil
}

// grow makes room for more tokens: a quarter more than there is, so that the copies of a long completion stay few and attention over
// room that is empty little.
func (b *batch) grow() error {
	c := b.model.program.Model.Decoder()
	const least = 16
	had := b.room
	b.room += max(least, b.room/4/least*least)
	err := b.caches(func(_, name string) error {
		t, err := b.model.engine.NewTensor(graph.F32, len(b.rows), c.KVHeads, b.room, c.HeadWidth) // zeros: what is hidden must be finite
		if err != nil {
			return err
		}
		if old := b.own[name]; old != nil {
			n := len(b.rows) * c.KVHeads
			spaced(t.Float32(), old.Float32()[:n*had*c.HeadWidth], n, b.room*c.HeadWidth)
			old.Free()
		}
		b.own[name] = t
		return nil
	})
	if err != nil {
		return err
	}
	return b.bind()
}

// leave takes completions that have ended out of the batch, and prompts that have none left. Which row stands where follows from which
// have ended alone.
func (b *batch) leave() error {
	c := b.model.program.Model.Decoder()
	// move copies the caches of one row or prompt over those of another.
	move := func(caches map[string]*ort.Tensor, tokens, from, to int) {
		size := c.KVHeads * tokens * c.HeadWidth
		for _, t := range caches {
			x := t.Float32()
			copy(x[to*size:(to+1)*size], x[from*size:(from+1)*size])
		}
	}
	for i := 0; i < len(b.rows); {
		if b.rows[i].finish == "" {
			i++
			continue
		}
		last := len(b.rows) - 1
		if i != last {
			b.rows[i], b.of[i] = b.rows[last], b.of[last]
			move(b.own, b.room, last, i)
		}
		b.rows, b.of = b.rows[:last], b.of[:last]
	}
	for q := 0; q < len(b.questions); {
		if b.completionsOf(q) > 0 {
			q++
			continue
		}
		last := len(b.questions) - 1
		if q != last {
			b.questions[q] = b.questions[last]
			move(b.shared, b.length, last, q)
			for i, of := range b.of {
				if of == last {
					b.of[i] = q
				}
			}
		}
		b.questions = b.questions[:last]
	}
	if len(b.rows) == 0 {
		return nil
	}
	return b.bind()
}

// completionsOf counts the rows of a question.
func (b *batch) completionsOf(question int) (n int) {
	for _, of := range b.of {
		if of == question {
			n++
		}
	}
	return n
}

// bind binds the decode graph to the present rows, questions and room.
func (b *batch) bind() error {
	c, decode, p, r := b.model.program.Model.Decoder(), b.lane.decode, len(b.questions), len(b.rows)
	free(b.bound)
	clear(b.bound)
	var failed error
	bound := func(name string, t *ort.Tensor, err error) *ort.Tensor {
		if err != nil && failed == nil {
			failed = fmt.Errorf("decode: %s: %w", name, err)
		}
		if t != nil {
			b.bound[name] = t
		}
		return t
	}
	input := func(name string, dtype graph.DType, shape ...int) *ort.Tensor {
		t, err := b.model.engine.NewTensor(dtype, shape...)
		if bound(name, t, err) != nil {
			decode.set(name, t)
		}
		return t
	}
	output := func(name string, dtype graph.DType, shape ...int) {
		t, err := b.model.engine.NewTensor(dtype, shape...)
		if bound(name, t, err) != nil {
			decode.keep(decode.binding.Output(name, t))
		}
	}
	b.caches(func(shared, own string) error {
		t, err := b.shared[shared].View(p, c.KVHeads, b.length, c.HeadWidth)
		if bound(shared, t, err) != nil {
			decode.set(shared, t)
		}
		t, err = b.own[own].View(r, c.KVHeads, b.room, c.HeadWidth)
		if bound(own, t, err) != nil {
			decode.set(own, t)
			decode.keep(decode.binding.Output("o."+own, t))
		}
		return nil
	})
	group := 0
	for q := range b.questions {
		group = max(group, b.completionsOf(q))
	}
	slot, back := input("slot", graph.I64, p, group), input("back", graph.I64, r)
	pos, seen, mask := input("pos", graph.I64, r, 1), input("seen", graph.F32, p, 1, 1, b.length), input("mask", graph.F32, 1, 1, 1, b.room)
	input("token", graph.I64, r)
	input("at", graph.I64, r)
	input("u", graph.F32, r, 1)
	input("temperature", graph.F32, 1)
	input("cos", graph.F32, p, c.HeadWidth/2)
	input("sin", graph.F32, p, c.HeadWidth/2)
	output("next", graph.I64, r)
	output("logp", graph.F32, r)
	output("logits", graph.F32, r, c.Vocab)
	if failed != nil {
		return failed
	}
	taken := make([]int, p)
	for i, q := range b.of {
		place := q*group + taken[q]
		taken[q]++
		slot.Int64()[place], back.Int64()[i], pos.Int64()[i] = int64(i), int64(place), int64(q)
	}
	hide(mask.Float32()[b.place:])
	for q, x := range b.questions {
		hide(seen.Float32()[q*b.length+len(x.prompt.IDs) : (q+1)*b.length])
	}
	return nil
}

func hide(mask []float32) {
	for i := range mask {
		mask[i] = nn.Hidden
	}
}
