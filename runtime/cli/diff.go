package cli

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mixr/runtime/report"
)

// diffFlags are the flags of mixr diff.
type diffFlags struct {
	report.DiffOptions
	json, markdown, html bool
}

func (a *app) diffCommand() *cobra.Command {
	var o diffFlags
	c := &cobra.Command{
		Use:   "diff A B",
		Short: "compare runs, rungs or studies: values, rewards with intervals, and the examples that moved",
		Long: `Print every value in which two runs differ with the place that wrote it, what else differs (versions,
platform) and whether it can matter, the reward after training with a 95 % interval of the difference
over the same examples, a verdict, and the examples that moved most.

` + runNames + ` STUDY/RUNG names all seeds of a rung, and
STUDY all of a study: runs are then paired by seed, and a difference is tested over seeds and
examples together. Two studies are compared rung by rung.

Exit status: 0 nothing differs, 1 something does, 2 the runs cannot be compared.`,
		Example: `  mixr diff quickstart-0123abcd quickstart-4567cdef
  mixr diff reward_ladder/base/seed-1 reward_ladder/+mcq/seed-1 --examples 20
  mixr diff reward_ladder/base reward_ladder/+mcq --html > mcq.html
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
			return a.diff(args, o)
		},
	}
	c.Flags().IntVar(&o.Flips, "examples", 5, "examples to show of those that moved")
	c.Flags().StringVar(&o.Metric, "metric", report.Metrics[0], "`METRIC` to compare: "+metricNames())
	c.Flags().BoolVar(&o.json, "json", false, "print the comparison as JSON")
	c.Flags().BoolVar(&o.markdown, "markdown", false, "print the comparison as Markdown")
	c.Flags().BoolVar(&o.html, "html", false, "print the comparison as a page that needs no other file")
	return c
}

func (a *app) diff(names []string, o diffFlags) error {
	if o.json && o.markdown || o.json && o.html || o.markdown && o.html {
		return usagef("--json, --markdown and --html are three forms: name one")
	}
	if err := checkMetric(o.Metric); err != nil {
		return err
	}
	sideA, studyA, err := a.findSide(names[0])
	if err != nil {
		return err
	}
	sideB, studyB, err := a.findSide(names[1])
	if err != nil {
		return err
	}
	var c report.Page
	var found bool
	switch {
	case studyA != nil && studyB != nil:
		var of *report.StudyComparison
		if of, err = report.DiffStudies(studyA, studyB, o.DiffOptions); err == nil {
			c, found = of, slices.ContainsFunc(of.Rungs, func(r report.RungComparison) bool { return differs(r.Comparison) })
		}
	case studyA != nil || studyB != nil:
		err = errors.New("a study compares with a study: name a rung of it, STUDY/RUNG")
	default:
		var of *report.Comparison
		if of, err = report.DiffGroups(sideA, sideB, o.DiffOptions); err == nil {
			c, found = of, differs(of)
		}
	}
	switch {
	case err != nil:
		return usageError{err}
	case o.json:
		err = a.printJSON(c)
	case o.markdown:
		err = c.Markdown(a.out)
	case o.html:
		err = c.HTML(a.out)
	default:
		err = c.Text(a.out, a.style())
	}
	if err == nil && found {
		err = status(1)
	}
	return err
}

// findSide returns what one side of a comparison names: a study, the runs of a rung, or a run.
func (a *app) findSide(name string) (report.Group, *report.Study, error) {
	studyName, rung, ofRung := strings.Cut(name, "/")
	study, err := report.ReadStudy(a.machine.Results, studyName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report.Group{}, nil, err
	}
	if err == nil && !ofRung {
		return report.Group{}, study, nil
	}
	if err == nil {
		if g, ok := study.Group(rung); ok {
			return g, nil, nil
		}
	}
	dir, err := a.findRun(name)
	return report.Group{Runs: []string{dir}}, nil, err
}

// differs reports whether a comparison found anything.
func differs(c *report.Comparison) bool {
	return len(c.Spec.Changed)+len(c.Fingerprint)+len(c.Hidden)+len(c.Flips) > 0 || c.Unmatched != report.Unmatched{} ||
		slices.ContainsFunc(c.Eval, func(d report.Delta) bool { return d.Delta != 0 })
}
