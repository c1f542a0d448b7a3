package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
)

// document is a report before it is drawn: blocks in order, of which each writer (terminal, Markdown, HTML) draws all. Its texts are
// as they came, model output among them; a writer makes them safe for where they go.
type document struct {
	title  string
	blocks []block
}

// block is a heading, prose, lines, notes, a grid or an exhibit.
type block any

type (
	heading string
	prose   string   // a paragraph
	lines   [][]cell // short texts, a few on a line
	notes   []string // doubts about the numbers above
)

// grid is a table. A header that starts with ">" makes its column align right.
type grid struct {
	headers []string
	rows    [][]cell
}

// exhibit is one example with the completions of both sides.
type exhibit struct {
	head  string
	facts []fact
	a, b  string
}

type fact struct{ name, text string }

// cell is a text with a look.
type cell struct {
	text string
	look look
}

type look int

const (
	plain   look = iota
	loud         // what the eye should find: names, values that are marked
	quiet        // what it may pass over
	rising       // a gain
	falling      // a loss
)

func (d *document) add(b ...block) { d.blocks = append(d.blocks, b...) }

// cells makes a row of plain cells.
func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i].text = text
	}
	return row
}

// aligned splits a header into its name and whether its column aligns right.
func aligned(header string) (name string, right bool) {
	return strings.CutPrefix(header, ">")
}

// draw writes a document for a terminal.
func (d *document) draw(w io.Writer, s Style) error {
	p := &page{Style: s, w: w}
	for i, b := range d.blocks {
		switch b := b.(type) {
		case heading:
			p.title("%s", Printable(string(b)))
		case prose:
			p.line("\n%s", Printable(string(b)))
		case lines:
			for _, l := range b {
				p.line("%s", s.join(l))
			}
		case notes:
			if i > 0 {
				p.line("")
			}
			p.notes(b)
		case grid:
			p.line("%s", s.draw(b))
		case exhibit:
			b.draw(p)
		}
	}
	return p.err
}

// join is cells on one line.
func (s Style) join(row []cell) string {
	var texts []string
	for _, c := range row {
		texts = append(texts, s.cell(c))
	}
	return strings.Join(texts, "  ")
}

// draw is a grid with its cells painted.
func (s Style) draw(g grid) string {
	rows := make([][]string, len(g.rows))
	for i, row := range g.rows {
		for _, c := range row {
			rows[i] = append(rows[i], s.cell(c))
		}
	}
	headers := make([]string, len(g.headers))
	for i, h := range g.headers {
		headers[i] = Printable(h)
	}
	return s.grid(headers, rows)
}

func (s Style) cell(c cell) string {
	text := Printable(c.text)
	if text == "" {
		return ""
	}
	switch c.look {
	case loud:
		return s.paint(strong, text)
	case quiet:
		return s.paint(faint, text)
	case rising:
		return s.paint(better, text)
	case falling:
		return s.paint(worse, text)
	}
	return text
}

// draw shows what was asked, and the two completions side by side.
func (e exhibit) draw(p *page) {
	p.line("\n%s", Printable(e.head))
	for _, f := range e.facts {
		text := cut(Printable(f.text), completionChars)
		p.line("  %-8s  %s", f.name, strings.ReplaceAll(text, "\n", "\n            "))
	}
	// Two columns of equal width with a rule between them, whatever the texts are.
	half := (p.width() - 7) / 2
	column := func(title, text string) string {
		return lipgloss.NewStyle().Width(half).Render(title + "\n" + cut(Printable(text), completionChars))
	}
	a, b := column("A", e.a), column("B", e.b)
	rule := strings.TrimSuffix(strings.Repeat(" | \n", max(lipgloss.Height(a), lipgloss.Height(b))), "\n")
	p.line("%s", trimRight(lipgloss.JoinHorizontal(lipgloss.Top, strings.Repeat(" ", 2), a, rule, b)))
}

// exhibit is a Flip as an exhibit; its rewards are values of the metric.
func (f Flip) exhibit(metric string) exhibit {
	e := exhibit{
		head: fmt.Sprintf("%s %s  %s  %s %s -> %s", label(f.Task), label(f.Source), f.ExampleID, metric, number(f.RewardA), number(f.RewardB)),
		a:    f.CompletionA, b: f.CompletionB,
	}
	e.facts = slices.DeleteFunc([]fact{{"image", f.Image}, {"question", f.Question}, {"gold", f.Gold}}, func(x fact) bool { return x.text == "" })
	return e
}
