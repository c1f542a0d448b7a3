package report

import (
	"fmt"
	"io"
	"slices"
)

// Text writes the gain as a table: before, after, and what lies between.
func (g *Gain) Text(w io.Writer, s Style) error {
	p := &page{Style: s, w: w}
	if len(g.Deltas) > 0 {
		p.line("%s", s.draw(deltaGrid("before", "after", g.Deltas)))
	}
	if len(g.Others) > 0 {
		p.line("\n%s", s.draw(otherGrid(g.Others)))
	}
	p.notes(g.Warnings)
	return p.err
}

// Text writes the scores as a table. Intervals hold 95 %.
func (e *Evaluation) Text(w io.Writer, s Style) error {
	p := &page{Style: s, w: w}
	if len(e.Scores) > 0 {
		var rows [][]string
		for _, x := range e.Scores {
			accuracy := "-"
			if x.Accuracy != nil {
				accuracy = span(x.AccuracyInterval)
			}
			rows = append(rows, []string{
				Printable(label(x.Task)), Printable(label(x.Source)), fmt.Sprint(x.N), number(x.Reward), span(x.RewardInterval), optional(x.Format),
				optional(x.Accuracy), accuracy, number(x.Parsed),
			})
		}
		p.line("%s", s.grid([]string{"task", "source", ">n", ">reward", ">95 % interval", ">format", ">accuracy", ">95 % interval", ">parsed"}, rows))
	}
	if rows := e.otherRows(); len(rows) > 0 {
		p.line("\n%s", s.grid([]string{"task", "source", "metric", ">n", ">mean", ">95 % interval"}, rows))
	}
	p.notes(e.Warnings)
	return p.err
}

// otherRows has a line for each further metric of each score.
func (e *Evaluation) otherRows() (rows [][]string) {
	for _, x := range e.Scores {
		for _, v := range x.Others {
			rows = append(rows, []string{
				Printable(label(x.Task)), Printable(label(x.Source)), v.Metric, fmt.Sprint(v.N), number(v.Mean), span(v.Interval),
			})
		}
	}
	return rows
}

// span is the interval of a value that is no difference.
func span(i *Interval) string {
	if i == nil {
		return "no spread"
	}
	return fmt.Sprintf("[%.3f, %.3f]", i.Low, i.High)
}

// otherGrid has a row a metric.
func otherGrid(others []Other) grid {
	g := grid{headers: []string{"metric", ">n", ">before", ">after", ">delta", ">95 % interval"}}
	for _, o := range others {
		row := cells(o.Metric, fmt.Sprint(o.N), number(o.A), number(o.B))
		g.rows = append(g.rows, append(row, signed(o.Delta), cell{text: interval(o.Interval)}))
	}
	return g
}

// deltaGrid has a row a comparison. The columns up, down (answers that became right and wrong) and p (McNemar) are there only where
// answers are right or wrong; with several seeds p is that of the two-level test, and Holm's correction of it stands beside.
func deltaGrid(a, b string, deltas []Delta) grid {
	g := grid{headers: []string{"task", "source", ">n", ">" + a, ">" + b, ">delta", ">95 % interval"}}
	var flips, tests bool
	for _, d := range deltas {
		flips = flips || d.Flips != nil
		tests = tests || d.Seeds > 1
	}
	switch {
	case tests:
		g.headers = slices.Insert(g.headers, 3, ">seeds")
		g.headers = append(g.headers, ">p", ">p, Holm", ">could find")
	case flips:
		g.headers = append(g.headers, ">up", ">down", ">p")
	}
	for _, d := range deltas {
		row := cells(label(d.Task), label(d.Source), fmt.Sprint(d.N), number(d.A), number(d.B))
		row = append(row, signed(d), cell{text: interval(d.Interval)})
		switch {
		case tests:
			row = slices.Insert(row, 3, cell{text: fmt.Sprint(d.Seeds)})
			if d.Test == nil {
				row = append(row, cells("-", "-", "-")...)
			} else {
				row = append(row, cells(probability(d.Test.P), probability(d.Test.Holm), number(d.Test.Detectable))...)
			}
		case flips && d.Flips != nil:
			row = append(row, cells(fmt.Sprint(d.Flips.Up), fmt.Sprint(d.Flips.Down), probability(d.Flips.P))...)
		case flips:
			row = append(row, cells("-", "-", "-")...)
		}
		g.rows = append(g.rows, row)
	}
	return g
}

// label is a task or source, or "all" for the rows over several.
func label(name string) string {
	if name == "" {
		return "all"
	}
	return name
}

func signed(d Delta) cell {
	c := cell{text: fmt.Sprintf("%+.3f", d.Delta)}
	switch {
	case d.Delta > 0:
		c.look = rising
	case d.Delta < 0:
		c.look = falling
	}
	return c
}

func interval(i *Interval) string {
	if i == nil {
		return "no spread"
	}
	return fmt.Sprintf("[%+.3f, %+.3f]", i.Low, i.High)
}

func probability(p float64) string {
	if p < 0.001 {
		return "<0.001"
	}
	return fmt.Sprintf("%.3f", p)
}
