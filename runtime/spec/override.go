package spec

import (
	"fmt"
	"os"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// override parses "grpo.kl=0.1" into a tree with that one value. The value is a CUE literal; what is none is taken as a
// string, so that policy.init=random needs no quotes within quotes.
func (s *schemas) override(text string) (*node, string, error) {
	path, literal, ok := strings.Cut(text, "=")
	path = strings.TrimSpace(path)
	if !ok || path == "" || strings.Contains("."+path+".", "..") {
		return nil, path, fmt.Errorf("got %q, want path=value, such as grpo.kl=0.1", text)
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, path, err
	}
	expr, err := parser.ParseExpr(CommandLine, literal)
	if err != nil || !isLiteral(expr) {
		expr = ast.NewString(literal)
	}
	n, mistakes := collect(s.ctx.BuildExpr(expr), path, CommandLine)
	if mistakes != nil {
		return nil, path, fmt.Errorf("%s", mistakes[0].Msg)
	}
	writer := Writer{Pos: Pos{File: CommandLine}, By: CommandLine, dir: dir}
	n.written(writer)
	return nest(path, n, writer), path, nil
}

// written makes w the only writer of n and all below it.
func (n *node) written(w Writer) {
	w.Value = n.json
	n.writers = []Writer{w}
	for _, child := range n.fields {
		child.written(w)
	}
	for _, item := range n.items {
		item.written(w)
	}
}

// isLiteral reports whether e is data: no references, no arithmetic.
func isLiteral(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return false
	case *ast.UnaryExpr:
		_, number := e.X.(*ast.BasicLit)
		return number && (e.Op == token.SUB || e.Op == token.ADD)
	case *ast.ListLit:
		for _, item := range e.Elts {
			if !isLiteral(item) {
				return false
			}
		}
		return true
	case *ast.StructLit:
		for _, d := range e.Elts {
			f, ok := d.(*ast.Field)
			if !ok || !isLiteral(f.Value) {
				return false
			}
		}
		return true
	}
	return false
}
