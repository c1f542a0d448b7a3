package spec

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"mixr/schema"
)

// schemas is the embedded schema package, built in one CUE context.
type schemas struct {
	ctx         *cue.Context
	value       cue.Value
	definitions map[string]*shape // read so far
}

func newSchemas(ctx *cue.Context) (*schemas, error) {
	inst := build.NewContext().NewInstance("schema", nil)
	names, err := fs.Glob(schema.Files, "*.cue")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := schema.Files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile("schema/"+name, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		if err := inst.AddSyntax(file); err != nil {
			return nil, err
		}
	}
	if err := inst.Complete(); err != nil {
		return nil, err
	}
	v := ctx.BuildInstance(inst)
	return &schemas{ctx, v, map[string]*shape{}}, v.Err()
}

// definition returns the shape of a definition such as #Experiment.
func (s *schemas) definition(name string) *shape {
	d := s.definitions[name]
	if d == nil {
		d = &shape{schemas: s, value: s.value.LookupPath(cue.MakePath(cue.Def(name)))}
		d.root = d
		s.definitions[name] = d
	}
	return d
}

// shape is what the schema says of one struct: its fields, and the shape of elements where the keys are the user's.
type shape struct {
	schemas *schemas
	root    *shape // of the definition that the struct is part of
	value   cue.Value
	read    bool
	fields  []*field
	element *field // set where any key is allowed, as in data.sources
}

// field is one field of a struct in the schema.
type field struct {
	name     string
	value    cue.Value
	fallback string // the schema's default as JSON, "" if there is none or the field is a block
	required bool   // no default: the user must write it
	optional bool   // may be absent from the resolved experiment
	partial  bool   // holds part of another definition, as a study's base does: keys are checked, nothing is filled in
	sub      *shape // of the struct behind it, nil if it is a value
	leaf     *Leaf  // what the schema says of the value, once asked for
}

func (s *shape) load() {
	if s.read {
		return
	}
	s.read = true
	it, err := s.value.Fields(cue.Optional(true))
	for err == nil && it.Next() {
		s.fields = append(s.fields, s.newField(it.Selector().Unquoted(), it.Value(), it.FieldType()))
	}
	if any := s.value.LookupPath(cue.MakePath(cue.AnyString)); any.Exists() {
		s.element = s.newField("*", any, cue.StringLabel|cue.OptionalConstraint)
	}
}

func (s *shape) newField(name string, v cue.Value, t cue.SelectorType) *field {
	f := &field{name: name, value: v, required: t&cue.RequiredConstraint != 0, optional: t&cue.OptionalConstraint != 0}
	if holds := v.Attribute("holds"); holds.Err() == nil {
		f.partial, f.sub = true, s.schemas.definition(holds.Contents())
	} else if v.IncompleteKind() == cue.StructKind {
		f.sub = &shape{schemas: s.schemas, root: s.root, value: v}
	} else if d, _ := v.Default(); d.IsConcrete() {
		if text, err := d.MarshalJSON(); err == nil {
			f.fallback = string(text)
		}
	}
	return f
}

// field returns the field for a key, nil if the schema does not allow it.
func (s *shape) field(key string) *field {
	s.load()
	for _, f := range s.fields {
		if f.name == key {
			return f
		}
	}
	return s.element
}

func (s *shape) names() []string {
	s.load()
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.name
	}
	return names
}

// walk visits every field below s, parents first, in the order of the schema.
func (s *shape) walk(path string, visit func(path string, f *field)) {
	s.load()
	for _, f := range s.fields {
		at := join(path, f.name)
		visit(at, f)
		if f.sub != nil {
			f.sub.walk(at, visit)
		}
	}
	if s.element != nil && s.element.sub != nil {
		s.element.sub.walk(join(path, "*"), visit)
	}
}

// lookup returns the field at a path such as data.sources.nlvr.weight, nil if there is none.
func (s *shape) lookup(path string) *field {
	keys := split(path)
	for i, key := range keys {
		f := s.field(key)
		if f == nil || i == len(keys)-1 {
			return f
		}
		if s = f.sub; s == nil {
			return nil
		}
	}
	return nil
}

// items returns what the elements of the list field f must be, nil if f is no list.
func (s *shape) items(f *field) *field {
	for _, v := range alternatives(f.value) {
		if e := v.LookupPath(cue.MakePath(cue.AnyIndex)); e.Exists() {
			return s.newField("", e, cue.StringLabel)
		}
	}
	return nil
}

// doc is the field's comment, as one paragraph.
func (f *field) doc() string {
	var lines []string
	for _, group := range f.value.Doc() {
		lines = append(lines, strings.Fields(group.Text())...)
	}
	return strings.Join(lines, " ")
}

// describe returns a leaf without its value.
func (f *field) describe(path string) Leaf {
	if f.leaf == nil {
		f.leaf = &Leaf{Default: f.fallback, Rule: position(f.value.Pos()), Want: want(f.value), Doc: f.doc()}
	}
	l := *f.leaf
	l.Path = path
	return l
}

// want says in words what values the constraint v allows: the text of @want, the words of an enumeration, or CUE's own.
func want(v cue.Value) string {
	for _, v := range []cue.Value{v, cue.Dereference(v)} {
		if a := v.Attribute("want"); a.Err() == nil {
			return strings.Trim(a.Contents(), `"`)
		}
	}
	if words := enumeration(v); len(words) > 1 {
		return "one of " + strings.Join(words, ", ")
	} else if len(words) == 1 {
		return words[0]
	}
	switch v.IncompleteKind() {
	case cue.ListKind:
		for _, a := range alternatives(v) {
			if e := a.LookupPath(cue.MakePath(cue.AnyIndex)); e.Exists() {
				return "a list, each item " + want(e)
			}
		}
		return "a list"
	case cue.StructKind:
		return "a block {...}"
	case cue.StringKind:
		return "a string"
	}
	if text, err := format.Node(v.Syntax(cue.Raw())); err == nil && !strings.Contains(string(text), "\n") {
		return withoutDefault(string(text))
	}
	return fmt.Sprint(v.IncompleteKind())
}

func withoutDefault(text string) string {
	parts := strings.Split(text, " | ")
	parts = slices.DeleteFunc(parts, func(p string) bool { return len(parts) > 1 && strings.HasPrefix(p, "*") })
	return strings.Join(parts, " or ")
}

// enumeration returns the words that v allows, nil if v is no enumeration of strings.
func enumeration(v cue.Value) (words []string) {
	for _, a := range alternatives(v) {
		word, err := a.String()
		if err != nil {
			return nil
		}
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words
}

// alternatives flattens a disjunction, following references.
func alternatives(v cue.Value) (out []cue.Value) {
	op, args := cue.Dereference(v).Expr()
	switch {
	case op == cue.NoOp && len(args) == 1:
		return args // of a default and the list type it belongs to, the type
	case op != cue.OrOp:
		return []cue.Value{v}
	}
	for _, a := range args {
		out = append(out, alternatives(a)...)
	}
	return out
}
