package chat

import (
	"fmt"
	"maps"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// Raised is the exception that a template raises, for instance because roles do not alternate.
type Raised struct{ Message string }

func (r *Raised) Error() string { return r.Message }

// environment is Jinja's with what transformers adds to it: raise_exception, strftime_now and a tojson that escapes
// nothing.
func environment() *exec.Environment {
	globals := exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables)
	globals.Set("raise_exception", func(_ *exec.Evaluator, args *exec.VarArgs) (any, error) {
		if len(args.Args) != 1 {
			return nil, fmt.Errorf("raise_exception takes one message, got %d", len(args.Args))
		}
		return nil, &Raised{args.Args[0].String()}
	})
	globals.Set("strftime_now", func(_ *exec.Evaluator, args *exec.VarArgs) (any, error) {
		if len(args.Args) != 1 {
			return nil, fmt.Errorf("strftime_now takes one format, got %d arguments", len(args.Args))
		}
		return strftime(time.Now(), args.Args[0].String())
	})
	filters := exec.NewFilterSet(map[string]exec.FilterFunction{"tojson": toJSON}).Update(builtins.Filters)
	return &exec.Environment{
		Context: globals, Filters: filters, Tests: builtins.Tests, ControlStructures: builtins.ControlStructures, Methods: builtins.Methods,
	}
}

var _ = maps.Clone[map[string]int]

func strftime(t time.Time, f string) (string, error)                             { return "", nil }
func toJSON(e *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value { return in }
