package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mixr/runtime/report"
	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// tableFlags are the flags of mixr table.
type tableFlags struct {
	report.TableOptions
	format, check string
	json          bool
}

func (a *app) tableCommand() *cobra.Command {
	var o tableFlags
	c := &cobra.Command{
		Use:   "table STUDY",
		Short: "print a study as a table: rungs, means over seeds, differences and what they are worth",
		Long: `Print a row a rung: which rungs it stands on, the mean of each task with a 95 % interval over seeds,
and the difference to the row before. A difference is tested over seeds and examples together,
paired by both; * holds at 5 % against all tests of the table (Holm), ~ does not, and with fewer
than three seeds there is no mark. The line below says what the table was made of: hashes of the
examples and the runs, seeds, n, the version of mixr.

STUDY is a study's name. --check compares with a file that holds the table, a page or a paper: exit
status 1 if the table no longer follows from the runs. Its form is that of the file's ending (.md,
.tex, .csv, .html) unless --format says otherwise.`,
		Example: `  mixr table reward_ladder
  mixr table reward_ladder --base --metric correct --format latex > ladder.tex
  mixr table reward_ladder --base --metric correct --check ladder.tex`,
		Args: arguments(1, false),
		RunE: func(_ *cobra.Command, args []string) error { return a.table(args[0], o) },
	}
	c.Flags().BoolVar(&o.Base, "base", false, "differences to the first row, not to the row before")
	c.Flags().StringVar(&o.Metric, "metric", report.Metrics[0], "`METRIC` to compare: "+metricNames())
	c.Flags().StringVar(&o.format, "format", "", "text, markdown, latex, csv or html (default text)")
	c.Flags().StringVar(&o.check, "check", "", "compare with the table in `FILE` and print only what is not in it")
	c.Flags().BoolVar(&o.json, "json", false, "print the table as JSON")
	return c
}

func (a *app) table(name string, o tableFlags) error {
	if err := checkMetric(o.Metric); err != nil {
		return err
	}
	if o.format == "" {
		o.format = formatOf(o.check)
	}
	if !slices.Contains(report.TableFormats, o.format) {
		return usagef("--format: got %q, want one of %s", o.format, strings.Join(report.TableFormats, ", "))
	}
	study, err := a.findStudy(name)
	if err != nil {
		return err
	}
	t, err := report.MakeTable(study, o.TableOptions)
	switch {
	case err != nil:
		return err
	case o.json:
		return a.printJSON(t)
	case o.check == "":
		return t.Write(a.out, o.format, a.style())
	}
	var now strings.Builder
	if err := t.Write(&now, o.format, report.Style{}); err != nil {
		return err
	}
	file, err := os.ReadFile(o.check)
	if err != nil {
		return usagef("--check: %w", err)
	}
	missing := report.Missing(now.String(), string(file))
	if missing == nil {
		fmt.Fprintf(a.out, "%s holds the table of %s\n", o.check, name)
		return nil
	}
	fmt.Fprintf(a.out, "%s does not hold the table of %s as %s; these lines are not in it:\n", o.check, name, o.format)
	for _, line := range missing {
		fmt.Fprintln(a.out, "  "+line)
	}
	return status(1)
}

func checkMetric(metric string) error {
	if !report.IsMetric(metric) {
		return usagef("--metric: got %q, want one of %s", metric, metricNames())
	}
	return nil
}

// metricNames lists what --metric takes.
func metricNames() string { return strings.Join(report.Metrics, ", ") + ", pass@K" }

// formatOf is the form of a table that a file's name tells.
func formatOf(file string) string {
	switch filepath.Ext(file) {
	case ".md":
		return "markdown"
	case ".tex":
		return "latex"
	case ".csv":
		return "csv"
	case ".html":
		return "html"
	}
	return report.TableFormats[0]
}

// findStudy returns the runs of a study by its name.
func (a *app) findStudy(name string) (*report.Study, error) {
	s, err := report.ReadStudy(a.machine.Results, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	names, err := report.Studies(a.machine.Results)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, usagef("no study %q: there are none in %s", name, a.machine.Results)
	}
	return nil, usagef("no study %q in %s%s: there are %s", name, a.machine.Results, didYouMean(nearest(name, names)), strings.Join(names, ", "))
}

// recordStudy writes down which run each trial of a study has, for mixr table and mixr diff. With some, they are not all trials that the
// file has.
func (a *app) recordStudy(file *spec.File, all []scheduled, some bool) error {
	if !file.Study {
		return nil
	}
	s := table.Study{Name: file.Name}
	for _, r := range file.Rungs {
		s.Rungs = append(s.Rungs, r.Name)
	}
	for _, t := range ends(all) {
		rungs := []string{t.Labels["rung"]}
		for _, also := range t.Also {
			rungs = append(rungs, rungOf(also))
		}
		for _, rung := range rungs {
			s.Trials = append(s.Trials, table.StudyTrial{Rung: rung, Seed: t.Seed, Run: filepath.Base(t.dir)})
		}
	}
	return table.WriteStudy(a.machine.Results, s, some)
}
