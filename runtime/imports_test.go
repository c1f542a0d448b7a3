// Package runtime_test holds the rules of the house as tests: which package may import which (imports_test.go), what is not
// written where (bans_test.go), and that the pages say what the code does (docs_test.go). It reads the sources in this process,
// so the test cache sees what it read, and it parses every Go file, so a build tag hides nothing.
package runtime_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// imports says which packages of mixr a package may import. A line names packages of lines above it alone, so a cycle cannot be
// written down; * is all of them. An arrow that no file uses is refused as well. A red test is no reason to edit the table: an
// arrow changes when the architecture does, in the same commit as the table of runtime/README.md.
const imports = `
	schema:
	graph:
	token:
	weights:
	table:
	spec:            schema
	plan:            schema spec
	monitor:         spec
	images:
	data:            schema spec images
	reward:          spec data
	nn:              graph
	grpo:            graph
	download:
	hub:             download
	chat:
	models/config:
	models/decoder:  graph nn models/config
	models:          graph nn token chat images models/decoder
	models/qwen25vl: graph nn token chat images models/config models/decoder models
	models/causal:   graph nn token chat images models/decoder models
	models/internvl: graph nn token chat images models/config models/decoder models
	models/family:   token chat models models/causal models/qwen25vl models/internvl
	models/bert:     graph nn models/config
	models/modernbert: graph nn models/config models/decoder
	compile:         spec graph nn models/decoder models grpo
	profile:
	ort:             graph
	ort/fetch:       download
	bench/parity:    spec graph nn models/decoder models models/family grpo compile weights ort ort/fetch
	train:           spec graph nn chat images models/decoder models models/family grpo compile token weights data reward ort table monitor profile
	report:          table monitor profile
	cli:             *
	bench/peers:     spec graph compile ort ort/fetch train cli
	main:            cli
	runtime:         spec cli
	ort/orttest:     graph ort ort/fetch
	fixture:
	models/modeltest: fixture graph nn ort/orttest
`

// testPackages hold test code in files that do not end in _test.go; only tests import them.
var testPackages = []string{"ort/orttest", "fixture", "models/modeltest"}

// testImports are open to test files of every package: a test may run what the package built, and needs some family to build it for.
var testImports = append([]string{"ort", "graph", "nn", "weights", "token", "models/decoder", "models/qwen25vl"}, testPackages...)

func TestImports(t *testing.T) {
	for _, v := range importViolations(t, os.DirFS(".."), imports) {
		t.Error(v)
	}
}

// The rules see what they are meant to see.
func TestImportsRefused(t *testing.T) {
	const table = "graph:\nspec: graph\nort:\nort/orttest: ort\n"
	tree := func(file, text string) fs.FS {
		return fstest.MapFS{
			"runtime/graph/g.go":          {Data: []byte("package graph")},
			"runtime/spec/s.go":           {Data: []byte("package spec\nimport _ \"mixr/runtime/graph\"")},
			"runtime/ort/o.go":            {Data: []byte("package ort")},
			"runtime/ort/orttest/o.go":    {Data: []byte("package orttest\nimport _ \"mixr/runtime/ort\"")},
			"runtime/spec/testdata/x.go":  {Data: []byte("not Go")},
			"results/quickstart-1/run.go": {Data: []byte("not Go")},
			file:                          {Data: []byte(text)},
		}
	}
	for _, test := range []struct{ name, table, file, text, want string }{
		{"good", table, "runtime/graph/g_test.go", "package graph_test\nimport (\n_ \"fmt\"\n_ \"mixr/runtime/graph\"\n_ \"mixr/runtime/ort/orttest\"\n)", ""},
		{"upwards", table, "runtime/graph/x.go", "package graph\n\nimport \"mixr/runtime/spec\"\n", "runtime/graph/x.go:3: graph imports spec"},
		{"sideways", table, "runtime/spec/x.go", "package spec\nimport \"mixr/runtime/ort\"\n", "runtime/spec/x.go:2: spec imports ort"},
		{"behind a build tag", table, "runtime/graph/x.go", "//go:build never\n\npackage graph\nimport \"mixr/runtime/spec\"\n", "runtime/graph/x.go:4: graph imports spec"},
		{"of another system", table, "runtime/graph/x_plan9.go", "package graph\nimport \"mixr/runtime/spec\"\n", "runtime/graph/x_plan9.go:2: graph imports spec"},
		{"test", table, "runtime/graph/x_test.go", "package graph_test\nimport \"mixr/runtime/spec\"\n", "runtime/graph/x_test.go:2: graph imports spec"},
		{"test helper", table, "runtime/graph/x.go", "package graph\nimport \"mixr/runtime/ort/orttest\"\n", "runtime/graph/x.go:2: graph imports ort/orttest"},
		{"no such package", table, "runtime/graph/x.go", "package graph\nimport \"mixr/bench\"\n", "runtime/graph/x.go:2: graph imports bench"},
		{"no line", table, "bench/x.go", "package bench\n", "bench/x.go:1: package bench has no line"},
		{"stale line", "old:\n" + table, "runtime/graph/x.go", "package graph\n", "old: the table has a line for it, and no such package exists"},
		{"unused", "graph:\nspec: graph\nort: graph\nort/orttest: ort\n", "runtime/graph/x.go", "package graph\n", "ort: the table lets it import graph, which no file does"},
		{"below", "spec: graph\ngraph:\n", "runtime/graph/x.go", "package graph\n", "spec: graph stands below it"},
		{"twice", table + "graph:\n", "runtime/graph/x.go", "package graph\n", "graph: has two lines"},
		{"no colon", "graph\n", "runtime/graph/x.go", "package graph\n", `"graph": want PACKAGE: IMPORTS`},
		{"not Go", table, "runtime/graph/x.go", "packge graph\n", "runtime/graph/x.go:1:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := importViolations(t, tree(test.file, test.text), test.table)
			if test.want == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || test.want == "" || !strings.Contains(got[0], test.want) {
				t.Errorf("got %q, want one that says %q", got, test.want)
			}
		})
	}
}

// importViolations holds a repository to a table; each violation names the file, both packages and the remedy.
func importViolations(t *testing.T, repo fs.FS, table string) (out []string) {
	t.Helper()
	allowed, err := parseImports(table)
	if err != nil {
		return []string{err.Error()}
	}
	files, err := goFiles(repo)
	if err != nil {
		return []string{err.Error()}
	}
	seen, used := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		line, listed := allowed[f.pkg]
		if !listed {
			out = append(out, fmt.Sprintf("%s: package %s has no line in runtime/imports_test.go: Go lives in runtime/; "+
				"give a new package there a line, and a row in runtime/README.md", f.at(f.syntax.Package), f.pkg))
			continue
		}
		seen[f.pkg] = true
		for _, spec := range f.syntax.Imports {
			to, ours := packageOf(importPath(spec))
			used[f.pkg+" "+to] = true
			switch {
			case !ours, slices.Contains(line.may, to), f.test && (to == f.pkg || slices.Contains(testImports, to)):
				continue
			}
			out = append(out, fmt.Sprintf("%s: %s imports %s; it may import %s. Pass in what %s needs as an argument, or move that code "+
				"to a package above both; the table in runtime/imports_test.go changes only with the architecture",
				f.at(spec.Pos()), f.pkg, to, strings.Join(append(line.may, "nothing else of mixr"), ", "), f.pkg))
		}
	}
	for pkg, line := range allowed {
		if !seen[pkg] {
			out = append(out, pkg+": the table has a line for it, and no such package exists: remove the line")
			continue
		}
		for _, to := range line.may {
			if !line.all && !used[pkg+" "+to] {
				out = append(out, fmt.Sprintf("%s: the table lets it import %s, which no file does: remove the arrow here and in runtime/README.md", pkg, to))
			}
		}
	}
	return out
}

// rule is a line of the table: the packages that one may import, and whether it said so by *.
type rule struct {
	may []string
	all bool
}

// parseImports reads a table into package -> its rule.
func parseImports(table string) (map[string]rule, error) {
	allowed := map[string]rule{}
	var above []string
	for line := range strings.Lines(table) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		pkg, names, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			return nil, fmt.Errorf("%q: want PACKAGE: IMPORTS", pkg)
		}
		if slices.Contains(above, pkg) {
			return nil, fmt.Errorf("%s: has two lines", pkg)
		}
		may := strings.Fields(names)
		all := slices.Equal(may, []string{"*"})
		if all {
			may = slices.Clone(above)
		}
		for _, name := range may {
			if !slices.Contains(above, name) {
				return nil, fmt.Errorf("%s: %s stands below it, or nowhere: imports run one way, upwards in the table", pkg, name)
			}
		}
		allowed[pkg] = rule{may, all}
		above = append(above, pkg)
	}
	return allowed, nil
}

// goFile is one parsed Go file of the repository.
type goFile struct {
	path   string // slash-separated, from the repository's root
	pkg    string // name in the table
	test   bool   // test code: a _test.go file, or one of testPackages
	syntax *ast.File
	fset   *token.FileSet
}

// at is a position as file:line.
func (f goFile) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(pos).Line)
}

// goFiles parses every Go file but those in testdata, in run folders and in hidden folders.
func goFiles(repo fs.FS) (files []goFile, err error) {
	var broken []error
	err = fs.WalkDir(repo, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name == "results" || base == "testdata" || base != "." && strings.HasPrefix(base, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(repo, name)
		if err != nil {
			return err
		}
		f := goFile{path: name, fset: token.NewFileSet()}
		if f.syntax, err = parser.ParseFile(f.fset, name, text, parser.SkipObjectResolution|parser.ParseComments); err != nil {
			broken = append(broken, err)
			return nil
		}
		f.pkg, _ = packageOf(path.Join("mixr", path.Dir(name)))
		f.test = strings.HasSuffix(name, "_test.go") || slices.Contains(testPackages, f.pkg)
		files = append(files, f)
		return nil
	})
	return files, errors.Join(append(broken, err)...)
}

// packageOf is the name in the table of an import path, and whether it is one of mixr's: main is the root, and runtime/ is not
// written.
func packageOf(importPath string) (name string, ours bool) {
	switch rest, ok := strings.CutPrefix(importPath, "mixr/"); {
	case importPath == "mixr":
		return "main", true
	case !ok:
		return "", false
	default:
		return strings.TrimPrefix(rest, "runtime/"), true
	}
}

func importPath(s *ast.ImportSpec) string {
	p, err := strconv.Unquote(s.Path.Value)
	if err != nil {
		return s.Path.Value // the parser accepts string literals alone
	}
	return p
}
