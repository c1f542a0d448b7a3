package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mixr/runtime/compile"
	"mixr/runtime/ort"
	"mixr/runtime/ort/fetch"
	"mixr/runtime/plan"
	"mixr/runtime/spec"
)

func (a *app) planCommand() *cobra.Command {
	var o trialOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "plan FILE[#NAME]",
		Short: "say what a run would do, and why",
		Long: `Print every trial of an experiment or study with its fingerprint, its state and the reason in words:
whether it is done already, goes on from a checkpoint, or what has changed since it ran; and what
memory it takes, for what, and what other ways to train it would take. Nothing is
started and nothing is fetched; a policy of the hub must be in the cache already.`,
		Example: `  mixr plan experiments/mixed_r1/reward_ladder.cue
  mixr plan experiments/quickstart.cue --set grpo.kl=0.1
  mixr plan experiments/mixed_r1/reward_ladder.cue --only seed-1 --json`,
		Args: arguments(1, false),
		RunE: func(_ *cobra.Command, args []string) error { return a.plan(args[0], o, asJSON) },
	}
	o.bind(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the trials as JSON")
	return c
}

// trialOptions choose and change the trials of a file.
type trialOptions struct{ set, only []string }

func (o *trialOptions) bind(c *cobra.Command) {
	bindSet(c, &o.set)
	c.Flags().StringArrayVar(&o.only, "only", nil, "only trials whose name is or ends in `TRIAL`, such as seed-1 (repeatable)")
}

// trials loads a file and expands it.
func (o trialOptions) trials(path string) (*spec.File, []plan.Trial, error) {
	file, mistakes := spec.Load(path, o.set)
	if len(mistakes) > 0 {
		return nil, nil, mistakes
	}
	trials := plan.Expand(file)
	if o.only == nil {
		return file, trials, nil
	}
	chosen, err := plan.Find(trials, o.only)
	if err != nil {
		return nil, nil, usagef("--only: %w", err)
	}
	return file, chosen, nil
}

func (a *app) plan(path string, o trialOptions, asJSON bool) error {
	_, trials, err := o.trials(path)
	if err != nil {
		return err
	}
	inputs, err := a.openAll(trials, a.shelf(held))
	if err != nil {
		return err
	}
	version, err := a.onnxruntimeVersion()
	if err != nil {
		return err
	}
	all, err := a.schedule(trials, inputs, version)
	if err != nil {
		return err
	}
	memory := make([][]estimate, len(all))
	for i, s := range all {
		if memory[i], err = a.estimates(s.inputs, true); err != nil {
			return err
		}
	}
	if asJSON {
		return a.printPlanJSON(all, memory)
	}
	rows := [][]string{{"TRIAL", "FINGERPRINT", "STATE", "MEMORY", "WHY"}}
	toRun, done := 0, 0
	for i, s := range all {
		rows = append(rows, []string{s.Name, s.print.Short(), string(s.why.Kind), size(written(memory[i]).here.Total()), s.reason()})
		switch s.why.Kind {
		case plan.Skip:
			done++
		case busy:
		default:
			toRun++
		}
	}
	if err := columns(a.out, rows); err != nil {
		return err
	}
	for _, s := range all {
		if s.Also != nil {
			fmt.Fprintf(a.out, "%s stands for %s too\n", s.Name, strings.Join(s.Also, ", "))
		}
	}
	fmt.Fprintf(a.out, "%s: %d done, %d to run\n", counted(len(all), "trial"), done, toRun)
	total, _ := memoryHere()
	largest := 0
	for i, s := range all {
		if written(memory[i]).here.Total() > written(memory[largest]).here.Total() {
			largest = i
		}
		if total > 0 && written(memory[i]).here.Total() > total && s.why.Kind != plan.Skip {
			fmt.Fprintln(a.out, tooLarge(s.Name, memory[i], total))
		}
	}
	return a.printMemory(a.out, all[largest].Name, memory[largest])
}

func (a *app) printPlanJSON(all []scheduled, memory [][]estimate) error {
	type trial struct {
		Trial       string            `json:"trial"`
		Also        []string          `json:"also,omitempty"` // equal trials of the study that share its run
		Labels      map[string]string `json:"labels"`
		Seed        uint64            `json:"seed,string"`
		Fingerprint plan.Fingerprint  `json:"fingerprint"`
		State       plan.Kind         `json:"state"`
		Why         string            `json:"why"`
		Dir         string            `json:"dir"`               // where it runs or has run
		Changes     []spec.Change     `json:"changes,omitempty"` // against the run it is compared with
		Memory      compile.Memory    `json:"memory"`            // at most, by purpose
	}
	out := []trial{}
	for i, s := range all {
		out = append(out, trial{s.Name, s.Also, s.Labels, s.Seed, s.print, s.why.Kind, s.reason(), s.dir, s.why.Changes, written(memory[i]).here})
	}
	return a.printJSON(out)
}

// onnxruntimeVersion is the version of the library that a run would use: of the one that is here, else of the one that would be
// fetched. It is a part of every fingerprint.
func (a *app) onnxruntimeVersion() (string, error) {
	lib, err := fetch.Look(a.fetchOptions())
	if err != nil || lib == "" {
		return fetch.Version, err
	}
	engine, err := ort.Open(lib)
	if err != nil {
		return "", err
	}
	return engine.Version(), engine.Close()
}
