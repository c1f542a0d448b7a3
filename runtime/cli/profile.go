package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"mixr/runtime/profile"
	"mixr/runtime/report"
)

// runOptions are those of mixr run.
type runOptions struct {
	trialOptions
	profile, asJSON bool
}

func (o *runOptions) bind(c *cobra.Command) {
	o.trialOptions.bind(c)
	c.Flags().BoolVar(&o.profile, "profile", false, "measure where the time and memory of some steps goes")
	c.Flags().BoolVar(&o.asJSON, "json", false, "with --profile: print the profiles as a JSON list, and nothing else there")
}

const profileHelp = `--profile measures a few steps of each run and changes none of its results: of the second and third
step how long each phase took (rollout, reward, score, gradient, optimizer, other; and checkpoint and
tables, whose time is shared by the steps between two checkpoints), inside ONNX Runtime by graph
(prefill, decode, accumulate, ...) and outside of it; and in the fourth, which is slowed down, how the
time of each graph is shared by operations and, for matrix products, their shapes. A run with fewer
steps left measures what there is. It prints tables, and leaves profile.json and the picture
profile.svg (a flame graph: open it in a browser, and point at a box) in RUN/profile.`

// printProfile prints what was measured of a run, or keeps it for JSON.
func (a *app) printProfile(w *work, s scheduled) error {
	p, err := report.ReadProfile(s.dir)
	if err != nil || p == nil { // what hindered it was a warning
		if s.Experiment.Stage == "eval" {
			fmt.Fprintf(w.watch, "%s is an evaluation, which has no steps to profile\n", s.Name)
		}
		return err
	}
	w.profiles = append(w.profiles, p)
	if err := report.ProfileText(a.out, a.style(), p); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "\nprofile: %s\n", filepath.Join(s.dir, profile.Folder, profile.Picture))
	return nil
}
