package train

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"mixr/runtime/data"
	"mixr/runtime/models/family"
	"mixr/runtime/reward"
	"mixr/runtime/spec"
)

// Inputs is what an experiment names, opened and checked: data and policy.
type Inputs struct {
	Experiment *spec.Experiment
	Policy     *family.Checkpoint
	Weights    string // folder of the initial weights: the policy's own, or the result of the run before in a chain of stages
	Data       *data.Set

	// Content hashes, hex sha256: of the data of each source; of architecture, tokenizer and (unless init is random) weights.
	DataHash    map[string]string
	WeightsHash string
}

// Open loads data and policy of an experiment. Its errors are for the person who wrote the experiment.
func Open(r *spec.Resolved) (*Inputs, error) { return NewShelf().Open(r) }

// Open is Open, reading only what is not on the shelf yet.
func (s *Shelf) Open(r *spec.Resolved) (*Inputs, error) {
	in, err := s.OpenAfter(r)
	if err != nil {
		return nil, err
	}
	in.WeightsHash, err = s.policyHash(in.Policy.Dir, r.Experiment.Policy.Init)
	return in, err
}

// OpenAfter is Open for a later stage of a chain: its weights are those that the stage before will leave, so that none are looked for
// and WeightsHash stays empty. The caller sets Weights before the run.
func (s *Shelf) OpenAfter(r *spec.Resolved) (*Inputs, error) {
	in := &Inputs{Experiment: r.Experiment}
	from, err := r.Path("policy.from")
	if err != nil {
		return nil, err
	}
	dir, err := s.folder(from)
	if err != nil {
		return nil, err
	}
	if in.Policy, err = s.policy(dir); err != nil {
		return nil, err
	}
	if want, is := r.Experiment.Policy.Family, in.Policy.Model.Family(); want != "" && want != is {
		return nil, fmt.Errorf("policy.family: got %q, and the checkpoint in %s is a %s", want, dir, is)
	}
	in.Weights = dir
	if err := in.checkLengths(); err != nil {
		return nil, err
	}
	sources := map[string]spec.Source{}
	for name, source := range r.Experiment.Data.Sources {
		if source.Card, err = r.Path("data.sources." + name + ".card"); err != nil {
			return nil, err
		}
		sources[name] = source
	}
	if in.Data, err = s.cards.Load(sources, ""); err != nil {
		return nil, err
	}
	if err := in.checkRows(); err != nil {
		return nil, err
	}
	in.DataHash, err = s.dataHashes(in.Data)
	return in, err
}

// checkLengths refuses completions longer than the policy's positions.
func (in *Inputs) checkLengths() error {
	e := in.Experiment
	if e.GRPO != nil {
		if err := in.Policy.Model.Decoder().CheckCompletion(e.GRPO.MaxCompletionTokens); err != nil {
			return fmt.Errorf("grpo.%w", err)
		}
	}
	if e.Eval.Examples > 0 {
		if err := in.Policy.Model.Decoder().CheckCompletion(e.Eval.MaxCompletionTokens); err != nil {
			return fmt.Errorf("eval.%w", err)
		}
	}
	return nil
}

// maxRowMistakes bounds how many rows one error names; the first ones show what is wrong.
const maxRowMistakes = 10

// checkRows refuses rows that the experiment could not use: without a target to learn in stage sft, or with gold that its
// rewards cannot score against; and a source without the rows that training or evaluation needs. What depends on no
// experiment, package data has checked.
func (in *Inputs) checkRows() error {
	scorer, err := in.scorer(make([]float32, in.Policy.Model.Decoder().Vocab), 1) // no reward reads the table to check gold
	if err != nil {
		return err
	}
	var mistakes spec.Diagnostics
	add := func(source string, pos spec.Pos, msg, hint string) {
		mistakes = append(mistakes, spec.Diagnostic{Pos: pos, Path: fmt.Sprintf("source %q", source), Msg: msg, Hint: hint})
	}
	check := func(source string, ex data.Example, learns bool) {
		switch {
		case learns && ex.Target == "":
			add(source, ex.Pos(), fmt.Sprintf("example %s has no target: stage sft learns one from every row", ex.ID), "")
		case scorer != nil:
			if err := scorer.CheckGold(ex); err != nil {
				add(source, ex.Pos(), err.Error(), "")
			}
		}
	}
	for _, source := range in.Data.Sources() {
		e, card := in.Experiment, spec.Pos{File: in.Data.Card(source).Path()}
		task := e.Data.Sources[source].Task
		if e.Eval.Examples > 0 && len(in.Data.EvalSet(source, 1)) == 0 {
			hint := "add a test split with such rows"
			if e.Stage != "eval" {
				hint += ", or set eval.examples: 0"
			}
			add(source, card, fmt.Sprintf("no test rows with task %q, and eval.examples is %d", task, e.Eval.Examples), hint)
		}
		if e.Stage != "eval" {
			if len(in.Data.Train(source)) == 0 {
				add(source, card, fmt.Sprintf("no training rows with task %q", task), "")
			}
			for _, ex := range in.Data.Train(source) {
				check(source, ex, e.Stage == "sft")
			}
		}
		for _, ex := range in.Data.EvalSet(source, e.Eval.Examples) {
			check(source, ex, false)
		}
	}
	slices.SortStableFunc(mistakes, func(a, b spec.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line))
	})
	if more := len(mistakes) - maxRowMistakes; more > 0 {
		file := mistakes[maxRowMistakes].Pos.File
		mistakes = append(mistakes[:maxRowMistakes], spec.Diagnostic{Pos: spec.Pos{File: file}, Msg: fmt.Sprintf("and %d more rows", more)})
	}
	return mistakes.Err()
}

// scorer scores by the experiment's rewards, with token rows of the given width from an embedding table. It is nil for
// supervised training without evaluation, which scores nothing.
func (in *Inputs) scorer(table []float32, width int) (*reward.Scorer, error) {
	if in.Experiment.Stage == "sft" && in.Experiment.Eval.Examples == 0 {
		return nil, nil
	}
	tok := in.Policy.Tokenizer.Clone() // a tokenizer serves one goroutine
	special := slices.Collect(maps.Values(tok.SpecialTokens()))
	embedding, err := reward.NewEmbedding(tok, table, width, special)
	if err != nil {
		return nil, err
	}
	return reward.NewScorer(in.Experiment, reward.Options{
		Embedder: embedding, Space: reward.SpaceOf(in.Policy.Model.Family()), References: in.references(),
	})
}

// references are the gold answers of the training examples of open tasks, source by source in canonical order.
func (in *Inputs) references() (out []string) {
	for _, source := range in.Data.Sources() {
		for _, ex := range in.Data.Train(source) {
			if ex.Task == data.Open {
				out = append(out, ex.Answers...)
			}
		}
	}
	return out
}
