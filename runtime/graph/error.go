package graph

import (
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
)

// Error says that a graph was put together wrongly: a mistake in the code that builds the model. Building panics
// with *Error, so that models read like formulas; Build turns the panic into an error.
type Error struct {
	Op       string    // name of the function that refused, such as MatMul
	Operands []Operand // what it was given
	Rule     string    // the rule that was broken, with what to do where that is not obvious
	At       string    // file:line of the nearest caller outside this package
}

// Operand is an operand of a failed call.
type Operand struct {
	Name  string
	DType DType
	Shape Shape
}

func (o Operand) String() string {
	if o.DType == F32 {
		return o.Name + " " + o.Shape.String()
	}
	return o.Name + " " + o.DType.String() + " " + o.Shape.String()
}

func (e *Error) Error() string {
	operands := make([]string, len(e.Operands))
	for i, o := range e.Operands {
		operands[i] = o.String()
	}
	text := fmt.Sprintf("graph: %s at %s: ", e.Op, e.At)
	if len(operands) > 0 {
		text += strings.Join(operands, ", ") + ": "
	}
	return text + e.Rule
}

// site remembers where a call came from; it is resolved to a file and line only for an error.
type site [24]uintptr

func here() (s site) {
	runtime.Callers(2, s[:])
	return s
}

var inPackage = reflect.TypeFor[Graph]().PkgPath() + "."

func (s site) String() string {
	frames := runtime.CallersFrames(s[:])
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, inPackage) {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		if !more {
			return "unknown place"
		}
	}
}

func fail(op string, operands []*Value, at site, format string, args ...any) {
	e := &Error{Op: op, Rule: fmt.Sprintf(format, args...), At: at.String()}
	for _, v := range operands {
		if v != nil {
			e.Operands = append(e.Operands, Operand{v.name, v.dtype, v.shape})
		}
	}
	panic(e)
}
