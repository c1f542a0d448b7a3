package spec

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/errors"
)

// Writer is one place that set a value.
type Writer struct {
	Pos   Pos    `json:"pos"`
	By    string `json:"by"`    // base, rung +mcq, command line; empty for the experiment itself
	Value string `json:"value"` // JSON

	dir string // absolute folder of the file, which paths in the value are relative to
}

// node is a value of an experiment that is being put together: a struct, or a value that replaces as a whole (a list is one).
type node struct {
	fields  map[string]*node // nil unless a struct
	keys    []string         // of fields, in the order written
	value   cue.Value        // unless a struct
	items   []*node          // of a list
	json    string           // of the value
	writers []Writer         // the winner first; those of a struct are the fields that opened it
	broken  bool             // reported; what depends on it is not judged
}

func (n *node) isStruct() bool { return n.fields != nil }

// pos is the place to name in a mistake: of a value the winner, of a block the field that first opened it.
func (n *node) pos() Pos {
	switch {
	case len(n.writers) == 0:
		return Pos{}
	case n.isStruct():
		return n.writers[len(n.writers)-1].Pos
	}
	return n.writers[0].Pos
}

func (n *node) put(key string, child *node) {
	if _, ok := n.fields[key]; !ok {
		n.keys = append(n.keys, key)
	}
	n.fields[key] = child
}

// nest returns leaf as the only value of a tree, at path. Blocks on the way have the writers of w.
func nest(path string, leaf *node, w ...Writer) *node {
	keys := split(path)
	for i := len(keys) - 1; i >= 0; i-- {
		leaf = &node{fields: map[string]*node{keys[i]: leaf}, keys: keys[i : i+1], writers: w}
	}
	return leaf
}

// find returns the node at path, nil if nothing is written there.
func (n *node) find(path string) *node {
	for _, key := range split(path) {
		if n == nil || !n.isStruct() {
			return nil
		}
		n = n.fields[key]
	}
	return n
}

// writers lists the fields that wrote v, in the order of the file.
func writers(v cue.Value) (out []Writer) {
	for _, f := range fieldsOf(v) {
		p := f.Label.Pos()
		out = append(out, Writer{Pos: position(p), dir: filepath.Dir(p.Filename())})
	}
	if out == nil && v.Pos().IsValid() {
		out = []Writer{{Pos: position(v.Pos()), dir: filepath.Dir(v.Pos().Filename())}}
	}
	return out
}

// collect turns evaluated data into a tree. What is in error by itself, whatever the schema says, is reported here.
func collect(v cue.Value, path, by string) (*node, Diagnostics) {
	n := &node{value: v, writers: writers(v)}
	for i := range n.writers {
		n.writers[i].By = by
	}
	var out Diagnostics
	switch kind := v.IncompleteKind(); kind {
	case cue.StructKind, cue.BottomKind:
		// A struct or list with a mistake below it is bottom as a whole, but its fields can still be visited one by one.
		it, err := v.Fields()
		if err != nil {
			break
		}
		if out = n.collectFields(it, path, by); n.isStruct() {
			return n, out
		}
	case cue.ListKind:
		it, err := v.List()
		for err == nil && it.Next() {
			out = append(out, n.collectItem(it.Value(), path, by)...)
		}
	}
	if out != nil {
		n.broken = slices.ContainsFunc(n.items, func(item *node) bool { return item.broken }) // else the mistake is within a block
		return n, out
	}
	if v.Err() != nil {
		n.broken = true
		return n, Diagnostics{ownError(v, n.pos(), path)}
	}
	if d, ok := v.Default(); ok {
		n.value = d
	}
	if !n.value.IsConcrete() {
		n.broken = true
		return n, Diagnostics{{Pos: n.pos(), Path: path, Msg: "has no concrete value: it is " + want(v), Hint: "write one value"}}
	}
	text, err := n.value.MarshalJSON()
	if err != nil {
		n.broken = true
		return n, Diagnostics{{Pos: n.pos(), Path: path, Msg: err.Error()}}
	}
	n.json = string(text)
	for i := range n.writers {
		n.writers[i].Value = n.json
	}
	return n, nil
}

// collectFields collects the fields of a struct; those of a list, which are numbered, become its items.
func (n *node) collectFields(it *cue.Iterator, path, by string) (out Diagnostics) {
	fields := map[string]*node{}
	for it.Next() {
		if it.Selector().LabelType() == cue.IndexLabel {
			out = append(out, n.collectItem(it.Value(), path, by)...)
			continue
		}
		key := it.Selector().Unquoted()
		child, more := collect(it.Value(), join(path, key), by)
		fields[key], n.keys = child, append(n.keys, key)
		out = append(out, more...)
	}
	if n.items == nil {
		n.fields = fields
	}
	return out
}

func (n *node) collectItem(v cue.Value, path, by string) Diagnostics {
	item, out := collect(v, fmt.Sprintf("%s[%d]", path, len(n.items)), by)
	n.items = append(n.items, item)
	return out
}

// ownError words an error that the user's data has by itself.
func ownError(v cue.Value, at Pos, path string) Diagnostic {
	if fields := fieldsOf(v); len(fields) > 1 {
		var places []string
		for _, f := range fields {
			places = append(places, position(f.Label.Pos()).String())
		}
		return Diagnostic{Pos: at, Path: path, Msg: "is given values that exclude each other at " + strings.Join(places, " and "),
			Hint: "write it once"}
	}
	return Diagnostic{Pos: at, Path: path, Msg: message(errors.Errors(v.Err())[0])}
}

// overlay returns base with top laid over it, path by path; neither is changed. The writers of a value are those of top, then those it overrode.
func overlay(base, top *node) *node {
	if base == nil {
		return top
	}
	out := *top
	out.writers = append(append([]Writer{}, top.writers...), base.writers...)
	if !base.isStruct() || !top.isStruct() {
		return &out
	}
	out.fields, out.keys = map[string]*node{}, nil
	for _, key := range base.keys {
		out.put(key, base.fields[key])
	}
	for _, key := range top.keys {
		out.put(key, overlay(base.fields[key], top.fields[key]))
	}
	return &out
}

// render writes the values of n as JSON, in the order written and with numbers as the user wrote them.
func (n *node) render(b *strings.Builder) {
	if n.items != nil { // filled in, which json is not
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.render(b)
		}
		b.WriteByte(']')
		return
	}
	if !n.isStruct() {
		b.WriteString(n.json)
		return
	}
	b.WriteByte('{')
	first := true
	for _, key := range n.keys {
		child := n.fields[key]
		if child.broken {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		name, _ := json.Marshal(key) // a string always marshals
		b.Write(name)
		b.WriteByte(':')
		child.render(b)
	}
	b.WriteByte('}')
}
