package train

import (
	"cmp"
	"slices"

	"mixr/runtime/compile"
	"mixr/runtime/data"
)

// Sizes are the largest that the experiment meets: its longest prompt, with its pictures, and completions as long as they may get.
// The longest prompt is sought among each source's longest question and largest first picture, so that no other row is rendered.
func (in *Inputs) Sizes(workers, inFlight int) (compile.Sizes, error) {
	e := in.Experiment
	s := compile.Sizes{Workers: workers, InFlight: inFlight, KeepsEmbedding: e.Rewards.BMAS != nil}
	render := &prompter{spec: e.Prompt, checkpoint: in.Policy, tok: in.Policy.Tokenizer.Clone()}
	for _, source := range in.Data.Sources() {
		rows := slices.Clone(in.Data.EvalSet(source, e.Eval.Examples))
		if e.Stage != "eval" {
			rows = append(rows, in.Data.Train(source)...)
		}
		if len(rows) == 0 {
			continue
		}
		for _, ex := range []data.Example{
			slices.MaxFunc(rows, func(a, b data.Example) int {
				return cmp.Compare(len(question(e.Prompt, a)), len(question(e.Prompt, b)))
			}),
			slices.MaxFunc(rows, func(a, b data.Example) int {
				return cmp.Compare(pictured(a), pictured(b))
			}),
		} {
			p, err := render.render(ex)
			if err != nil {
				return s, err
			}
			if len(p.IDs) > s.Prompt {
				s.Prompt, s.Pictures = len(p.IDs), p.pictures
			}
		}
		if e.SFT != nil {
			for _, ex := range rows {
				s.Target = max(s.Target, len(render.tok.Encode(ex.Target))+1)
			}
		}
	}
	if e.Eval.Examples > 0 {
		s.Completion, s.Group = e.Eval.MaxCompletionTokens, e.Eval.Samples
	}
	switch {
	case e.GRPO != nil:
		s.Completion, s.Group = max(s.Completion, e.GRPO.MaxCompletionTokens), max(s.Group, e.GRPO.GroupSize)
		s.Units = e.GRPO.BatchSize / e.GRPO.GroupSize
	case e.SFT != nil:
		s.Rows, s.Units = min(rowsPerUnit, e.SFT.BatchSize), (e.SFT.BatchSize+rowsPerUnit-1)/rowsPerUnit
	}
	return s, nil
}

// pictured is how much of an example is picture: pixels of the first times number.
func pictured(ex data.Example) int {
	return ex.ImageSize[0] * ex.ImageSize[1] * (len(ex.Images) + len(ex.Video))
}
