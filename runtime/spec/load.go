package spec

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue/cuecontext"
	"mixr/schema"
)

// File is what a file defines: one experiment, or a study with its rungs.
type File struct {
	Path  string // as printed in positions
	Name  string // of the experiment or study
	Notes string
	Study bool
	Rungs []Rung // an experiment: one without a name; a study: "base", then the ladder, each resolved in full
	Seeds []Seed // of a study's replicates; empty = each rung's own seed
}

// Rung is one experiment of a file.
type Rung struct {
	Name string
	*Resolved
}

// Seed is the seed of one replicate and the place that wrote it.
type Seed struct {
	Value uint64
	Pos   Pos
}

// Load reads the experiment or study in a file, lays the overrides over it, and returns it resolved, or every mistake.
//
// path is FILE, or FILE#NAME where a file has several top-level fields made with schema.#Experiment or schema.#Study;
// NAME is the field. Each override is "path=value" with a path of the experiment; in a study it applies to every rung,
// after the ladder's patches, and "seeds=[...]" replaces the replicates. Load(p, nil) is what `mixr vet` does.
//
// Paths of cards and of the policy are checked to exist; what is in them is not read.
func Load(path string, overrides []string) (*File, Diagnostics) {
	file, name, ok := strings.Cut(path, ".cue#") // a folder may have a # in its name
	if ok {
		file += ".cue"
	}
	if ok && name == "" {
		return nil, Diagnostics{{Pos: fileAt(file), Msg: "no name behind #", Hint: "name the field, or leave out the #"}}
	}
	text, mistakes := read(file)
	if mistakes != nil {
		return nil, mistakes
	}
	return evaluate(file, name, text, overrides)
}

// LoadText is Load for a text that stands in no file. It is read as if it stood in file, which need not exist: paths in it start from
// that file's folder, and messages name it.
func LoadText(file, text string, overrides []string) (*File, Diagnostics) {
	return evaluate(file, "", []byte(text), overrides)
}

// evaluate loads the entry called name, or the only one, of a file of that text.
func evaluate(file, name string, text []byte, overrides []string) (*File, Diagnostics) {
	s, err := newSchemas(cuecontext.New())
	if err != nil {
		panic(fmt.Errorf("spec: the embedded schema does not build: %w", err)) // a test builds it
	}
	at := fileAt(file)
	entries, mistakes := s.entries(file, text)
	if mistakes != nil {
		return nil, mistakes
	}
	e, mistake := choose(entries, at, name)
	if mistake != nil {
		return nil, Diagnostics{*mistake}
	}
	l := &loader{schemas: s, entry: e, shape: s.definition(e.kind)}
	f := &File{Path: at.File, Study: e.kind == "#Study"}
	l.load(f, overrides)
	if len(l.out) > 0 {
		return nil, l.out.sorted(at.File)
	}
	return f, nil
}

// choose picks the entry that name names, or the only one.
func choose(entries []entry, at Pos, name string) (entry, *Diagnostic) {
	loadable := slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.kind == cardKind })
	var names []string
	for _, e := range loadable {
		if e.name == name {
			return e, nil
		}
		names = append(names, e.name)
	}
	switch {
	case len(names) == 0 && len(entries) > 0:
		return entry{}, &Diagnostic{Pos: at, Msg: "holds a dataset card, not an experiment or a study",
			Hint: "name it in an experiment, as data: sources: NAME: card"}
	case len(names) == 0:
		return entry{}, &Diagnostic{Pos: at, Msg: "holds no experiment and no study",
			Hint: fmt.Sprintf("write import %q and experiment: schema.#Experiment & {...}", schema.ImportPath)}
	case name != "":
		return entry{}, &Diagnostic{Pos: at, Msg: fmt.Sprintf("holds no %q: it has %s", name, strings.Join(names, ", ")),
			Hint: didYouMean(nearest(name, names))}
	case len(names) > 1:
		return entry{}, &Diagnostic{Pos: loadable[1].pos, Msg: "holds more than one: " + strings.Join(names, ", "),
			Hint: fmt.Sprintf("choose one, as in %s#%s", at.File, names[0])}
	}
	return loadable[0], nil
}
