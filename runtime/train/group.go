package train

import (
	"mixr/runtime/data"
	"mixr/runtime/reward"
)

// group is a prompt with its sampled completions and all that was concluded from them.
type group struct {
	prompt      *prompt
	features    []float32 // [M, D] of the frozen tower; nil when the tower trains
	completions []completion
	texts       []string
	results     []reward.Result
	old, ref    []float32 // [C] in the order of pack; nil where not needed
	advantage   []float64 // by completion
	mean, std   float64   // of the group's rewards
}

// rollout renders one example and samples its completions.
func (r *runner) rollout(l *lane, ex data.Example, s sampling) (*group, error) {
	p, err := l.prompter.render(ex)
	if err != nil {
		return nil, err
	}
	return r.sampleGroup(l, p, s)
}

// sampleGroup samples the completions of a rendered prompt.
func (r *runner) sampleGroup(l *lane, p *prompt, s sampling) (*group, error) {
	g := &group{prompt: p}
	features, err := r.model.features(l.policy.vision, g.prompt)
	if err != nil {
		return nil, err
	}
	defer features.Free()
	if g.completions, err = r.model.sample(l, g.prompt, features, s); err != nil {
		return nil, err
	}
	if features != nil && !r.model.program.TrainsVision {
		g.features = append(g.features, features.Float32()...)
	}
	return g, nil
}

// reward scores each completion. progress is step / steps of the training, 1 in an evaluation.
func (g *group) reward(l *lane, progress float64) error {
	for _, c := range g.completions {
		text := l.prompter.tok.Decode(c.tokens, true)
		written := reward.Completion{Text: text, NumTokens: len(c.tokens), Progress: progress}
		result, err := l.scorer.ScoreCompletion(g.prompt.example, written, g.prompt.frame)
		if err != nil {
			return err
		}
		g.texts, g.results = append(g.texts, text), append(g.results, result)
	}
	return nil
}

// score gives the log-probabilities of the group's tokens under the sampling policy and the reference.
func (r *runner) score(l *lane, g *group, temperature float64) (err error) {
	p := r.model.program
	if !p.OnPolicy {
		if g.old, err = r.logp(l, &l.policy, g, temperature); err != nil {
			return err
		}
	}
	if p.HasReference {
		g.ref, err = r.logp(l, &l.reference, g, temperature)
	}
	return err
}

// logp scores the group's tokens on one side.
func (r *runner) logp(l *lane, s *side, g *group, temperature float64) ([]float32, error) {
	m, rows := r.model, pack(r.model.program.Model.Decoder(), []sequence{g.sequence()})
	if m.program.Layered != nil {
		p, err := m.openPass(l, s, rows, g.features, g.prompt)
		if err != nil {
			return nil, err
		}
		defer p.Close()
		return p.score(temperature)
	}
	rows.feedTo(s.score)
	done, err := m.see(s.score, s.vision, g.features, g.prompt)
	if err != nil {
		return nil, err
	}
	defer done()
	feed(s.score, "temperature", []float32{float32(temperature)}, 1)
	out, err := s.score.run()
	if err != nil {
		return nil, err
	}
	defer free(out)
	return append([]float32(nil), out["logp"].Float32()...), nil
}

func (g *group) sequence() sequence {
	s := sequence{prompt: g.prompt}
	for _, c := range g.completions {
		s.completions = append(s.completions, c.tokens)
	}
	return s
}
