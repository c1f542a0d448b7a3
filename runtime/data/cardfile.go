package data

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"mixr/runtime/spec"
	"mixr/schema"
)

// stub stands for the schema while a card is evaluated, so that what comes out is what the user wrote. The schema itself
// is then held against it field by field: CUE's validation of the whole lets a wrong value hide unknown keys.
const stub = "package schema\n\n#Dataset: {...}\n"

// readCard evaluates the card file and holds it to schema.#Dataset, whether or not it says so itself. Imports resolve
// to the schema in the binary and to CUE's library, never to the network.
func readCard(path string) (*Card, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("dataset card: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("dataset card: %w", err)
	}
	ctx := cuecontext.New()
	definition, err := schemaDataset(ctx)
	if err != nil {
		return nil, err
	}
	var builder *build.Context
	builder = build.NewContext(build.Loader(func(pos token.Pos, importPath string) *build.Instance {
		if !strings.Contains(importPath, ".") {
			return nil // CUE's library
		}
		inst := builder.NewInstance(importPath, nil)
		inst.ImportPath = importPath
		if importPath != schema.ImportPath {
			inst.Err = cueerrors.Newf(pos, "import %q: a card may import %q only", importPath, schema.ImportPath)
		} else if err := errors.Join(addFile(inst, "stub.cue", stub), inst.Complete()); err != nil {
			panic(err) // a constant
		}
		return inst
	}))
	inst := builder.NewInstance(dir, nil)
	if err := addFile(inst, path, text); err != nil {
		return nil, cueMistakes(path, err)
	}
	if err := inst.Complete(); err != nil {
		return nil, cueMistakes(path, err)
	}
	root := ctx.BuildInstance(inst)
	dataset := root.LookupPath(cue.ParsePath("dataset"))
	switch {
	case root.Err() != nil:
		return nil, cueMistakes(path, root.Err())
	case !dataset.Exists():
		return nil, spec.Diagnostics{{Pos: spec.Pos{File: path}, Msg: "no dataset in the card",
			Hint: "write dataset: schema.#Dataset & {...}"}}
	}
	if err := checkFields(path, dataset, definition).Err(); err != nil {
		return nil, err
	}
	card := &Card{path: path, dir: dir}
	if err := definition.Unify(dataset).Decode(card); err != nil {
		return nil, cueMistakes(path, err)
	}
	return card, nil
}

// checkFields reports unknown fields of a card, required ones that are absent, and values that the schema refuses.
func checkFields(path string, dataset, definition cue.Value) (ds spec.Diagnostics) {
	report := func(v cue.Value, field, msg, hint string) {
		at := spec.Pos{File: path, Line: v.Pos().Line(), Col: v.Pos().Column()}
		ds = append(ds, spec.Diagnostic{Pos: at, Path: "dataset." + field, Msg: msg, Hint: hint})
	}
	var names []string
	known, _ := definition.Fields(cue.Optional(true)) // the schema's own: a struct
	for known.Next() {
		names = append(names, known.Selector().Unquoted())
	}
	misspelt := map[string]bool{}
	written, err := dataset.Fields()
	if err != nil {
		return spec.Diagnostics{{Pos: spec.Pos{File: path}, Path: "dataset", Msg: "got no block, want {...}"}}
	}
	for written.Next() {
		name := written.Selector().Unquoted()
		if definition.LookupPath(cue.MakePath(cue.Str(name).Optional())).Exists() || definition.LookupPath(cue.MakePath(cue.Str(name))).Exists() {
			continue
		}
		like := nearest(name, names)
		misspelt[like] = true
		report(written.Value(), name, "unknown field", didYouMean(like))
	}
	known, _ = definition.Fields(cue.Optional(true))
	for known.Next() {
		name, constraint := known.Selector().Unquoted(), known.Value()
		v := dataset.LookupPath(cue.MakePath(cue.Str(name)))
		switch {
		case v.Exists():
			if err := constraint.Unify(v).Validate(cue.Concrete(true)); err != nil {
				report(v, name, refusal(v, constraint, err), "")
			}
		case known.FieldType()&cue.RequiredConstraint != 0 && !misspelt[name]:
			report(dataset, name, "is required: "+want(constraint), "")
		}
	}
	slices.SortStableFunc(ds, func(a, b spec.Diagnostic) int { return cmp.Compare(a.Pos.Line, b.Pos.Line) })
	return ds
}

// refusal says what a value is and what it should be; of blocks, CUE says which field within is wrong.
func refusal(v, constraint cue.Value, err error) string {
	if constraint.IncompleteKind() == cue.StructKind {
		e := cueerrors.Errors(err)[0]
		format, args := e.Msg()
		return e.Path()[len(e.Path())-1] + ": " + fmt.Sprintf(format, args...)
	}
	return fmt.Sprintf("got %v, want %s", v, want(constraint))
}

// want is the wording of a constraint: the schema's @want, else the constraint itself.
func want(constraint cue.Value) string {
	if a := constraint.Attribute("want"); a.Err() == nil {
		return strings.Trim(a.Contents(), `"`)
	}
	return fmt.Sprint(constraint)
}

// addFile parses a file into an instance. The error, if any, is one of CUE's.
func addFile(inst *build.Instance, name string, text any) error {
	file, err := parser.ParseFile(name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	if err := inst.AddSyntax(file); err != nil { // not returned as it is: a nil errors.Error would be an error
		return err
	}
	return nil
}

// schemaDataset is #Dataset of the embedded schema.
func schemaDataset(ctx *cue.Context) (cue.Value, error) {
	inst := build.NewContext().NewInstance("schema", nil)
	entries, err := schema.Files.ReadDir(".")
	for _, entry := range entries {
		text, readErr := schema.Files.ReadFile(entry.Name())
		err = errors.Join(err, readErr, addFile(inst, "schema/"+entry.Name(), text))
	}
	if err = errors.Join(err, inst.Complete()); err != nil {
		return cue.Value{}, fmt.Errorf("the embedded schema: %w", err)
	}
	v := ctx.BuildInstance(inst).LookupPath(cue.ParsePath("#Dataset"))
	return v, v.Err()
}

// cueMistakes is one diagnostic for each error of CUE's own, such as a syntax error.
func cueMistakes(path string, err error) error {
	var ds spec.Diagnostics
	for _, e := range cueerrors.Errors(err) {
		at := spec.Pos{File: path}
		for _, pos := range cueerrors.Positions(e) {
			if pos.Filename() == path {
				at.Line, at.Col = pos.Line(), pos.Column()
				break
			}
		}
		ds = append(ds, spec.Diagnostic{Pos: at, Msg: e.Error()})
	}
	return ds
}
