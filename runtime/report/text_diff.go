package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"charm.land/lipgloss/v2"
)

// valueChars is how much of a spec value or completion a terminal shows; JSON has all of it.
const (
	valueChars      = 60
	completionChars = 600
)

// Text writes the comparison for a terminal.
func (c *Comparison) Text(w io.Writer, s Style) error {
	p := &page{Style: s, w: w}
	p.line("A  %s", c.A.text(s))
	p.line("B  %s", c.B.text(s))
	c.specText(p)
	for _, part := range []struct {
		title string
		rows  []Differs
	}{
		{"Fingerprint: these parts differ", c.Fingerprint},
		{"Also differs, beside the spec", c.Hidden},
	} {
		if len(part.rows) > 0 {
			p.title("%s", part.title)
			p.line("%s", s.grid([]string{"part", "A", "B"}, differsRows(part.rows)))
		}
	}
	if len(c.Eval) > 0 {
		when := ", after training"
		if c.A.Stage == evalStage && c.B.Stage == evalStage {
			when = ""
		}
		p.title("Reward on held-out examples%s", when)
		p.line("%s", s.deltaTable("A", "B", c.Eval))
	}
	if len(c.Warnings) > 0 {
		p.line("")
		p.notes(c.Warnings)
	}
	for i, f := range c.Flips {
		if i == 0 {
			p.title("Examples that moved most (%d shown)", len(c.Flips))
		}
		f.write(p)
	}
	return p.err
}

func (r RunID) text(s Style) string {
	name := r.Name
	if r.Trial != "" {
		name = r.Trial
	}
	return fmt.Sprintf("%s  %s  seed %d  %s  %s", s.paint(strong, filepath.Base(r.Dir)), printable(name), r.Seed, r.State,
		s.paint(faint, short(r.Fingerprint)))
}

// short is what people read of a hash: enough to tell runs apart.
func short(text string) string {
	if len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "" {
		return text[:8]
	}
	return printable(text)
}

func (c *Comparison) specText(p *page) {
	if len(c.Spec.Changed) == 0 {
		if c.Spec.Equal > 0 {
			p.title("Spec: all %d values are equal", c.Spec.Equal)
		}
		return
	}
	differ := "values differ"
	if len(c.Spec.Changed) == 1 {
		differ = "value differs"
	}
	p.title("Spec: %d %s, %d equal", len(c.Spec.Changed), differ, c.Spec.Equal)
	var rows [][]string
	for _, ch := range c.Spec.Changed {
		rows = append(rows,
			[]string{printable(ch.Path), "A", ch.A.value(), p.paint(faint, ch.A.Where)},
			[]string{"", "B", ch.B.value(), p.paint(faint, ch.B.Where)})
	}
	p.line("%s", p.grid([]string{"value", "", "", "written at"}, rows))
}

func (d Side) value() string {
	if d.Value == nil {
		return "not there"
	}
	return cut(printable(string(d.Value)), valueChars)
}

func differsRows(of []Differs) [][]string {
	var rows [][]string
	for _, d := range of {
		row := []string{printable(d.Name), short(d.A), short(d.B)}
		for i := range row {
			if row[i] == "" {
				row[i] = "-"
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// write shows one example: what was asked, and the two completions side by side.
func (f Flip) write(p *page) {
	p.line("\n%s %s  %s  reward %s -> %s", label(f.Task), label(f.Source), printable(f.ExampleID), number(f.RewardA), number(f.RewardB))
	for _, fact := range []struct{ name, text string }{{"image", f.Image}, {"question", f.Question}, {"gold", f.Gold}} {
		if fact.text != "" {
			text := cut(printable(fact.text), completionChars)
			p.line("  %-8s  %s", fact.name, strings.ReplaceAll(text, "\n", "\n            "))
		}
	}
	// Two columns of equal width with a rule between them, whatever the texts are.
	half := (p.width() - 7) / 2
	column := func(title, text string) string {
		return lipgloss.NewStyle().Width(half).Render(title + "\n" + cut(printable(text), completionChars))
	}
	a, b := column("A", f.CompletionA), column("B", f.CompletionB)
	rule := strings.TrimSuffix(strings.Repeat(" | \n", max(lipgloss.Height(a), lipgloss.Height(b))), "\n")
	p.line("%s", trimRight(lipgloss.JoinHorizontal(lipgloss.Top, strings.Repeat(" ", 2), a, rule, b)))
}
