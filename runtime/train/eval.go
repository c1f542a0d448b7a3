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
	err := ordered(ctx, len(examples), len(r.lanes), 2*len(r.lanes), func(lane, i int) ([]table.Eval, error) {
		return r.evaluateExample(r.lanes[lane], examples[i], step, when)
	}, func(i int, v []table.Eval) error {
		rows = append(rows, v...)
		phase(i+1, nil)
		return nil
	}, nil)
	return rows, err
}

func (r *runner) evaluateExample(l *lane, ex data.Example, step int, when string) ([]table.Eval, error) {
	o := r.exp.Eval
	s := sampling{
		seed: r.exp.Seed ^ evalStream, count: o.Samples, temperature: o.Temperature, maxTokens: o.MaxCompletionTokens, stop: r.stop,
	}
	rows, err := r.evaluateSamples(l, ex, s)
	if err == nil && o.Greedy {
		s.count, s.temperature = 1, 0
		var beside []table.Eval
		if beside, err = r.evaluateSamples(l, ex, s); err == nil {
			beside[0].Sample = -1
			rows = append(rows, beside...)
		}
	}
	for i := range rows {
		rows[i].Step, rows[i].When = int32(step), when
	}
	return rows, err
}

// evaluateSamples samples and scores completions of an example, a row each without step and when.
func (r *runner) evaluateSamples(l *lane, ex data.Example, s sampling) ([]table.Eval, error) {
	g, err := r.rollout(l, ex, s)
	if err != nil {
		return nil, err
	}
	if err := g.reward(l, 1); err != nil {
		return nil, err
	}
	sha, err := itemSHA(ex)
	if err != nil {
		return nil, err
	}
	greedy := s.temperature == 0
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
