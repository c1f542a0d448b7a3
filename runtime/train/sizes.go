package train

import (
	"cmp"
	"slices"

	"mixr/runtime/compile"
	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// Sizes are the largest that the experiment meets: its longest prompt, with its pictures, and completions as long as they may get.
// The longest prompt is sought among each source's longest question and largest first picture, the shortest is that of its shortest
// question: no other row is rendered.
func (in *Inputs) Sizes(workers, inFlight int) (compile.Sizes, error) {
	e := in.Experiment
	s := compile.Sizes{Workers: workers, InFlight: inFlight, KeepsEmbedding: e.Rewards.BMAS != nil}
	target, shortest := 1, 1<<30 // tokens of the longest target, and of the shortest of the prompts looked at
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
			slices.MinFunc(rows, func(a, b data.Example) int {
				return cmp.Compare(len(question(e.Prompt, a)), len(question(e.Prompt, b)))
			}),
		} {
			p, err := render.render(ex)
			if err != nil {
				return s, err
			}
			shortest = min(shortest, len(p.IDs))
			if len(p.IDs) > s.Prompt {
				s.Prompt, s.Pictures = len(p.IDs), p.pictures
			}
		}
		if e.SFT != nil {
			for _, ex := range rows {
				target = max(target, len(render.tok.Encode(ex.Target))+1)
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
		for _, b := range batches(s.Units, s.Group) {
			s.Beside = max(s.Beside, b.to-b.from)
		}
	case e.SFT != nil:
		unitOfExamples(&s, e.SFT, target, shortest)
	}
	return s, nil
}

// unitOfExamples fills the sizes of a unit of stage sft, for targets of up to that many tokens and prompts of at least that many.
func unitOfExamples(s *compile.Sizes, o *spec.SFT, target, shortest int) {
	s.Longest = s.Prompt + target - 1
	if o.PackTokens == 0 {
		s.Examples, s.Units = min(examplesPerUnit, o.BatchSize), (o.BatchSize+examplesPerUnit-1)/examplesPerUnit
		s.Windows, s.Tokens, s.Targets = s.Examples, s.Examples*s.Longest, s.Examples*target
		return
	}
	all := o.BatchSize * s.Longest
	s.Tokens = min(max(o.PackTokens, s.Longest), all)
	s.Units = min(o.BatchSize, 1+2*all/s.Tokens) // the first fit fills more than half of a unit
	s.Windows = (s.Tokens + s.Longest - 1) / s.Longest
	s.Examples = min(o.BatchSize, (s.Tokens+s.Prompt-1)/s.Prompt)               // with pictures as large as the largest
	s.Targets = max(target, min(s.Tokens, s.Tokens*target/(shortest+target-1))) // of examples that are mostly target
}

// pictured is how much of an example is picture: pixels of the first times number.
func pictured(ex data.Example) int {
	return ex.ImageSize[0] * ex.ImageSize[1] * (len(ex.Images) + len(ex.Video))
}
