package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"mixr/runtime/report"
)

func (a *app) diffCommand() *cobra.Command {
	var o report.DiffOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "compare two runs: values, rewards with intervals, and the examples that moved",
		Long: `Print every value in which two runs differ with the place that wrote it, what else differs (versions,
platform), the reward after training with a 95 % interval of the difference over the same examples,
and the examples that moved most.

` + runNames + `

Exit status: 0 nothing differs, 1 something does, 2 the runs cannot be compared.`,
		Example: `  mixr diff quickstart-0123abcd quickstart-4567cdef
  mixr diff reward_ladder/base/seed-1 reward_ladder/+mcq/seed-1 --examples 20
  mixr diff A B --json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return usagef("mixr diff: got %s, want two runs, A B (see mixr diff --help)", counted(len(args), "argument"))
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if o.Flips == 0 {
				o.Flips = -1 // the report takes 0 for its default
			}
			return a.diff(args, o, asJSON)
		},
	}
	c.Flags().IntVar(&o.Flips, "examples", 5, "examples to show of those that moved")
	c.Flags().BoolVar(&asJSON, "json", false, "print the comparison as JSON")
	return c
}

func (a *app) diff(names []string, o report.DiffOptions, asJSON bool) error {
	dirs, err := a.findRuns(names)
	if err != nil {
		return err
	}
	c, err := report.Diff(dirs[0], dirs[1], o)
	if err != nil {
		return usageError{err}
	}
	if asJSON {
		err = a.printJSON(c)
	} else {
		err = c.Text(a.out, a.style())
	}
	if err == nil && differs(c) {
		err = status(1)
	}
	return err
}

// differs reports whether a comparison found anything.
func differs(c *report.Comparison) bool {
	return len(c.Spec.Changed)+len(c.Fingerprint)+len(c.Hidden)+len(c.Flips) > 0 || c.Unmatched != report.Unmatched{} ||
		slices.ContainsFunc(c.Eval, func(d report.Delta) bool { return d.Delta != 0 })
}
