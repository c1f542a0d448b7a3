package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"
)

// CommandLine is the file name of values that an override wrote; such a Pos has no line.
const CommandLine = "command line"

// Pos is a place in a file. File is relative to the working directory where it lies below it; files of the schema are
// named schema/NAME.cue.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // from 1; 0 = the file as a whole
	Col  int    `json:"col,omitempty"`  // from 1, in bytes
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// IsZero reports whether p says nothing.
func (p Pos) IsZero() bool { return p == Pos{} }

func position(p token.Pos) Pos {
	if !p.IsValid() {
		return Pos{}
	}
	return Pos{shown(p.Filename()), p.Line(), p.Column()}
}

// Diagnostic is one mistake of the user.
type Diagnostic struct {
	Pos  Pos    `json:"pos"`
	Path string `json:"path,omitempty"` // in the experiment, such as grpo.kl; empty where the file as a whole is meant
	Msg  string `json:"msg"`
	Hint string `json:"hint,omitempty"` // what to do, such as: did you mean "kl"?
}

// String is the line to print: file:line:col: path: message (hint).
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.Pos.String() + ": ")
	if d.Path != "" {
		b.WriteString(d.Path + ": ")
	}
	b.WriteString(d.Msg)
	if d.Hint != "" {
		b.WriteString(" (" + d.Hint + ")")
	}
	return b.String()
}

// Diagnostics are all mistakes found in one pass, sorted by place; empty means none.
type Diagnostics []Diagnostic

// Err returns ds as an error, nil if there are none.
func (ds Diagnostics) Err() error {
	if len(ds) == 0 {
		return nil
	}
	return ds
}

func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// sorted puts ds in the order of main's lines, then other files, then the command line, and drops repetitions: a mistake
// in a study's base is met once in every rung.
func (ds Diagnostics) sorted(main string) Diagnostics {
	rank := func(p Pos) int {
		switch p.File {
		case main:
			return 0
		case CommandLine:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(rank(a.Pos), rank(b.Pos)), cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Msg, b.Msg))
	})
	return slices.Compact(ds)
}
