package runtime_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// pure are the packages whose results depend on their arguments alone.
var pure = []string{"schema", "spec", "plan", "graph", "nn", "models/qwen25vl", "grpo", "compile", "token", "reward", "data"}

// ban is something that is written in some packages only.
type ban struct {
	use    string   // regular expression over a use, see uses
	but    []string // packages that may
	only   []string // packages that may not; nil = all
	tests  bool     // test code may not either
	remedy string
}

var bans = []ban{
	{use: `^import "C"$`, but: []string{"ort"}, tests: true,
		remedy: "cgo stays in runtime/ort: add the call to its complement.c and a method to ort"},
	{use: `^import "github\.com/yalue/onnxruntime_go"$`, but: []string{"ort"}, tests: true,
		remedy: "use package ort, which owns ONNX Runtime and its memory"},
	{use: `^import "github\.com/spf13/(viper|cobra|pflag)"$`, but: []string{"cli"}, tests: true,
		remedy: "machine settings are read in package cli; take what you need as an argument or an option"},
	{use: `^import "github\.com/rs/zerolog/log"$`, tests: true,
		remedy: "there is no global logger: take a zerolog.Logger in the options; its zero value is silent"},
	{use: `^import \. `, tests: true,
		remedy: "a dot import hides where names come from: import the package by its name"},
	{use: `^(os\.Exit|log\.(Fatal|Panic)\w*)$`, but: []string{"main", "bench/parity", "bench/peers"},
		remedy: "return an error; main ends the process"},
	{use: `^(fmt\.Print(|f|ln)|os\.Std(out|err)|builtin\.print(|ln))$`, but: []string{"cli", "main", "bench/parity", "bench/peers"},
		remedy: "package cli prints: return the value, or write to an io.Writer that you are given"},
	{use: `^time\.(Now|Since|Until)$`, only: pure,
		remedy: "this package is pure: take the time as an argument"},
	{use: `^(math/rand(/v2)?\.([A-MO-Z]|N[^e])\w*|math/rand(/v2)?\.N|import "crypto/rand")$`, only: pure,
		remedy: "this package is pure: take a seed, and draw from grpo.NewStream or rand.New(rand.NewPCG(seed, use))"},
	{use: `^func init$`,
		remedy: "nothing happens on import: call it where it is needed, or initialise the variable in its declaration"},
}

// randTypes are names of math/rand that draw nothing.
var randTypes = []string{"Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}

func TestBans(t *testing.T) {
	for _, v := range banViolations(t, os.DirFS("..")) {
		t.Error(v)
	}
}

func TestBansRefused(t *testing.T) {
	for _, test := range []struct{ name, file, text, want string }{
		{"cgo", "runtime/graph/x.go", `import "C"`, "cgo stays in runtime/ort"},
		{"cgo in a test", "runtime/train/x_test.go", `import "C"`, "cgo stays in runtime/ort"},
		{"cgo at home", "runtime/ort/x.go", `import "C"`, ""},
		{"exit", "runtime/cli/x.go", `import "os"; func f() { os.Exit(1) }`, "return an error"},
		{"exit by another name", "runtime/cli/x.go", `import sys "os"; func f() { sys.Exit(1) }`, "return an error"},
		{"exit as a value", "runtime/cli/x.go", `import "os"; var f = os.Exit`, "return an error"},
		{"exit of TestMain", "runtime/cli/x_test.go", `import "os"; func f() { os.Exit(1) }`, ""},
		{"fatal", "runtime/train/x.go", `import "log"; func f() { log.Fatalf("") }`, "return an error"},
		{"print", "runtime/report/x.go", `import "fmt"; func f() { fmt.Println() }`, "package cli prints"},
		{"print to a writer", "runtime/report/x.go", `import "fmt"; func f() { fmt.Fprintln(nil) }`, ""},
		{"builtin print", "runtime/report/x.go", `func f() { println() }`, "package cli prints"},
		{"stdout", "runtime/report/x.go", `import "os"; var w = os.Stdout`, "package cli prints"},
		{"stdout of the command", "main.go", `import "os"; var w = os.Stdout`, ""},
		{"viper", "runtime/train/x.go", `import "github.com/spf13/viper"`, "machine settings"},
		{"global logger", "runtime/cli/x.go", `import "github.com/rs/zerolog/log"`, "no global logger"},
		{"a logger", "runtime/train/x.go", `import "github.com/rs/zerolog"; var l zerolog.Logger`, ""},
		{"dot import", "runtime/nn/x.go", `import . "mixr/runtime/graph"`, "dot import"},
		{"clock", "runtime/plan/x.go", `import "time"; var t = time.Now()`, "take the time"},
		{"clock of the loop", "runtime/train/x.go", `import "time"; var t = time.Now()`, ""},
		{"global randomness", "runtime/data/x.go", `import "math/rand/v2"; var n = rand.IntN(3)`, "take a seed"},
		{"generic global randomness", "runtime/data/x.go", `import "math/rand/v2"; var n = rand.N(3)`, "take a seed"},
		{"global normal numbers", "runtime/data/x.go", `import "math/rand"; var n = rand.NormFloat64()`, "take a seed"},
		{"system randomness", "runtime/data/x.go", `import "crypto/rand"`, "take a seed"},
		{"seeded randomness", "runtime/data/x.go", `import "math/rand/v2"; var r *rand.Rand = rand.New(rand.NewPCG(1, 2))`, ""},
		{"init", "runtime/token/x.go", `func init() {}`, "nothing happens on import"},
		{"a method init", "runtime/token/x.go", `type t int; func (t) init() {}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := banViolations(t, fstest.MapFS{test.file: {Data: []byte("package x; " + test.text)}})
			if test.want == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || test.want == "" || !strings.Contains(got[0], test.want) || !strings.HasPrefix(got[0], test.file+":1: ") {
				t.Errorf("got %q, want one that says %q", got, test.want)
			}
		})
	}
}

func banViolations(t *testing.T, repo fs.FS) (out []string) {
	t.Helper()
	files, err := goFiles(repo)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bans {
		use := regexp.MustCompile(b.use)
		for _, f := range files {
			if f.test && !b.tests || slices.Contains(b.but, f.pkg) || b.only != nil && !slices.Contains(b.only, f.pkg) {
				continue
			}
			for _, u := range uses(f.syntax) {
				if use.MatchString(u.what) {
					out = append(out, fmt.Sprintf("%s: %s: %s", f.at(u.pos), u.what, b.remedy))
				}
			}
		}
	}
	return out
}

// use is something that a file does and that may be banned.
type use struct {
	pos  token.Pos
	what string
}

// uses lists imports as `import "PATH"`, names taken from imported packages as PATH.NAME, built-in printing as builtin.print,
// and functions that run by themselves as `func init`. A local variable that has the name of an import counts as the import.
func uses(file *ast.File) (out []use) {
	byName := map[string]string{}
	for _, s := range file.Imports {
		p := importPath(s)
		name := path.Base(p)
		if name == "v2" {
			name = path.Base(path.Dir(p))
		}
		dot := ""
		if s.Name != nil {
			if name = s.Name.Name; name == "." {
				dot = ". "
			}
		}
		byName[name] = p
		out = append(out, use{s.Pos(), fmt.Sprintf("import %s%q", dot, p)})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			p, imported := byName[x.Name]
			if imported && !(strings.HasPrefix(p, "math/rand") && slices.Contains(randTypes, n.Sel.Name)) {
				out = append(out, use{n.Pos(), p + "." + n.Sel.Name})
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") {
				out = append(out, use{n.Pos(), "builtin." + f.Name})
			}
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				out = append(out, use{n.Pos(), "func init"})
			}
		}
		return true
	})
	return out
}
