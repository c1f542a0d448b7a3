package runtime_test

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const architecturePage = "README.md"

// Every name that runtime/README.md gives as package.Name or package.Type.Member is declared, outside of tests.
func TestArchitectureNames(t *testing.T) {
	files, err := goFiles(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	declared, packages := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		if f.test || f.pkg == "main" {
			continue
		}
		pkg := path.Base(f.pkg)
		packages[pkg] = true
		for _, name := range declarations(f.syntax) {
			declared[pkg+"."+name] = true
		}
	}
	checked := 0
	for _, m := range regexp.MustCompile(`\b([a-z][a-z0-9]*)\.([A-Z]\w*(?:\.[A-Z]\w*)?)`).FindAllStringSubmatch(page(t, architecturePage), -1) {
		if !packages[m[1]] {
			continue
		}
		checked++
		if !declared[m[0]] {
			t.Errorf("runtime/%s names %s, which no file declares: correct the page", architecturePage, m[0])
		}
	}
	if checked < 40 {
		t.Errorf("only %d names were seen", checked)
	}
}

// declarations lists the names that a file declares at its top: Name, and Type.Member for methods and fields.
func declarations(file *ast.File) (out []string) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			out = append(out, name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					out = append(out, s.Name.Name)
					if st, ok := s.Type.(*ast.StructType); ok {
						for _, f := range st.Fields.List {
							for _, n := range f.Names {
								out = append(out, s.Name.Name+"."+n.Name)
							}
						}
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						out = append(out, n.Name)
					}
				}
			}
		}
	}
	return out
}

// receiver is the type's name in *T, T or T[P].
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// The table of packages on the page is the one that the import test enforces, line by line.
func TestArchitecturePackages(t *testing.T) {
	var want []string
	for line := range strings.Lines(imports) {
		if pkg, may, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			if may = strings.Join(strings.Fields(may), " "); may == "" {
				may = "-"
			}
			want = append(want, fmt.Sprintf("%s | %s", pkg, may))
		}
	}
	_, table, ok := strings.Cut(page(t, architecturePage), "| package | what it does | may import |\n|---|---|---|\n")
	if !ok {
		t.Fatalf("runtime/%s has no table of packages", architecturePage)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var got []string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		got = append(got, fmt.Sprintf("%s | %s", strings.Trim(cells[0], " `"), strings.TrimSpace(cells[len(cells)-1])))
	}
	if !slices.Equal(got, want) {
		t.Errorf("runtime/%s lists other packages or imports than imports_test.go:\ngot\n%s\nwant\n%s",
			architecturePage, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// page reads a page; its path starts at runtime/.
func page(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
