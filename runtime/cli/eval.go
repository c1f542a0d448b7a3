package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mixr/runtime/data"
	"mixr/runtime/plan"
	"mixr/runtime/report"
	"mixr/runtime/spec"
)

func (a *app) evalCommand() *cobra.Command {
	var overrides []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "eval RUN|MODEL FILE[#NAME]",
		Short: "score a policy on held-out examples, without training",
		Long: `Evaluate a policy on the test split of every source of FILE: of an experiment, whose data, prompt,
rewards and eval are used, or of a dataset card, all tasks of which are asked with the schema's
templates and scored with its rewards. The result is a run like any other: it is made once, and
mixr diff compares two of them example by example.

` + policyNames,
		Example: `  mixr eval quickstart-0123abcd experiments/quickstart.cue
  mixr eval experiments/policies/nano datasets/nlvr/card.cue --set eval.max_completion_tokens=64
  mixr eval hf:Qwen/Qwen2.5-VL-3B-Instruct experiments/quickstart.cue --json`,
		Args: arguments(2, false),
		RunE: func(c *cobra.Command, args []string) error {
			return a.eval(c.Context(), args[0], args[1], overrides, asJSON)
		},
	}
	bindSet(c, &overrides)
	c.Flags().BoolVar(&asJSON, "json", false, "print the scores as JSON")
	return c
}

func (a *app) eval(ctx context.Context, policy, file string, overrides []string, asJSON bool) error {
	from, run, err := a.findPolicy(policy)
	if err != nil {
		return err
	}
	trial, err := evaluation(file, from, cmp.Or(run, from), overrides)
	if err != nil {
		return err
	}
	w, err := a.openWork(ctx, []plan.Trial{trial})
	if err != nil {
		return err
	}
	defer w.engine.Close()
	s := w.trials[0]
	if s.why.Kind != plan.Skip {
		if err := a.runTrial(ctx, w, s); err != nil {
			return err
		}
	}
	if !asJSON {
		if err := a.printResult(s); err != nil {
			return err
		}
		file := strings.TrimSuffix(s.Experiment.Name, label(cmp.Or(run, from)))
		if other := a.newestOther(s, func(r report.Listing) bool { return r.Stage == "eval" && strings.HasPrefix(r.Name, file) }); other != "" {
			a.printNext("diff " + other + " " + filepath.Base(s.dir))
		}
		return nil
	}
	scores, err := report.ReadEvaluation(s.dir)
	if err != nil {
		return err
	}
	return a.printJSON(struct {
		Run    string `json:"run"`
		Policy string `json:"policy"`
		*report.Evaluation
	}{s.dir, policy, scores})
}

// evaluation is the trial that scores the policy at from by a file, called eval_FILE_POLICY.
func evaluation(file, from, policy string, overrides []string) (plan.Trial, error) {
	quoted, err := json.Marshal(from)
	if err != nil {
		return plan.Trial{}, err
	}
	overrides = slices.Concat([]string{"policy.from=" + string(quoted), "policy.init=weights"}, overrides)
	var f *spec.File
	var mistakes spec.Diagnostics
	if isCard(file) {
		text, err := cardExperiment(file)
		if err != nil {
			return plan.Trial{}, usageError{err}
		}
		f, mistakes = spec.LoadText(filepath.Join(filepath.Dir(file), "evaluation-of-card.cue"), text, overrides)
	} else {
		f, mistakes = spec.Load(file, overrides)
	}
	switch {
	case len(mistakes) > 0:
		return plan.Trial{}, mistakes
	case f.Study:
		return plan.Trial{}, usagef("%s is a study: name an experiment or a dataset card", f.Path)
	}
	r := f.Rungs[0].Resolved
	if r.Experiment.Eval.Examples == 0 {
		return plan.Trial{}, usagef("%s: eval.examples is 0: nothing would be evaluated; add --set eval.examples=N", f.Path)
	}
	const longest = 64 // of a name, by the schema
	name, policy := "eval_"+r.Experiment.Name, label(policy)
	f.Rungs[0].Resolved = r.Evaluation(name[:max(min(len(name), longest-len(policy)), 0)] + policy)
	return plan.Expand(f)[0], nil
}

// label is the end of an evaluation's name: what a policy is called, in letters that the name of an experiment may have.
func label(policy string) string {
	policy, _, _ = strings.Cut(filepath.Base(policy), "@") // hf:ORG/NAME@REVISION
	return "_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.", r) {
			return r
		}
		return '-'
	}, strings.ToLower(policy[:min(len(policy), 40)]))
}

// cardExperiment writes the experiment that asks every task of a dataset card, each a source CARD_TASK, and rewards it as the schema
// routes it.
func cardExperiment(file string) (string, error) {
	card, err := data.LoadCard(file)
	if err != nil {
		return "", err
	}
	name := strings.ReplaceAll(card.Name, ".", "_") // sources have no dots
	sources, rewards := "", ""
	for _, task := range data.Tasks {
		if !slices.ContainsFunc(card.Rows("test"), func(ex data.Example) bool { return ex.Task == task }) {
			continue
		}
		sources += fmt.Sprintf("\t\t%q: {card: %q, task: %q}\n", name+"_"+string(task), filepath.Base(file), task)
		rewards += fmt.Sprintf("\t\t%s: {}\n", spec.Default("route."+string(task)))
	}
	if sources == "" {
		return "", fmt.Errorf("%s: the card has no rows in splits.test to evaluate on", file)
	}
	return fmt.Sprintf(`import "mixr.dev/schema"

experiment: schema.#Experiment & {
	name:  %q
	stage: "eval"
	data: sources: {
%s	}
	rewards: {
%s	}
}
`, card.Name, sources, rewards), nil
}
