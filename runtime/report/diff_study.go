package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Page is a report that can be written in every form but JSON, which it is by itself.
type Page interface {
	Text(w io.Writer, s Style) error
	Markdown(w io.Writer) error
	HTML(w io.Writer) error
}

var (
	_ Page = (*Comparison)(nil)
	_ Page = (*StudyComparison)(nil)
)

// StudyComparison compares two studies rung by rung.
type StudyComparison struct {
	A        string           `json:"a"`
	B        string           `json:"b"`
	Metric   string           `json:"metric"`
	Rungs    []RungComparison `json:"rungs"`  // those that both have runs of, in the order of A; Holm's correction is over all their rows
	OnlyA    []string         `json:"only_a"` // rungs
	OnlyB    []string         `json:"only_b"`
	Warnings []string         `json:"warnings,omitempty"`
}

// RungComparison is one rung of two studies.
type RungComparison struct {
	Rung string `json:"rung"`
	*Comparison
}

// DiffStudies compares the rungs that two studies share by name.
func DiffStudies(a, b *Study, o DiffOptions) (*StudyComparison, error) {
	c := &StudyComparison{A: a.Name, B: b.Name, Metric: cmp.Or(o.Metric, Metrics[0]), Rungs: []RungComparison{}, OnlyA: []string{}, OnlyB: []string{}}
	o.Flips = -1 // a page for each pair of rungs has them
	var tests []*Test
	for _, r := range a.Rungs {
		groupA, _ := a.Group(r.Name)
		groupB, ok := b.Group(r.Name)
		switch {
		case !ok:
			c.OnlyA = append(c.OnlyA, r.Name)
			continue
		case len(groupA.Runs) == 0 || len(groupB.Runs) == 0:
			c.Warnings = append(c.Warnings, r.Name+" has no runs yet on one side")
			continue
		}
		rung, err := DiffGroups(groupA, groupB, o)
		if err != nil {
			return nil, err
		}
		c.Rungs = append(c.Rungs, RungComparison{r.Name, rung})
		for _, d := range rung.Eval {
			tests = append(tests, d.Test)
		}
	}
	for _, r := range b.Rungs {
		if !slices.ContainsFunc(a.Rungs, func(x Rung) bool { return x.Name == r.Name }) {
			c.OnlyB = append(c.OnlyB, r.Name)
		}
	}
	correct(tests)
	return c, nil
}

// Text writes the comparison for a terminal.
func (c *StudyComparison) Text(w io.Writer, s Style) error { return c.document().draw(w, s) }

// Markdown writes the comparison as GitHub's Markdown.
func (c *StudyComparison) Markdown(w io.Writer) error { return c.document().markdown(w) }

// HTML writes the comparison as one page that needs no other file.
func (c *StudyComparison) HTML(w io.Writer) error { return c.document().html(w) }

func (c *StudyComparison) document() *document {
	d := &document{title: c.A + " against " + c.B}
	d.add(lines{{{text: "A"}, {c.A, loud}}, {{text: "B"}, {c.B, loud}}})
	var left []string
	for _, only := range []struct {
		side  string
		rungs []string
	}{{"A", c.OnlyA}, {"B", c.OnlyB}} {
		for _, r := range only.rungs {
			left = append(left, fmt.Sprintf("%s has only %s", r, only.side))
		}
	}
	if left = append(left, c.Warnings...); len(left) > 0 {
		d.add(notes(left))
	}
	for _, r := range c.Rungs {
		d.add(heading(fmt.Sprintf("%s: %s differ, %d equal", r.Rung, count(len(r.Spec.Changed), "value"), r.Spec.Equal)))
		if len(r.Spec.Changed) > 0 {
			d.add(specGrid(r.Spec))
		}
		if len(r.Hidden) > 0 {
			d.add(differsGrid(r.Hidden, true))
		}
		if len(r.Eval) > 0 {
			d.add(deltaGrid("A", "B", r.Eval), prose("Verdict: "+r.Verdict))
		}
		if len(r.Warnings) > 0 {
			d.add(notes(r.Warnings))
		}
	}
	return d
}
