package report

import (
	"fmt"
	"io"
)

// Text writes the gain as a table: before, after, and what lies between.
func (g *Gain) Text(w io.Writer, s Style) error {
	p := &page{Style: s, w: w}
	if len(g.Deltas) > 0 {
		p.line("%s", s.deltaTable("before", "after", g.Deltas))
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
				label(x.Task), label(x.Source), fmt.Sprint(x.N), number(x.Reward), span(x.RewardInterval), optional(x.Format),
				optional(x.Accuracy), accuracy, number(x.Parsed),
			})
		}
		p.line("%s", s.grid([]string{"task", "source", ">n", ">reward", ">95 % interval", ">format", ">accuracy", ">95 % interval", ">parsed"}, rows))
	}
	p.notes(e.Warnings)
	return p.err
}

// span is the interval of a value that is no difference.
func span(i *Interval) string {
	if i == nil {
		return "no spread"
	}
	return fmt.Sprintf("[%.3f, %.3f]", i.Low, i.High)
}

// deltaTable prints comparisons, one a line. The columns up, down (answers that became right and wrong) and p
// (McNemar) stand only where answers are right or wrong.
func (s Style) deltaTable(a, b string, deltas []Delta) string {
	headers := []string{"task", "source", ">n", ">" + a, ">" + b, ">delta", ">95 % interval"}
	flips := false
	for _, d := range deltas {
		flips = flips || d.Flips != nil
	}
	if flips {
		headers = append(headers, ">up", ">down", ">p")
	}
	var rows [][]string
	for _, d := range deltas {
		row := []string{label(d.Task), label(d.Source), fmt.Sprint(d.N), number(d.A), number(d.B), s.signed(d), interval(d.Interval)}
		switch {
		case flips && d.Flips != nil:
			row = append(row, fmt.Sprint(d.Flips.Up), fmt.Sprint(d.Flips.Down), probability(d.Flips.P))
		case flips:
			row = append(row, "-", "-", "-")
		}
		rows = append(rows, row)
	}
	return s.grid(headers, rows)
}

// label is a task or source, or "all" for the rows over several.
func label(name string) string {
	if name == "" {
		return "all"
	}
	return printable(name)
}

func (s Style) signed(d Delta) string {
	text := fmt.Sprintf("%+.3f", d.Delta)
	switch {
	case d.Delta > 0:
		return s.paint(better, text)
	case d.Delta < 0:
		return s.paint(worse, text)
	}
	return text
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
