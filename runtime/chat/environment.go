package chat

import (
	"fmt"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// Raised is the exception that a template raises, for instance because roles do not alternate.
type Raised struct{ Message string }

func (r *Raised) Error() string { return r.Message }

// environment is Jinja's with what transformers adds to it, strftime_now and a tojson that escapes nothing, and without
// what the library has otherwise than Jinja. raise_exception is set for each rendering.
func environment() *exec.Environment {
	globals := exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables)
	globals.Set("strftime_now", func(_ *exec.Evaluator, args *exec.VarArgs) (any, error) {
		if len(args.Args) != 1 {
			return nil, fmt.Errorf("strftime_now takes one format, got %d arguments", len(args.Args))
		}
		return strftime(time.Now(), args.Args[0].String())
	})
	globals.Set("range", rangeList)
	globals.Set(inlineIf, chooseInline)
	filters := exec.NewFilterSet(map[string]exec.FilterFunction{}).Update(builtins.Filters).Update(
		exec.NewFilterSet(map[string]exec.FilterFunction{"tojson": toJSON, "items": items}))
	methods := builtins.Methods
	methods.Str = stringMethods
	return &exec.Environment{
		Context: globals, Filters: filters, Tests: builtins.Tests, ControlStructures: builtins.ControlStructures, Methods: methods,
	}
}

// rangeList is Jinja's range, as a list: the library's is a channel that cannot be indexed.
func rangeList(_ *exec.Evaluator, args *exec.VarArgs) (any, error) {
	bounds := []int{0, 0, 1}
	for i, a := range args.Args {
		switch {
		case i > 2 || !a.IsInteger():
			return nil, fmt.Errorf("range: got %s, want one to three whole numbers", a.String())
		case len(args.Args) == 1:
			bounds[1] = a.Integer()
		default:
			bounds[i] = a.Integer()
		}
	}
	const most = 1 << 20
	out := []any{}
	for i := bounds[0]; bounds[2] > 0 && i < bounds[1] || bounds[2] < 0 && i > bounds[1]; i += bounds[2] {
		if out = append(out, i); len(out) > most {
			return nil, fmt.Errorf("range: more than %d numbers", most)
		}
	}
	return out, nil
}

// items is Jinja's filter: the pairs of a mapping, none of what is undefined.
func items(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	if in.IsError() || in.IsNil() {
		return in
	}
	pairs, err := pairsOf(in)
	if err != nil {
		return exec.AsValue(fmt.Errorf("items: %w", err))
	}
	out := []any{}
	for _, p := range pairs {
		out = append(out, []any{p.Key.Interface(), p.Value.Interface()})
	}
	return exec.AsValue(out)
}

// strftime writes t in a format of the C library; a directive that is not known here is an error.
func strftime(t time.Time, format string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		i++
		layout, ok := map[byte]string{
			'Y': "2006", 'y': "06", 'm': "01", 'B': "January", 'b': "Jan", 'd': "02", 'e': "_2", 'A': "Monday", 'a': "Mon", 'H': "15",
			'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'j': "002", 'F': "2006-01-02", 'T': "15:04:05", 'Z': "MST", 'z': "-0700",
		}[format[i]]
		switch {
		case format[i] == '%':
			out.WriteByte('%')
		case ok:
			out.WriteString(t.Format(layout))
		default:
			return "", fmt.Errorf("strftime_now: the directive %%%c is not known here", format[i])
		}
	}
	return out.String(), nil
}
