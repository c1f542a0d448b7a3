package train

import (
	"slices"

	"mixr/runtime/reward"
)

// group is a prompt with its sampled completions and all that was concluded from them.
type group struct {
	prompt      *prompt
	features    []float32 // [M, D] of the frozen tower; nil when the tower trains
	completions []completion
	texts       []string
	results     []reward.Result

	slot    int  // among the prompts of the step's update
	dropped bool // without spread, and out of the update

	old, ref  []float32   // [C] in the order of pack: log-probabilities of the policy that sampled, and of the reference; nil where not needed
	entropy   []float32   // [C] of the policy that sampled; nil where not needed
	now       []float32   // [C] log-probabilities under the weights before the update at work; nil where not needed
	penalty   []float64   // by completion: what the KL takes off the reward; nil where it stands in the loss, or nowhere
	kl        [][]float64 // by completion and token, of the penalty
	advantage []float64   // by completion
	mean, std float64     // of the group's rewards, less penalties
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

// score gives the log-probabilities of the group's tokens under the policy, where anything reads them before the gradient computes them
// again, and under the reference.
func (r *runner) score(l *lane, g *group, temperature float64) (err error) {
	p := r.model.program
	if !p.OnPolicy || p.ScoresEntropy || p.Variant.KLInReward {
		if g.old, g.entropy, err = r.scores(l, &l.policy, g, temperature, noPlace); err != nil {
			return err
		}
	}
	if p.HasReference {
		g.ref, err = r.logp(l, &l.reference, g, temperature)
	}
	return err
}

// noPlace is the place of a group that is scored without dropout.
const noPlace = -1

// logp gives the log-probabilities [C] of the group's tokens on one side.
func (r *runner) logp(l *lane, s *side, g *group, temperature float64) ([]float32, error) {
	logp, _, err := r.scores(l, s, g, temperature, noPlace)
	return logp, err
}

// scores gives the log-probabilities [C] of the group's tokens on one side and, where the program scores them, their entropies. place is
// the group's among those of all updates, by which adapters drop inputs in a layered pass; noPlace drops none.
func (r *runner) scores(l *lane, s *side, g *group, temperature float64, place int) (logp, entropy []float32, err error) {
	m, sequences := r.model, []sequence{g.sequence()}
	rows := packGroup(m.program.Model.Decoder(), sequences[0])
	if m.program.Layered != nil {
		p, err := m.openPass(l, s, rows, g.features, g.prompt)
		if err != nil {
			return nil, nil, err
		}
		defer p.Close()
		if place != noPlace {
			sequences[0].place = place
			p.keys = r.dropoutKeys(rows, sequences)
		}
		return p.score(temperature)
	}
	rows.feedTo(s.score)
	done, err := m.see(s.score, s.vision, g.features, g.prompt)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	feed(s.score, "temperature", []float32{float32(temperature)}, 1)
	out, err := s.score.run()
	if err != nil {
		return nil, nil, err
	}
	defer free(out)
	if h := out["entropy"]; h != nil {
		entropy = slices.Clone(h.Float32())
	}
	return slices.Clone(out["logp"].Float32()), entropy, nil
}

func (g *group) sequence() sequence {
	s := sequence{prompt: g.prompt}
	for _, c := range g.completions {
		s.completions = append(s.completions, c.tokens)
	}
	return s
}

// masks are the tokens that count in the loss, by completion: all, or none of a completion that was cut.
func (g *group) masks(cut bool) [][]bool {
	out := make([][]bool, len(g.completions))
	for j, c := range g.completions {
		out[j] = slices.Repeat([]bool{!cut || c.finish != "length"}, len(c.tokens))
	}
	return out
}

// rows cuts values of all tokens [C] into those of each completion.
func (g *group) rows(values []float32) (out [][]float64) {
	for _, c := range g.completions {
		row := make([]float64, len(c.tokens))
		for t := range row {
			if values != nil {
				row[t] = float64(values[t])
			}
		}
		if values != nil {
			values = values[len(row):]
		}
		out = append(out, row)
	}
	return out
}

// drawnLogp are the log-probabilities of the distribution that the tokens were drawn from, in the order of pack.
func (g *group) drawnLogp() (all []float32) {
	for _, c := range g.completions {
		all = append(all, c.logp...)
	}
	return all
}
