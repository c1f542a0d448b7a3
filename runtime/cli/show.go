package cli

import (
	"github.com/spf13/cobra"

	"mixr/runtime/report"
)

func (a *app) showCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show RUN",
		Short: "show one run: what it is, what it gained, how it went",
		Long:  "Print a run's identity, attempts and cost, the reward before and after training, and its curves.\n\n" + runNames,
		Example: `  mixr show quickstart-0123abcd
  mixr show reward_ladder/+mcq/seed-1
  mixr show quick --json`,
		Args: arguments(1, false),
		RunE: func(_ *cobra.Command, args []string) error { return a.show(args[0], asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the run, with all values of its curves, as JSON")
	return c
}

func (a *app) show(name string, asJSON bool) error {
	dir, err := a.findRun(name)
	if err != nil {
		return err
	}
	run, err := report.Show(dir)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(run)
	}
	return run.Text(a.out, a.style())
}
