package spec

import (
	"fmt"
	"math/big"

	"cuelang.org/go/cue"
)

// checker holds data against the schema. It compares one key and one value at a time, because CUE's own validation of
// the whole hides mistakes: a wrong value hides unknown keys beside it, and any error hides every missing field.
type checker struct {
	out Diagnostics
}

func (c *checker) report(p Pos, path, hint, format string, args ...any) {
	c.out = append(c.out, Diagnostic{p, path, fmt.Sprintf(format, args...), hint})
}

// structure reports unknown keys and wrong values in n and below, and marks them broken.
func (c *checker) structure(n *node, s *shape, path string) {
	for _, key := range n.keys {
		child, at := n.fields[key], join(path, key)
		f := s.field(key)
		switch {
		case f == nil:
			c.report(child.pos(), at, s.suggestKey(key), "unknown field")
			child.broken = true
		case child.broken:
		case f.sub != nil && child.isStruct():
			c.structure(child, f.sub, at)
		case f.sub != nil:
			c.report(child.pos(), at, "", "got %s, want a block {...}", brief(child))
			child.broken = true
		case child.isStruct():
			c.report(child.pos(), at, "", "got a block, want %s", want(f.value))
			child.broken = true
		default:
			c.value(child, s, f, at)
		}
	}
}

// value reports a value that its field's constraint refuses.
func (c *checker) value(n *node, s *shape, f *field, path string) {
	element := s.items(f)
	if element == nil || n.items == nil && n.value.Kind() != cue.ListKind {
		if msg, hint := refused(n, f.value); msg != "" {
			c.report(n.pos(), path, hint, "%s", msg)
			n.broken = true
		}
		return
	}
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case element.sub != nil && item.isStruct():
			c.structure(item, element.sub, at)
		case element.sub != nil || item.isStruct():
			c.report(item.pos(), at, "", "got %s, want %s", brief(item), want(element.value))
			item.broken = true
			n.broken = n.broken || element.sub == nil
		default:
			c.value(item, s, element, at)
			n.broken = n.broken || item.broken
		}
	}
}

// refused says why constraint refuses n, "" if it does not.
func refused(n *node, constraint cue.Value) (msg, hint string) {
	if n.value.Kind()&cue.NumberKind != 0 {
		if f, err := n.value.Float64(); err != nil && !(f != 0 && n.value.Kind() == cue.IntKind) {
			return fmt.Sprintf("got %s, which a 64-bit float cannot hold", brief(n)), ""
		}
	}
	if constraint.Unify(n.value).Validate(cue.Concrete(true)) == nil && n.value.Kind() != cue.BytesKind {
		return "", ""
	}
	if words := enumeration(constraint); n.value.Kind() == cue.StringKind && len(words) > 0 {
		word, _ := n.value.String()
		hint = didYouMean(nearest(word, words))
	}
	if n.value.Kind() == cue.FloatKind && constraint.IncompleteKind() == cue.IntKind {
		if whole, ok := new(big.Rat).SetString(n.json); ok && whole.IsInt() {
			hint = fmt.Sprintf("%s is a float in CUE: write %s", n.json, whole.Num())
		}
	}
	return fmt.Sprintf("got %s, want %s", brief(n), want(constraint)), hint
}

// brief is the value of n for a message.
func brief(n *node) string {
	if n.isStruct() {
		return "a block"
	}
	if n.value.Kind() == cue.BytesKind {
		return "bytes"
	}
	if runes := []rune(n.json); len(runes) > 60 {
		return string(runes[:57]) + "..."
	}
	return n.json
}

// fill returns n completed by the schema's defaults, and reports what is required and absent. at is the place to name
// for a block that nobody wrote.
func (c *checker) fill(n *node, s *shape, path string, at Pos) *node {
	out := &node{fields: map[string]*node{}, writers: n.writers}
	if !n.pos().IsZero() {
		at = n.pos()
	}
	s.load()
	misspelt := s.misspelt(n)
	for _, f := range s.fields {
		child := n.fields[f.name]
		written := child != nil && !child.broken
		switch {
		case written && f.partial:
			out.put(f.name, child)
		case written && f.sub != nil:
			out.put(f.name, c.fill(child, f.sub, join(path, f.name), at))
		case written:
			out.put(f.name, c.fillItems(child, s, f, join(path, f.name)))
		case f.required && child == nil && !misspelt[f.name]:
			c.report(at, join(path, f.name), "", "is required: %s", want(f.value))
		case misspelt[f.name]:
			out.put(f.name, &node{broken: true}) // neither missing nor a default: its value is not known
		case f.required || f.optional:
		case f.sub != nil:
			out.put(f.name, c.fill(&node{fields: map[string]*node{}}, f.sub, join(path, f.name), at))
		case f.fallback != "":
			out.put(f.name, &node{json: f.fallback})
		}
	}
	if s.element == nil {
		return out
	}
	for _, key := range n.keys {
		if child := n.fields[key]; !child.broken {
			out.put(key, c.fill(child, s.element.sub, join(path, key), at))
		}
	}
	return out
}

// misspelt is the set of fields that an unknown key of n stands for: one mistake, not an unknown and a missing field.
func (s *shape) misspelt(n *node) map[string]bool {
	var out map[string]bool
	for _, key := range n.keys {
		if s.field(key) == nil {
			if out == nil {
				out = map[string]bool{}
			}
			out[nearest(key, s.names())] = true
		}
	}
	return out
}

// fillItems completes the blocks of a list.
func (c *checker) fillItems(n *node, s *shape, f *field, path string) *node {
	element := s.items(f)
	if element == nil || element.sub == nil {
		return n
	}
	out := *n
	out.items = nil
	for i, item := range n.items {
		if item.broken {
			continue
		}
		out.items = append(out.items, c.fill(item, element.sub, fmt.Sprintf("%s[%d]", path, i), n.pos()))
	}
	return &out
}
