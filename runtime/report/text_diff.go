package report

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// valueChars is how much of a spec value or completion a page shows; JSON has all of it.
const (
	valueChars      = 60
	completionChars = 600
)

// Text writes the comparison for a terminal.
func (c *Comparison) Text(w io.Writer, s Style) error { return c.document().draw(w, s) }

// Markdown writes the comparison as GitHub's Markdown.
func (c *Comparison) Markdown(w io.Writer) error { return c.document().markdown(w) }

// HTML writes the comparison as one page that needs no other file.
func (c *Comparison) HTML(w io.Writer) error { return c.document().html(w) }

func (c *Comparison) document() *document {
	d := &document{title: c.A.called() + " against " + c.B.called()}
	side := func(name string, s Subject) []cell { return append([]cell{{text: name}}, s.line()...) }
	d.add(lines{side("A", c.A), side("B", c.B)})
	c.specBlocks(d)
	if len(c.Fingerprint) > 0 {
		d.add(heading("Fingerprint: these parts differ"), differsGrid(c.Fingerprint, false))
	}
	if len(c.Hidden) > 0 {
		d.add(heading("Also differs, beside the spec"), differsGrid(c.Hidden, true))
	}
	if len(c.Eval) > 0 {
		when := ", after training"
		if c.A.Stage == evalStage && c.B.Stage == evalStage {
			when = ""
		}
		d.add(heading(titled(c.Metric)+" on held-out examples"+when), deltaGrid("A", "B", c.Eval))
	}
	if c.Verdict != "" {
		d.add(prose("Verdict: " + c.Verdict))
	}
	if len(c.Warnings) > 0 {
		d.add(notes(c.Warnings))
	}
	for i, f := range c.Flips {
		if i == 0 {
			d.add(heading(fmt.Sprintf("Examples that moved most (%d shown)", len(c.Flips))))
		}
		d.add(f.exhibit(c.Metric))
	}
	return d
}

// titled begins a title with a word.
func titled(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// called is the side's short name.
func (s Subject) called() string {
	if s.Dir == "" {
		return s.Trial
	}
	return filepath.Base(s.Dir)
}

// line is what a side is: of a run its folder, of a group its seeds.
func (s Subject) line() []cell {
	if s.Runs == nil {
		return s.RunID.line()
	}
	var seeds []string
	for _, r := range s.Runs {
		seeds = append(seeds, fmt.Sprint(r.Seed))
	}
	return []cell{{s.Trial, loud}, {text: "seeds " + strings.Join(seeds, " ")}, {text: s.State}}
}

// line names a run: folder, trial, seed, state, fingerprint.
func (r RunID) line() []cell {
	return []cell{
		{filepath.Base(r.Dir), loud}, {text: cmp.Or(r.Trial, r.Name)}, {text: fmt.Sprintf("seed %d", r.Seed)}, {text: r.State},
		{short(r.Fingerprint), quiet},
	}
}

// short is what people read of a hash: enough to tell runs apart.
func short(text string) string {
	if len(text) == 64 && strings.Trim(text, "0123456789abcdef") == "" {
		return text[:8]
	}
	return text
}

func (c *Comparison) specBlocks(d *document) {
	if len(c.Spec.Changed) == 0 {
		if c.Spec.Equal > 0 {
			d.add(heading(fmt.Sprintf("Spec: all %d values are equal", c.Spec.Equal)))
		}
		return
	}
	differ := "values differ"
	if len(c.Spec.Changed) == 1 {
		differ = "value differs"
	}
	d.add(heading(fmt.Sprintf("Spec: %d %s, %d equal", len(c.Spec.Changed), differ, c.Spec.Equal)), specGrid(c.Spec))
}

func specGrid(s SpecDiff) grid {
	g := grid{headers: []string{"value", "", "", "written at"}}
	for _, ch := range s.Changed {
		g.rows = append(g.rows,
			[]cell{{text: ch.Path}, {text: "A"}, {text: ch.A.value()}, {ch.A.Where, quiet}},
			[]cell{{}, {text: "B"}, {text: ch.B.value()}, {ch.B.Where, quiet}})
	}
	return g
}

func (d Side) value() string {
	if d.Value == nil {
		return "not there"
	}
	return cut(string(d.Value), valueChars)
}

func differsGrid(of []Differs, hidden bool) grid {
	g := grid{headers: []string{"part", "A", "B"}}
	if hidden {
		g.headers = append(g.headers, "can it change results?")
	}
	for _, d := range of {
		row := cells(d.Name, cmp.Or(short(d.A), "-"), cmp.Or(short(d.B), "-"))
		if hidden {
			row = append(row, cell{cmp.Or(d.Matters, "not known"), quiet})
		}
		g.rows = append(g.rows, row)
	}
	return g
}
