package cli

import (
	"errors"
	"fmt"
	"slices"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"github.com/spf13/cobra"

	"mixr/runtime/data"
	"mixr/runtime/spec"
	"mixr/runtime/train"
)

func (a *app) vetCommand() *cobra.Command {
	var o vetOptions
	c := &cobra.Command{
		Use:   "vet FILE[#NAME]...",
		Short: "check files: every mistake, one a line",
		Long: `Check experiments, studies and dataset cards, and print every mistake as file:line:col: path: message.

A card's rows and image headers are always read. Of an experiment, --data also opens cards and
policy, as a run would do before it starts; a policy of the hub is checked if it is in the cache.
ONNX Runtime is not needed.`,
		Example: `  mixr vet experiments/*.cue
  mixr vet --data experiments/quickstart.cue
  mixr vet datasets/nlvr/card.cue`,
		Args: arguments(1, true),
		RunE: func(_ *cobra.Command, args []string) error { return a.vet(args, o) },
	}
	c.Flags().BoolVar(&o.data, "data", false, "also open cards, rows and policy")
	c.Flags().BoolVar(&o.json, "json", false, "print {files, mistakes} as JSON")
	return c
}

type vetOptions struct{ data, json bool }

func (a *app) vet(files []string, o vetOptions) error {
	mistakes := spec.Diagnostics{}
	shelf := a.shelf(held)
	for _, file := range files {
		found, err := vetFile(file, o.data, shelf)
		if err != nil {
			return err
		}
		for _, d := range found {
			if !slices.Contains(mistakes, d) { // several files may share a card
				mistakes = append(mistakes, d)
			}
		}
	}
	if o.json {
		err := a.printJSON(struct {
			Files    int              `json:"files"`
			Mistakes spec.Diagnostics `json:"mistakes"`
		}{len(files), mistakes})
		if err == nil && len(mistakes) > 0 {
			err = status(2)
		}
		return err
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	fmt.Fprintf(a.out, "%s ok\n", counted(len(files), "file"))
	return nil
}

// vetFile returns the mistakes of one file.
func vetFile(path string, withData bool, shelf *train.Shelf) (spec.Diagnostics, error) {
	if isCard(path) {
		_, err := data.LoadCard(path)
		return mistakesOf(path, err), nil
	}
	file, mistakes := spec.Load(path, nil)
	if len(mistakes) > 0 || !withData {
		return mistakes, nil
	}
	for _, rung := range file.Rungs {
		_, err := shelf.Open(rung.Resolved)
		if errors.Is(err, errAbsent) {
			continue // nothing to check yet
		}
		mistakes = append(mistakes, mistakesOf(file.Path, err)...)
	}
	return mistakes, nil
}

// mistakesOf is an error about what a file names, in the form of mistakes of that file.
func mistakesOf(file string, err error) spec.Diagnostics {
	var mistakes spec.Diagnostics
	switch {
	case err == nil, errors.As(err, &mistakes):
		return mistakes
	}
	return spec.Diagnostics{{Pos: spec.Pos{File: file}, Msg: err.Error()}}
}

// isCard reports whether a file is a dataset card: it has a field dataset at its top.
func isCard(path string) bool {
	f, err := parser.ParseFile(path, nil)
	if err != nil {
		return false // the experiment's check says what is wrong
	}
	return slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
		field, ok := d.(*ast.Field)
		if !ok {
			return false
		}
		name, _, err := ast.LabelName(field.Label)
		return err == nil && name == "dataset"
	})
}
