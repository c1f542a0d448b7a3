package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// baseRung is the name of a study's first rung, the base itself.
const baseRung = "base"

// loader checks the layers of one entry and merges them. Mistakes gather in checker.out.
type loader struct {
	checker
	schemas *schemas
	entry   entry
	shape   *shape  // of the entry's kind
	over    []*node // the overrides, in the order given
}

func (l *loader) load(f *File, overrides []string) {
	written, mistakes := collect(l.entry.value, "", "")
	l.out = append(l.out, mistakes...)
	l.structure(written, l.shape, "")
	if f.Study {
		written = l.overrides(overrides, written)
		l.study(f, l.fill(written, l.shape, "", l.entry.pos))
		return
	}
	l.overrides(overrides, nil)
	r := l.resolve(written)
	f.Rungs = []Rung{{Resolved: r}}
	if r != nil {
		f.Name, f.Notes = r.Experiment.Name, r.Experiment.Notes
	}
}

// overrides parses and checks the command line. In a study, an override of its seeds is laid over the study, all others over each rung.
func (l *loader) overrides(texts []string, study *node) *node {
	for _, text := range texts {
		n, path, err := l.schemas.override(text)
		if err != nil {
			l.report(Pos{File: CommandLine}, path, "", "%s", err)
			continue
		}
		switch {
		case study != nil && path == "seeds":
			l.structure(n, l.shape, "")
			study = overlay(study, n)
		case study != nil && path == "seed" && study.fields["seeds"] != nil:
			l.report(n.pos(), path, "write seeds=[...]", "the study has seeds of its own")
		case path == "name" && study != nil:
			l.report(n.pos(), path, "", "the name of a trial is the study's")
		default:
			l.structure(n, l.schemas.definition("#Experiment"), "")
			l.over = append(l.over, n)
		}
	}
	return study
}

// study resolves the base and every rung of a ladder on top of the one before.
func (l *loader) study(f *File, n *node) {
	name := n.fields["name"]
	base := n.fields["base"]
	if base == nil || name == nil {
		return // reported as missing or wrong
	}
	f.Name = text(name)
	if notes := n.fields["notes"]; notes != nil {
		f.Notes = text(notes)
	}
	l.seeds(f, n.fields["seeds"], base)
	named := &node{fields: map[string]*node{"name": name}, keys: []string{"name"}, writers: name.writers}
	base.label(baseRung)
	layers := overlay(base, named)
	l.rung(f, baseRung, layers, name.pos())
	if n.fields["ladder"] == nil {
		return
	}
	for _, rung := range n.fields["ladder"].items {
		name, patch := rung.fields["name"], rung.fields["patch"]
		if name == nil || patch == nil {
			continue // reported
		}
		patch.label("rung " + text(name))
		layers = overlay(layers, patch)
		l.rung(f, text(name), layers, name.pos())
	}
}

// rung resolves one rung and refuses it if it is no new experiment: it would be computed and shown for nothing.
func (l *loader) rung(f *File, name string, n *node, at Pos) {
	r := l.resolve(n)
	for i, other := range f.Rungs {
		same := r != nil && other.Resolved != nil && len(Diff(r.Experiment, other.Experiment)) == 0
		switch {
		case other.Name == name:
			l.report(at, "ladder", "", "rung %q has the name of rung %d", name, i)
		case same && i == len(f.Rungs)-1:
			l.report(at, "ladder", "", "rung %q changes nothing: it equals the rung before, %q", name, other.Name)
		case same:
			l.report(at, "ladder", "", "rung %q repeats rung %q", name, other.Name)
		}
	}
	f.Rungs = append(f.Rungs, Rung{name, r})
}

func (l *loader) seeds(f *File, n, base *node) {
	if n == nil {
		return
	}
	if s := base.fields["seed"]; s != nil {
		l.report(s.pos(), "base.seed", "delete one of the two", "the study has seeds of its own at %s", n.pos())
	}
	if len(n.items) == 0 {
		l.report(n.pos(), "seeds", "write at least one, or leave the field out", "is empty")
	}
	for i, item := range n.items {
		value, err := strconv.ParseUint(item.json, 10, 64)
		if err != nil {
			continue // reported by the schema
		}
		if slices.ContainsFunc(f.Seeds, func(s Seed) bool { return s.Value == value }) {
			l.report(item.pos(), fmt.Sprintf("seeds[%d]", i), "", "%d is there already: two trials of one seed are the same trial", value)
		}
		f.Seeds = append(f.Seeds, Seed{value, item.pos()})
	}
}

// label notes in every writer below n which layer it belongs to.
func (n *node) label(by string) {
	for i := range n.writers {
		n.writers[i].By = by
	}
	for _, child := range n.fields {
		child.label(by)
	}
}

// text is the value of a node that the schema knows to be a string.
func text(n *node) string {
	s, err := n.value.String()
	if err != nil {
		return strings.Trim(n.json, `"`)
	}
	return s
}
