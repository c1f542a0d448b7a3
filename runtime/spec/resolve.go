package spec

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
)

// Resolved is one experiment with every value, and where each came from. It does not change once loaded.
type Resolved struct {
	Experiment *Experiment
	Leaves     []Leaf // every value in the order of the schema
}

// Leaf is one value of a resolved experiment.
type Leaf struct {
	Path    string   `json:"path"`              // such as grpo.kl
	Value   string   `json:"value"`             // canonical JSON
	Writers []Writer `json:"writers,omitempty"` // the winner first, then those it overrode; empty: the schema's default
	Default string   `json:"default,omitempty"` // the schema's default as it is written there, JSON; empty: none
	Rule    Pos      `json:"rule"`              // the schema's field, which holds constraint and default
	Want    string   `json:"-"`                 // the constraint in words
	Doc     string   `json:"-"`                 // the schema's comment
}

// follow names values that take over another's where they are not written, so that one setting is written once.
var follow = map[string]string{
	"eval.max_completion_tokens": "grpo.max_completion_tokens",
	"eval.task_tokens":           "grpo.task_tokens",
	"eval.stop":                  "grpo.stop",
}

// resolve lays the overrides over n, fills in defaults, and applies every rule. It returns nil if the result is no
// experiment; mistakes are then in l.out.
func (l *loader) resolve(n *node) *Resolved {
	before := len(l.out)
	root := l.schemas.definition("#Experiment")
	for _, over := range l.over {
		n = overlay(n, over)
	}
	for path, source := range follow {
		if from := n.find(source); from != nil && n.find(path) == nil && !from.broken {
			n = overlay(n, nest(path, from))
		}
	}
	full := l.fill(n, root, "", l.entry.pos)
	var text strings.Builder
	full.render(&text)
	e := &Experiment{}
	if err := json.Unmarshal([]byte(text.String()), e); err != nil {
		l.report(l.entry.pos, "", "", "the schema and the program disagree: %s", err)
		return nil
	}
	f := &facts{Experiment: e, c: &l.checker, written: n, full: full, entry: l.entry.pos, root: root}
	for _, rule := range rules {
		rule(f)
	}
	if len(l.out) > before || n.anyBroken() {
		return nil
	}
	v := l.schemas.ctx.CompileString(text.String())
	if err := root.value.Unify(v).Validate(cue.Concrete(true)); err != nil {
		l.out = append(l.out, raw(err, l.entry.pos)...)
		return nil
	}
	return &Resolved{e, leaves(nil, full, root, "", values(e))}
}

func (n *node) anyBroken() bool {
	if n.broken {
		return true
	}
	for _, child := range n.fields {
		if child.anyBroken() {
			return true
		}
	}
	return false
}

// leaves appends the values below n. canonical holds them by path.
func leaves(out []Leaf, n *node, s *shape, path string, canonical map[string]string) []Leaf {
	for _, key := range n.keys {
		child, f, at := n.fields[key], s.field(key), join(path, key)
		if child.isStruct() {
			out = leaves(out, child, f.sub, at, canonical)
			continue
		}
		value, ok := canonical[at]
		if !ok {
			value = child.json // an empty value that the Go struct leaves out
		}
		leaf := f.describe(at)
		leaf.Value, leaf.Writers = value, child.writers
		out = append(out, leaf)
	}
	return out
}

// WithSeed returns r with another seed, as a study's replicates have.
func (r *Resolved) WithSeed(s Seed) *Resolved {
	e := *r.Experiment
	e.Seed = s.Value
	out := &Resolved{&e, append([]Leaf(nil), r.Leaves...)}
	for i, l := range out.Leaves {
		if l.Path == "seed" {
			value := strconv.FormatUint(s.Value, 10)
			out.Leaves[i].Value = value
			out.Leaves[i].Writers = append([]Writer{{Pos: s.Pos, By: "seeds", Value: value}}, l.Writers...)
		}
	}
	return out
}

// Path returns the usable form of a path that the experiment holds, such as that at policy.from or
// data.sources.nlvr.card: relative to the folder of the file that wrote it, made absolute. A reference to the hub stays as it is.
func (r *Resolved) Path(at string) (string, error) {
	for _, l := range r.Leaves {
		if l.Path != at {
			continue
		}
		var p string
		if err := json.Unmarshal([]byte(l.Value), &p); err != nil {
			return "", fmt.Errorf("%s holds no path: %s", at, l.Value)
		}
		return located(p, l.Writers), nil
	}
	return "", fmt.Errorf("the experiment has no value %s", at)
}

func located(path string, writers []Writer) string {
	if strings.HasPrefix(path, hubPrefix) {
		return path
	}
	if filepath.IsAbs(path) || len(writers) == 0 {
		return filepath.Clean(path)
	}
	return filepath.Join(writers[0].dir, path)
}
