package train

import (
	"fmt"
	"math"
	"slices"

	"mixr/runtime/data"
	"mixr/runtime/grpo"
	"mixr/runtime/models/decoder"
	"mixr/runtime/ort"
	"mixr/runtime/spec"
)

// sampling says how completions are drawn.
type sampling struct {
	seed        uint64
	first       int     // index of the first completion among all that the run draws for this example
	count       int     // G
	temperature float64 // 0 = greedy
	maxTokens   int
	stop        []int // tokens that end a completion

	filter *decoder.Filter // of the distribution drawn from; nil where nothing narrows it
	texts  *stopTexts      // that end a completion; nil for none

	each func(token int) bool // if not nil: told every token but those of stop; false ends the completion
}

// sampling is that of an example by a rollout's or evaluation's options. seed, first and count are the caller's.
func (r *runner) sampling(l *lane, ex data.Example, o spec.Sampling, temperature float64, maxTokens int) sampling {
	s := sampling{temperature: temperature, maxTokens: maxTokens, stop: r.stop, filter: filterOf(o, temperature)}
	if n := o.TaskTokens[string(ex.Task)]; n > 0 {
		s.maxTokens = min(n, maxTokens)
	}
	s.texts = newStopTexts(o.Stop, l.prompter.tok)
	return s
}

// filterOf is what options make of the distribution; nil if they leave it as it is.
func filterOf(o spec.Sampling, temperature float64) *decoder.Filter {
	f := decoder.Filter{RepetitionPenalty: o.RepetitionPenalty, Temperature: temperature, TopK: o.TopK, TopP: o.TopP, MinP: o.MinP}
	if !f.Narrows() {
		return nil
	}
	return &f
}

// completion is one sampled answer.
type completion struct {
	tokens []int // the stop token, or all of a stop text, included where it was reached
	// The natural-log probability of each token: logp under the distribution it was drawn from, own under the policy's at the sampling
	// temperature, with which it is one slice where nothing narrows the distribution. nil for a greedy one, which was not drawn.
	logp, own []float32
	finish    string // eos | length | stop (by a text) | stopped (by sampling.each)
}

// span is a run of neighbours, [from, to).
type span struct{ from, to int }

// batches says which of n prompts with g completions each decode side by side. A product takes as long for 8 rows as for 16, and grows with
// them from there; what else a run of the graph takes hardly does, so that up to some 48 rows each saves a fifth of the time and more.
// Beyond that little is gained, and memory and workers are needed. An even number of equal batches suits two workers; it must not follow
// from how many there are, as the rounding of sums depends on the number of rows.
func batches(n, g int) []span {
	const rows = 48
	count := (n*g + rows - 1) / rows
	count = min(n, count+count%2)
	out := make([]span, count)
	at := 0
	for i := range out {
		out[i] = span{at, at + (n-at)/(count-i)}
		at = out[i].to
	}
	return out
}

// rolloutAll renders examples and samples their completions side by side. The samplings differ in first and maxTokens alone.
func (r *runner) rolloutAll(l *lane, examples []data.Example, s []sampling) ([]*group, error) {
	prompts := make([]*prompt, len(examples))
	for i, ex := range examples {
		var err error
		if prompts[i], err = l.prompter.render(ex); err != nil {
			return nil, err
		}
	}
	return r.sampleGroups(l, prompts, s)
}

// sampleGroups samples the completions of rendered prompts side by side; see rolloutAll.
func (r *runner) sampleGroups(l *lane, prompts []*prompt, s []sampling) ([]*group, error) {
	groups, questions := make([]*group, len(prompts)), make([]asked, len(prompts))
	defer func() {
		for _, q := range questions {
			q.features.Free()
		}
	}()
	for i, p := range prompts {
		groups[i] = &group{prompt: p}
		features, err := r.model.features(l.policy.vision, p)
		if err != nil {
			return nil, err
		}
		if features != nil && !r.model.program.TrainsVision {
			groups[i].features = append(groups[i].features, features.Float32()...)
		}
		questions[i] = asked{p, features, s[i].first, s[i].maxTokens}
	}
	completions, err := r.model.sampleAll(l, s[0], questions)
	if err != nil {
		return nil, err
	}
	for i, c := range completions {
		groups[i].completions = c
	}
	return groups, nil
}

// narrowed reports whether the tokens were drawn from a narrower distribution than the policy's own.
func (c *completion) narrowed() bool { return len(c.own) > 0 && &c.own[0] != &c.logp[0] }

// asked is a prompt whose completions are drawn.
type asked struct {
	prompt    *prompt
	features  *ort.Tensor // of its pictures; nil for a policy without a tower
	first     int         // as in sampling
	maxTokens int
}

// sample draws the completions of one prompt.
func (m *model) sample(l *lane, p *prompt, features *ort.Tensor, s sampling) ([]completion, error) {
	out, err := m.sampleAll(l, s, []asked{{p, features, s.first, s.maxTokens}})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// sampleAll draws the completions of several prompts, by prompt; what a question says goes before s. Each prompt is run once, and its
// cache is shared by its completions; those of all prompts decode side by side until each has stopped. The uniform of a token depends on
// (seed, example, completion, position) alone, and so does the token on who else decodes beside it: but for the rounding of sums, which
// may differ with the number of rows. So the questions of a batch, and their order, must follow from what is asked alone.
func (m *model) sampleAll(l *lane, s sampling, questions []asked) ([][]completion, error) {
	b, out := newBatch(m, l, s, questions), make([][]completion, len(questions))
	defer b.Close()
	for i := range questions {
		out[i] = make([]completion, s.count)
		if err := b.begin(&questions[i], out[i]); err != nil {
			return nil, err
		}
	}
	for len(b.rows) > 0 {
		if err := b.step(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// row is a completion that is being drawn.
type row struct {
	*completion
	question *asked
	uniforms grpo.Stream
	seen     []bool // [V] tokens of prompt and completion; nil unless they are penalised
}

// drawn are tokens that a run has drawn, or the logits to draw them from, by row; logits may be one row for all.
type drawn struct {
	next   []int64
	logp   []float32
	logits []float32
}

// take gives row i of what was drawn to r and reports whether it goes on.
func (b *batch) take(r *row, d drawn, i int) (goesOn bool, err error) {
	s, vocab := &b.sampling, b.model.program.Model.Decoder().Vocab
	var token int
	var logp, own float64
	if b.picker != nil {
		at := i * vocab
		if len(d.logits) == vocab {
			at = 0
		}
		token, logp, own = b.picker.Pick(d.logits[at:at+vocab], r.seen, float64(r.uniforms.Uniform(len(r.tokens))))
	} else {
		token, logp = int(d.next[i]), float64(d.logp[i])
	}
	if math.IsNaN(logp) || token < 0 || token >= vocab {
		return false, fmt.Errorf("example %s: sampling gave token %d with log-probability %v: the policy's logits are not finite",
			r.question.prompt.example.ID, token, logp)
	}
	r.tokens = append(r.tokens, token)
	if s.temperature > 0 {
		r.logp = append(r.logp, float32(logp))
		if b.picker != nil {
			r.own = append(r.own, float32(own))
		} else {
			r.own = r.logp
		}
	}
	if r.seen != nil {
		r.seen[token] = true
	}
	switch {
	case slices.Contains(s.stop, token):
		r.finish = "eos"
	case s.each != nil && !s.each(token):
		r.finish = "stopped"
	case s.texts.ends(r.tokens):
		r.finish = "stop"
	case len(r.tokens) == r.question.maxTokens:
		r.finish = "length"
	}
	return r.finish == "", nil
}
