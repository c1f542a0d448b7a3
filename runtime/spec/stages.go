package spec

import (
	"slices"
	"strings"
)

// Stages splits an experiment whose stage is a chain, "sft+grpo", into one experiment a stage, in their order: each has its own block
// alone, and every one but the last is called NAME_STAGE. Those after the first start from the result of the one before; where that
// lies is no part of an experiment. An experiment of one stage is itself.
func (r *Resolved) Stages() []*Resolved {
	stages := strings.Split(r.Experiment.Stage, "+")
	if len(stages) == 1 {
		return []*Resolved{r}
	}
	var out []*Resolved
	for i, stage := range stages {
		e := *r.Experiment
		e.Stage = stage
		if i < len(stages)-1 {
			e.Name += "_" + stage
		}
		if i > 0 {
			e.Policy.Init = "weights"
		}
		if stage != "grpo" {
			e.GRPO = nil
		}
		if stage != "sft" {
			e.SFT = nil
		}
		leaves := slices.DeleteFunc(slices.Clone(r.Leaves), func(l Leaf) bool {
			block, _, _ := strings.Cut(l.Path, ".")
			return block != stage && slices.Contains(stages, block)
		})
		for path, value := range map[string]string{"stage": e.Stage, "name": e.Name, "policy.init": e.Policy.Init} {
			if at := slices.IndexFunc(leaves, func(l Leaf) bool { return l.Path == path }); at >= 0 {
				leaves[at].Value = string(encode(value))
			}
		}
		out = append(out, &Resolved{&e, leaves})
	}
	return out
}
