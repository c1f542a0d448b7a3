package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mixr/runtime/report"
)

func (a *app) lsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "ls",
		Short: "list runs, newest first",
		Example: `  mixr ls
  mixr ls --results /scratch/results --json`,
		Args: arguments(0, false),
		RunE: func(*cobra.Command, []string) error { return a.ls(asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the runs as JSON")
	return c
}

func (a *app) ls(asJSON bool) error {
	runs, err := report.List(a.machine.Results)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(append([]report.Listing{}, runs...)) // [] and not null where there are none
	}
	if len(runs) == 0 {
		note := ""
		if !isDir(a.machine.Results) {
			note = ": there is no such folder"
		}
		_, err := fmt.Fprintf(a.out, "no runs in %s%s\n", a.machine.Results, note)
		return err
	}
	return report.ListText(a.out, a.style(), runs)
}
