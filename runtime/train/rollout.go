package train

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"mixr/runtime/grpo"
	"mixr/runtime/nn"
	"mixr/runtime/ort"
)

// sampling says how completions are drawn.
type sampling struct {
	seed        uint64
	first       int     // index of the first completion among all that the run draws for this example
	count       int     // G
	temperature float64 // 0 = greedy
	maxTokens   int
	stop        []int // tokens that end a completion; the first is fed to rows that have stopped

	each func(token int) bool // if not nil: told every token but those of stop; false ends the completion
}

// completion is one sampled answer.
type completion struct {
	tokens []int     // the stop token included where it was reached
	logp   []float32 // log-probability of each token under the distribution it was drawn from; nil for a greedy one, which was not drawn
	finish string    // eos | length | stopped (by sampling.each)
}

// sample draws the completions of one prompt. The prompt is run once; its cache is shared by all completions, which decode side
// by side until each has stopped. The uniform of a token depends on (seed, example, completion, position) alone.
func (m *model) sample(l *lane, p *prompt, features *ort.Tensor, s sampling) ([]completion, error) {
	if err := m.cache(l, s.count, s.maxTokens); err != nil {
		return nil, err
	}
	greedy, temperature := s.temperature == 0, []float32{float32(s.temperature)}
	if greedy {
		temperature[0] = 1
	}
	out := make([]completion, s.count)
	uniforms := func(position int) []float32 {
		u := make([]float32, s.count)
		for g := range u {
			u[g] = grpo.Uniform(s.seed, p.example.ID, s.first+g, position)
		}
		return u
	}

	r := pack(m.program.Model.Decoder(), []sequence{{prompt: p}})
	r.feedTo(l.prefill)
	if features != nil {
		l.prefill.set("features", features)
	}
	feed(l.prefill, "last", []int64{int64(len(p.IDs) - 1)}, 1)
	feed(l.prefill, "u", uniforms(0), s.count, 1)
	feed(l.prefill, "temperature", temperature, 1)
	prompt, err := l.prefill.run()
	if err != nil {
		return nil, err
	}
	defer free(prompt)
	for i := range m.program.Model.Decoder().Layers {
		for _, name := range []string{"k." + strconv.Itoa(i), "v." + strconv.Itoa(i)} {
			l.decode.set(name, prompt[name])
		}
	}

	d := takeDraw(prompt)
	for position := 0; ; position++ {
		next, done := make([]int64, s.count), true
		for g := range out {
			c := &out[g]
			next[g] = int64(s.stop[0])
			if c.finish != "" {
				continue // a finished row decodes on unread, since the batch keeps its shape
			}
			token := d.next[g]
			if greedy {
				token = d.greedy[min(g, len(d.greedy)-1)] // the prefill has one row for all
			}
			if lp := float64(d.logp[g]); math.IsNaN(lp) || token < 0 || int(token) >= m.program.Model.Decoder().Vocab {
				return nil, fmt.Errorf("example %s: sampling gave token %d with log-probability %v: the policy's logits are not finite",
					p.example.ID, token, lp)
			}
			c.tokens = append(c.tokens, int(token))
			if !greedy { // the graph's log-probability is that of the token it drew
				c.logp = append(c.logp, d.logp[g])
			}
			switch {
			case slices.Contains(s.stop, int(token)):
				c.finish = "eos"
			case s.each != nil && !s.each(int(token)):
				c.finish = "stopped"
			case len(c.tokens) == s.maxTokens:
				c.finish = "length"
			default:
				next[g], done = token, false
			}
		}
		if done {
			return out, nil
		}
		if d, err = m.decodeStep(l, p, s, next, position, uniforms(position+1), temperature); err != nil {
			return nil, err
		}
	}
}

// draw is what one prefill or decode run sampled, by row.
type draw struct {
	next, greedy []int64
	logp         []float32
}

func takeDraw(out map[string]*ort.Tensor) draw {
	return draw{
		slices.Clone(out["next"].Int64()), slices.Clone(out["greedy"].Int64()), slices.Clone(out["logp"].Float32()),
	}
}

// decodeStep feeds the tokens at the given completion position and samples those at the next.
func (m *model) decodeStep(l *lane, p *prompt, s sampling, tokens []int64, position int, u, temperature []float32) (draw, error) {
	g, c := s.count, s.maxTokens
	row, at, mask := make([]int64, g), make([]int64, g), make([]float32, g*c)
	var pos [3][]int
	for i := range g {
		row[i], at[i] = int64(i), int64(position)
		for d := range pos {
			pos[d] = append(pos[d], p.Next+position)
		}
		for j := position + 1; j < c; j++ {
			mask[i*c+j] = nn.Hidden
		}
	}
	cos, sin := m.program.Model.Decoder().Tables(pos)
	b := l.decode
	feed(b, "token", tokens, g)
	feed(b, "pos", row, g, 1)
	feed(b, "cos", cos, g, len(cos)/g)
	feed(b, "sin", sin, g, len(sin)/g)
	feed(b, "at", at, g)
	feed(b, "mask", mask, g, 1, 1, c)
	feed(b, "u", u, g, 1)
	feed(b, "temperature", temperature, 1)
	out, err := b.run()
	if err != nil {
		return draw{}, err
	}
	defer free(out)
	return takeDraw(out), nil
}
