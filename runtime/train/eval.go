package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"mixr/runtime/data"
	"mixr/runtime/table"
)

// When an evaluation was made, as the column of table eval has it.
const (
	before = "before"
	during = "during"
	after  = "after"
)

// evaluate samples completions of every source's held-out examples and scores them; progress counts examples. Seeds do not
// depend on when: before and after differ by the policy alone, so that they compare pair by pair.
func (r *runner) evaluate(ctx context.Context, step int, when string) ([]table.Eval, error) {
	o := r.exp.Eval
	var examples []data.Example
	for _, source := range r.data.Sources() {
		examples = append(examples, r.data.EvalSet(source, o.Examples)...)
	}
	var rows []table.Eval
	name := "evaluate"
	switch {
	case when == during:
		name = fmt.Sprintf("evaluate at step %d", step)
	case r.exp.Stage != "eval":
		name += " " + when
	}
	phase := r.phase(name, len(examples))
	spans := batches(len(examples), o.Samples)
	err := ordered(ctx, len(spans), len(r.lanes), 2*len(r.lanes), func(lane, i int) ([]table.Eval, error) {
		return r.evaluateExamples(r.lanes[lane], examples[spans[i].from:spans[i].to], step, when)
	}, func(i int, v []table.Eval) error {
		rows = append(rows, v...)
		phase(spans[i].to, nil)
		return nil
	}, nil)
	return rows, err
}

// evaluateExamples samples completions of examples side by side: the rows of each in turn, those of its samples and then the greedy one.
func (r *runner) evaluateExamples(l *lane, examples []data.Example, step int, when string) (rows []table.Eval, err error) {
	o := r.exp.Eval
	sampled, err := r.evaluateSamples(l, examples, o.Samples, o.Temperature)
	if err != nil {
		return nil, err
	}
	var beside [][]table.Eval
	if o.Greedy {
		if beside, err = r.evaluateSamples(l, examples, 1, 0); err != nil {
			return nil, err
		}
	}
	for i := range examples {
		rows = append(rows, sampled[i]...)
		if o.Greedy {
			beside[i][0].Sample = -1
			rows = append(rows, beside[i]...)
		}
	}
	for i := range rows {
		rows[i].Step, rows[i].When = int32(step), when
	}
	return rows, nil
}

// evaluateSamples samples and scores completions of examples, by example, a row each without step and when.
func (r *runner) evaluateSamples(l *lane, examples []data.Example, count int, temperature float64) (rows [][]table.Eval, err error) {
	samplings := make([]sampling, len(examples))
	for i, ex := range examples {
		s := r.sampling(l, ex, r.exp.Eval.Sampling, temperature, r.exp.Eval.MaxCompletionTokens)
		s.seed, s.count = r.exp.Seed^evalStream, count
		samplings[i] = s
	}
	groups, err := r.rolloutAll(l, examples, samplings)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		of, err := r.evalRows(l, g, temperature == 0)
		if err != nil {
			return nil, err
		}
		rows = append(rows, of)
	}
	return rows, nil
}

// evalRows scores the completions of a group.
func (r *runner) evalRows(l *lane, g *group, greedy bool) ([]table.Eval, error) {
	ex := g.prompt.example
	if err := g.reward(l, 1); err != nil {
		return nil, err
	}
	sha, err := itemSHA(ex)
	if err != nil {
		return nil, err
	}
	var rows []table.Eval
	for j, c := range g.completions {
		res := g.results[j]
		row := table.Eval{
			ExampleID: ex.ID, ItemSHA: sha, Source: ex.Source, Task: string(ex.Task), Sample: int32(j), Greedy: &greedy,
			Question: text(ex.Question), Image: text(r.shown(ex)), Gold: text(gold(ex)),
			Completion: g.texts[j], Extracted: text(res.Extracted), Parsed: res.Parsed,
			Matching: res.Matching, Chart: res.Chart, IoU: res.IoU, BMAS: res.BMAS, Text: res.Text, Format: res.Format,
			Overlong: res.Overlong, Repetition: res.Repetition, Reward: res.Reward, NumTok: int32(len(c.tokens)), Finish: c.finish,
		}
		if ex.Task == data.YesNo || ex.Task == data.MCQ || ex.Task == data.Chart {
			right := res.TaskScore() == 1
			row.Correct = &right
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// evalStream keeps the uniforms of evaluation apart from those of training.
const evalStream = 0x6576616c // "eval"

// itemSHA is a content hash of question, gold and pictures.
func itemSHA(ex data.Example) (string, error) {
	h := sha256.New()
	for _, path := range slices.Concat(ex.Images, ex.Video) {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		h.Write(b)
	}
	item := []any{ex.Task, ex.Question, ex.Choices, ex.Answers, ex.Boxes}
	if len(ex.Video) > 0 {
		item = append(item, ex.FPS)
	}
	err := json.NewEncoder(h).Encode(item)
	return hex.EncodeToString(h.Sum(nil)), err
}

// shown names an example's pictures for a reader: the images, or the first frame of a video and their number.
func (r *runner) shown(ex data.Example) string {
	if n := len(ex.Video); n > 0 {
		return fmt.Sprintf("%s (video of %d frames)", r.relative(ex.Video[0]), n)
	}
	var paths []string
	for _, path := range ex.Images {
		paths = append(paths, r.relative(path))
	}
	return strings.Join(paths, " | ")
}

// gold is what counts as right, for a reader.
func gold(ex data.Example) string {
	if len(ex.Boxes) > 0 {
		b, err := json.Marshal(ex.Boxes)
		if err != nil {
			return ""
		}
		return string(b)
	}
	return strings.Join(ex.Answers, " | ")
}

// meanReward sums up an evaluation for listings: the mean over all samples.
func meanReward(rows []table.Eval) float64 { return *summarise(rows).values["reward"] }
