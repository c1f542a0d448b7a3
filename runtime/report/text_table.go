package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// TableFormats are the forms in which a table is written; the first is for a terminal.
var TableFormats = []string{"text", "markdown", "latex", "csv", "html"}

// Write writes the table in one of TableFormats. The style is for text alone.
func (t *Table) Write(w io.Writer, format string, s Style) error {
	switch format {
	case "text":
		return t.document().draw(w, s)
	case "markdown":
		return t.document().markdown(w)
	case "html":
		return t.document().html(w)
	case "latex":
		return t.document().latex(w)
	case "csv":
		return t.csv(w)
	}
	return fmt.Errorf("no format %q: want one of %s", format, strings.Join(TableFormats, ", "))
}

func (t *Table) document() *document {
	d := &document{title: t.Study}
	g := grid{headers: append(append([]string{"rung"}, t.Components...), ">seeds")}
	for _, c := range t.Columns {
		g.headers = append(g.headers, ">"+c)
	}
	fewer := false
	for _, r := range t.Rows {
		own, delta := r.rows(t)
		g.rows = append(g.rows, own)
		if delta != nil {
			g.rows = append(g.rows, delta)
		}
		for _, c := range r.Cells {
			fewer = fewer || c.Delta != nil && c.Delta.N < c.N
		}
	}
	d.add(g, lines{{{t.Signature(), quiet}}})
	warnings := t.Warnings
	if fewer {
		warnings = append(warnings[:len(warnings):len(warnings)], "†: on the examples that both rows have, which are fewer")
	}
	if len(warnings) > 0 {
		d.add(notes(warnings))
	}
	return d
}

// rows is the row itself, and below it its differences, if it has any.
func (r TableRow) rows(t *Table) (own, delta []cell) {
	own, delta = cells(r.Rung), []cell{{text: "Δ " + t.Against, look: quiet}}
	for _, has := range r.Has {
		tick := ""
		if has {
			tick = "✓"
		}
		own, delta = append(own, cell{text: tick}), append(delta, cell{})
	}
	seeds := strconv.Itoa(len(r.Seeds))
	if len(r.Seeds) < r.Planned {
		seeds = fmt.Sprintf("%d of %d", len(r.Seeds), r.Planned)
	}
	own, delta = append(own, cell{text: seeds}), append(delta, cell{})
	any := false
	for _, c := range r.Cells {
		own, delta = append(own, c.own()), append(delta, c.difference())
		any = any || c.Delta != nil
	}
	if !any {
		return own, nil
	}
	return own, delta
}

// own is the cell's mean with half its interval; loud where it has earned it: a gain on all of the row's examples that holds against all
// tests of the table.
func (c TableCell) own() cell {
	if c.N == 0 {
		return cell{text: "-"}
	}
	out := cell{text: number(c.Mean)}
	if c.Interval != nil {
		out.text += " ± " + number((c.Interval.High-c.Interval.Low)/2)
	}
	if c.Delta != nil && c.Delta.N == c.N && c.Delta.Delta > 0 && c.Delta.Test.Significant() {
		out.look = loud
	}
	return out
}

// difference is marked with * where it is significant, with ~ where it is not, and not at all where there are too few seeds to say.
func (c TableCell) difference() cell {
	d := c.Delta
	if d == nil {
		return cell{}
	}
	out := cell{text: fmt.Sprintf("%+.3f", d.Delta), look: quiet}
	switch {
	case d.Test.Significant():
		out = signed(*d)
		out.text += " *"
	case d.Seeds >= fewestSeeds:
		out.text += " ~"
	}
	if d.N < c.N {
		out.text += " †"
	}
	return out
}

// Signature says what the table was made of and how, on one line.
func (t *Table) Signature() string {
	var seeds, n []string
	seen := map[uint64]bool{}
	for _, r := range t.Rows {
		for _, s := range r.Seeds {
			if !seen[s] {
				seen[s] = true
				seeds = append(seeds, fmt.Sprint(s))
			}
		}
	}
	for i, column := range t.Columns {
		most := 0
		for _, r := range t.Rows {
			most = max(most, r.Cells[i].N)
		}
		n = append(n, fmt.Sprintf("%s %d", column, most))
	}
	return fmt.Sprintf("%s; mean ± 95 %% interval over seeds %s; n %s; Δ %s, paired by seed and example: * significant at 5 %%, ~ not "+
		"(two-level t test, Holm over %d); data %s, runs %s, mixr %s",
		t.Metric, strings.Join(seeds, " "), strings.Join(n, ", "), map[string]string{"before": "to the row before", "base": "to the first row"}[t.Against],
		t.Tests, t.Data, t.Runs, t.Mixr)
}

// csv writes a line a row and column. Ten digits: the last ones of a sum depend on the processor.
func (t *Table) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{
		"study", "rung", "column", "metric", "seeds", "planned", "n", "mean", "low", "high",
		"against", "delta_n", "delta", "delta_low", "delta_high", "p", "p_holm", "significant", "data", "runs", "mixr",
	}}
	exact := func(x float64) string { return strconv.FormatFloat(x, 'g', 10, 64) }
	ends := func(i *Interval) []string {
		if i == nil {
			return []string{"", ""}
		}
		return []string{exact(i.Low), exact(i.High)}
	}
	for _, r := range t.Rows {
		for i, c := range r.Cells {
			if c.N == 0 {
				continue
			}
			row := []string{t.Study, r.Rung, t.Columns[i], t.Metric, strconv.Itoa(len(r.Seeds)), strconv.Itoa(r.Planned), strconv.Itoa(c.N), exact(c.Mean)}
			row = append(row, ends(c.Interval)...)
			if d := c.Delta; d != nil {
				row = append(append(row, t.Against, strconv.Itoa(d.N), exact(d.Delta)), ends(d.Interval)...)
				p := []string{"", "", ""}
				if d.Test != nil {
					p = []string{exact(d.Test.P), exact(d.Test.Holm), strconv.FormatBool(d.Test.Significant())}
				}
				row = append(row, p...)
			} else {
				row = append(row, make([]string, 8)...)
			}
			rows = append(rows, append(row, t.Data, t.Runs, t.Mixr))
		}
	}
	return out.WriteAll(rows)
}

// Missing lists the lines of a table, as Write has written it, that a file does not hold one after the other; none where it holds the
// table.
func Missing(table, file string) []string {
	table, file = strings.ReplaceAll(table, "\r\n", "\n"), strings.ReplaceAll(file, "\r\n", "\n")
	if strings.Contains(file, strings.Trim(table, "\n")) {
		return nil
	}
	has := map[string]bool{}
	for line := range strings.Lines(file) {
		has[strings.TrimSpace(line)] = true
	}
	var missing []string
	for line := range strings.Lines(table) {
		if line = strings.TrimSpace(line); line != "" && !has[line] {
			missing = append(missing, line)
		}
	}
	if missing == nil {
		missing = []string{"all lines are there, but not in this order"}
	}
	return missing
}
