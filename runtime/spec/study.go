package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
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

// load checks what the user wrote and fills in f; with mistakes in l.out, f is not to be used.
func (l *loader) load(f *File, overrides []string) {
	written, mistakes := collect(l.entry.value, "", "")
	l.out = append(l.out, mistakes...)
	l.structure(written, l.shape, "")
	if f.Study {
		l.study(f, l.overrides(overrides, written))
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
			before := len(l.out)
			l.structure(n, l.schemas.definition("#Experiment"), "")
			if len(l.out) == before {
				l.over = append(l.over, n)
			}
		}
	}
	return study
}

// study resolves the base and every rung of a ladder on top of the one before.
func (l *loader) study(f *File, written *node) {
	n := l.fill(written, l.shape, "", l.entry.pos)
	name := n.fields["name"]
	if name == nil || name.broken {
		name = &node{json: `"unnamed"`} // reported; the rest is judged all the same
	}
	f.Name = text(name)
	if notes := n.fields["notes"]; notes != nil {
		f.Notes = text(notes)
	}
	base := n.fields["base"]
	if base == nil || base.broken {
		return // reported
	}
	l.seeds(f, written.fields["seeds"], base)
	base.label(baseRung)
	layers := overlay(base, nest("name", name))
	l.rung(f, baseRung, layers, "", base.pos())
	if n.fields["ladder"] == nil {
		return
	}
	for i, rung := range n.fields["ladder"].items {
		name, patch := rung.fields["name"], rung.fields["patch"]
		if name == nil || patch == nil || name.broken || patch.broken {
			continue // reported
		}
		patch.label("rung " + text(name))
		layers = overlay(layers, patch)
		l.rung(f, text(name), layers, fmt.Sprintf("ladder[%d]", i), name.pos())
	}
}

// rung resolves one rung and refuses it if it is no new experiment: it would be computed and shown for nothing.
func (l *loader) rung(f *File, name string, n *node, path string, at Pos) {
	r := l.resolve(n)
	for i, other := range slices.Backward(f.Rungs) {
		if other.Name == name {
			l.report(at, path+".name", "", "%q is taken: rungs are told apart by their names", name)
		}
		if r == nil || other.Resolved == nil || !r.equal(other.Resolved) {
			continue
		}
		if i == len(f.Rungs)-1 {
			l.report(at, path, "", "rung %q changes nothing: it equals the rung before, %q", name, other.Name)
		} else {
			l.report(at, path, "", "rung %q repeats rung %q", name, other.Name)
		}
		break
	}
	f.Rungs = append(f.Rungs, Rung{name, r})
}

// equal reports whether all values are the same; both are of one schema, so their leaves come in one order.
func (r *Resolved) equal(other *Resolved) bool {
	return slices.EqualFunc(r.Leaves, other.Leaves, func(a, b Leaf) bool { return a.Path == b.Path && a.Value == b.Value })
}

// seeds reads the replicates of a study.
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
	var s string
	if err := json.Unmarshal([]byte(n.json), &s); err != nil {
		panic(fmt.Errorf("spec: %s is no string: %w", n.json, err))
	}
	return s
}
