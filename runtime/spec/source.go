package spec

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/load"
	"mixr/schema"
)

// kinds are the definitions that make a top-level field an entry, something that can be loaded.
var kinds = []string{"#Experiment", "#Study"}

// cardKind is the definition of a dataset card, which package data loads; it is known here so that a card given in place of
// an experiment is named as one.
const cardKind = "#Dataset"

// marker is the definition by which an entry is recognised: the stub of #Experiment holds it, so a field that was unified with
// it has it too.
const marker = "#mixr"

// moduleFile serves files that belong to no CUE module.
const moduleFile = "module: \"mixr.local@v0\"\nlanguage: version: \"v0.17.0\"\n"

// entry is one experiment, study or card as the user wrote it, not yet seen by the schema.
type entry struct {
	name  string // of the field that holds it
	kind  string // a member of kinds, or cardKind
	value cue.Value
	pos   Pos
}

// read returns the text of a file that may be evaluated.
func read(file string) ([]byte, Diagnostics) {
	at := fileAt(file)
	switch info, err := os.Stat(file); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, Diagnostics{{Pos: at, Msg: "no such file"}}
	case err != nil:
		return nil, Diagnostics{{Pos: at, Msg: err.Error()}}
	case info.IsDir():
		return nil, Diagnostics{{Pos: at, Msg: "is a folder", Hint: "name one .cue file"}}
	case filepath.Ext(file) != ".cue":
		return nil, Diagnostics{{Pos: at, Msg: "is no .cue file"}}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, Diagnostics{{Pos: at, Msg: err.Error()}}
	}
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 { // CUE would take a UTF-16 file for an empty one
		return nil, Diagnostics{{Pos: at, Msg: "is not UTF-8 text", Hint: "save it with encoding UTF-8"}}
	}
	return text, nil
}

// entries evaluates a file of that text on its own.
func (s *schemas) entries(file string, text []byte) ([]entry, Diagnostics) {
	at := fileAt(file)
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, Diagnostics{{Pos: at, Msg: err.Error()}}
	}
	config := &load.Config{
		Dir:     filepath.Dir(abs),
		Overlay: s.overlay(filepath.Dir(abs)),
		Env:     []string{"CUE_REGISTRY=none"}, // what a file means must not depend on the network
	}
	config.Overlay[abs] = load.FromBytes(text)
	inst := load.Instances([]string{"./" + filepath.Base(abs)}, config)[0]
	if inst.Err != nil {
		return nil, raw(inst.Err, at)
	}
	v := s.ctx.BuildInstance(inst)
	var entries []entry
	it, err := v.Fields()
	for err == nil && it.Next() {
		e := entry{name: it.Selector().Unquoted(), value: it.Value(), pos: place(it.Value())}
		if e.kind, _ = it.Value().LookupPath(cue.MakePath(cue.Def(marker))).String(); e.kind != "" {
			entries = append(entries, e)
		} else if err := it.Value().Err(); err != nil {
			return nil, raw(err, at)
		} else if slices.Contains([]string{"experiment", "study"}, e.name) {
			name := "schema.#" + strings.ToUpper(e.name[:1]) + e.name[1:]
			return nil, Diagnostics{{e.pos, e.name, "is not checked by a schema",
				fmt.Sprintf("write import %q and %s: %s & {...}", schema.ImportPath, e.name, name)}}
		}
	}
	if entries == nil && v.Err() != nil {
		return nil, raw(v.Err(), at)
	}
	return entries, nil
}

// overlay lays stubs of the schema's definitions over the module that dir belongs to, so that evaluation yields what the
// user wrote and nothing else: no defaults, and no mistake that hides another.
func (s *schemas) overlay(dir string) map[string]load.Source {
	root, files := dir, map[string]load.Source{}
	for up := dir; ; up = filepath.Dir(up) {
		if info, err := os.Stat(filepath.Join(up, "cue.mod")); err == nil && info.IsDir() {
			root = up
			break
		}
		if up == filepath.Dir(up) {
			break
		}
	}
	module := filepath.Join(root, "cue.mod", "module.cue")
	text, err := os.ReadFile(module)
	if err != nil {
		text = []byte(moduleFile)
		files[module] = load.FromBytes(text)
	}
	// The module that owns the schema's path has the package in its own tree; to any other it is a vendored package.
	folder := filepath.Join(root, "cue.mod", "pkg", filepath.FromSlash(schema.ImportPath))
	if owner, rest, _ := strings.Cut(schema.ImportPath, "/"); strings.Contains(string(text), `"`+owner+`@`) {
		folder = filepath.Join(root, rest)
	}
	names, _ := fs.Glob(schema.Files, "*.cue") // the pattern is well formed
	for _, name := range names {
		files[filepath.Join(folder, name)] = load.FromString("package schema\n")
	}
	files[filepath.Join(folder, names[0])] = load.FromString(s.stubs())
	return files
}

// stubs is a schema package whose definitions allow everything.
func (s *schemas) stubs() string {
	var b strings.Builder
	b.WriteString("package schema\n")
	it, err := s.value.Fields(cue.Definitions(true))
	for err == nil && it.Next() {
		name := it.Selector().String()
		switch {
		case slices.Contains(kinds, name) || name == cardKind:
			fmt.Fprintf(&b, "%s: {%s: %q, ...}\n", name, marker, name)
		case it.Value().IncompleteKind() == cue.StructKind:
			fmt.Fprintf(&b, "%s: {...}\n", name) // `_` would be closed around the fields it meets
		default:
			fmt.Fprintf(&b, "%s: _\n", name)
		}
	}
	return b.String()
}

// raw turns errors of CUE itself (syntax, imports, references) into diagnostics.
func raw(err error, file Pos) Diagnostics {
	var out Diagnostics
	for _, e := range errors.Errors(err) {
		path := e.Path()
		if len(path) > 1 {
			path = path[1:] // below the entry, as paths are everywhere
		}
		d := Diagnostic{Pos: file, Path: strings.Join(path, "."), Msg: message(e)}
		for _, p := range append([]Pos{position(e.Position())}, positions(e)...) {
			if !p.IsZero() {
				d.Pos = p
				break
			}
		}
		if short, _, ok := strings.Cut(d.Msg, ": cannot find module"); ok {
			d.Msg = short
			d.Hint = fmt.Sprintf("the schemas are %q", schema.ImportPath)
		}
		out = append(out, d)
	}
	return out.sorted(file.File)
}

// message is the text of e and of what caused it, without places.
func message(e errors.Error) string {
	format, args := e.Msg()
	text := fmt.Sprintf(format, args...)
	var cause errors.Error
	if errors.As(errors.Unwrap(e), &cause) {
		return text + ": " + message(cause)
	}
	return text
}

func positions(e errors.Error) (out []Pos) {
	for _, p := range e.InputPositions() {
		out = append(out, position(p))
	}
	return out
}

// place is where v was first written, the key of its field.
func place(v cue.Value) Pos {
	if w := writers(v); len(w) > 0 {
		return w[0].Pos
	}
	return position(v.Pos())
}

// fieldsOf returns the fields that wrote v: one, or several where the file says the same path more than once.
func fieldsOf(v cue.Value) (out []*ast.Field) {
	if f, ok := v.Source().(*ast.Field); ok {
		return []*ast.Field{f}
	}
	op, args := v.Expr()
	if op != cue.AndOp {
		return nil
	}
	for _, a := range args {
		if f, ok := a.Source().(*ast.Field); ok {
			out = append(out, f)
		}
	}
	return out
}
