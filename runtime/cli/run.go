package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"mixr/runtime/ort"
	"mixr/runtime/plan"
	"mixr/runtime/spec"
	"mixr/runtime/table"
	"mixr/runtime/train"
)

// numerics is the version of mixr's arithmetic. It changes when the same experiment would give other bits, and with it every
// fingerprint.
const numerics = "mixr-1"

func (a *app) runCommand() *cobra.Command {
	var overrides []string
	c := &cobra.Command{
		Use:   "run FILE[#NAME]",
		Short: "run an experiment or a study, or go on with it",
		Example: `  mixr run experiments/quickstart.cue
  mixr run experiments/quickstart.cue --set grpo.kl=0.1 --set seed=2`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runFile(c.Context(), args[0], overrides) },
	}
	c.Flags().StringArrayVar(&overrides, "set", nil, "override a value, as PATH=VALUE (may be repeated)")
	return c
}

func (a *app) runFile(ctx context.Context, path string, overrides []string) error {
	file, mistakes := spec.Load(path, overrides)
	if len(mistakes) > 0 {
		return mistakes
	}
	lib := a.machine.OrtLib
	engine, err := ort.Open(lib)
	if err != nil {
		return err
	}
	defer engine.Close()
	for _, t := range plan.Expand(file) {
		if err := a.runTrial(ctx, engine, t); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) runTrial(ctx context.Context, engine *ort.Engine, t plan.Trial) error {
	in, err := train.Open(t.Resolved)
	if err != nil {
		return err
	}
	print := plan.Identify(t.Experiment, plan.Parts{Data: in.DataHash, Weights: in.WeightsHash, Numerics: numerics + " onnxruntime " + engine.Version() + " " + runtime.GOARCH})
	dir := table.Folder(a.machine.Results, t.Experiment.Name, print.All)
	steps := 0
	if t.Experiment.GRPO != nil {
		steps = t.Experiment.GRPO.Steps
	} else {
		steps = t.Experiment.SFT.Steps
	}
	m := table.Manifest{
		Name: t.Experiment.Name, Trial: t.Name, Labels: t.Labels, Stage: t.Experiment.Stage, Steps: steps, Seed: t.Seed,
		Fingerprint: map[string]string{"combined": print.All, "spec": print.Spec, "data": print.Data, "weights": print.Weights, "engine": print.Engine, "schema": print.Schema},
		Versions:    map[string]string{"onnxruntime": engine.Version(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH},
	}
	resolved, err := json.MarshalIndent(t.Experiment, "", "  ")
	if err != nil {
		return err
	}
	out, err := train.Run(ctx, in, dir, m, map[string][]byte{"spec.json": resolved}, train.Options{
		Engine: engine, Workers: a.machine.Workers, InFlight: a.machine.InFlight, Log: zerolog.Nop(),
		Progress: func(e train.Event) {
			if m := e.Metrics; m != nil {
				fmt.Fprintf(a.errOut, "step %d/%d loss %.4f", e.Done, e.Total, *m.Loss)
				if m.RewardMean != nil {
					fmt.Fprintf(a.errOut, " reward %.3f len %.1f zero %.2f gap %.1e", *m.RewardMean, *m.LenMean, *m.ZeroStdFrac, *m.LogpGapMax)
				}
				fmt.Fprintf(a.errOut, " norm %.3f lr %.2e\n", *m.GradNorm, m.LR)
			}
		},
	})
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; name another folder with --results", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out, out.Dir, out.Before, out.After, out.Already)
	return nil
}
