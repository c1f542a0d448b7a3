package data

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// row is one line of a JSONL file as written. Slices, not arrays: encoding/json fills and cuts arrays silently.
type row struct {
	ID        string      `json:"id"`
	Task      Task        `json:"task"`
	Image     string      `json:"image"`
	Images    []string    `json:"images"`
	Video     []string    `json:"video"`
	FPS       *float64    `json:"fps"`
	ImageSize []int       `json:"image_size"`
	Question  string      `json:"question"`
	Answers   []string    `json:"answers"`
	Choices   []string    `json:"choices"`
	Boxes     [][]float64 `json:"boxes"`
	Target    *string     `json:"target"`

	// For people; not read.
	Split   json.RawMessage `json:"split"`
	Source  json.RawMessage `json:"source"`
	Licence json.RawMessage `json:"licence"`
	Meta    json.RawMessage `json:"meta"`
}

var rowFields = []string{"id", "task", "image", "images", "video", "fps", "image_size", "question", "answers", "choices", "boxes", "target",
	"split", "source", "licence", "meta"}

// flaw is a mistake within a row; col is the byte from 1, 0 = the row as a whole. msg and hint as in spec.Diagnostic.
type flaw struct {
	col       int
	msg, hint string
}

// flaws are the mistakes of one row, in the order found.
type flaws []flaw

func (fs *flaws) add(hint, format string, args ...any) {
	*fs = append(*fs, flaw{msg: fmt.Sprintf(format, args...), hint: hint})
}

// parseRow decodes a line strictly: UTF-8, one object, known fields, right types.
func parseRow(line []byte) (row, *flaw) {
	var r row
	if !utf8.Valid(line) {
		return r, &flaw{firstInvalid(line), "not UTF-8", "save the file as UTF-8"}
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	err := dec.Decode(&r)
	if err == nil {
		if _, err := dec.Token(); err != io.EOF {
			return r, &flaw{int(dec.InputOffset()) + 1, "text after the object", "one JSON object a line"}
		}
		return r, nil
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		f := &flaw{int(syntax.Offset), "invalid JSON: " + syntax.Error(), ""}
		switch rest := string(line[max(0, syntax.Offset-1):]); { // from the byte that was not expected
		case strings.HasPrefix(rest, "\ufeff"):
			f.hint = "remove the byte order mark"
		case strings.HasPrefix(rest, "N"), strings.HasPrefix(rest, "I"), strings.HasPrefix(rest, "-I"):
			f.hint = "JSON has no NaN or Infinity: remove the row or give a number"
		}
		return r, f
	case errors.As(err, &kind):
		if kind.Field == "" {
			return r, &flaw{0, "got " + kind.Value + ", want an object", "one JSON object a line"}
		}
		return r, &flaw{int(kind.Offset), fmt.Sprintf("%s: got %s, want %s", kind.Field, kind.Value, kindName(kind)), ""}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return r, &flaw{len(line), "invalid JSON: the line ends inside the object", "one JSON object a line, without line breaks"}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		hint := didYouMean(nearest(strings.Trim(name, `"`), rowFields))
		return r, &flaw{0, "unknown field " + name, cmp.Or(hint, `keep what is not for mixr under "meta"`)}
	}
	return r, &flaw{0, err.Error(), ""}
}

func firstInvalid(line []byte) int {
	for i := 0; i < len(line); {
		c, size := utf8.DecodeRune(line[i:])
		if c == utf8.RuneError && size == 1 {
			return i + 1
		}
		i += size
	}
	return 0
}

func kindName(e *json.UnmarshalTypeError) string {
	switch e.Type.String() {
	case "string", "data.Task":
		return "text"
	case "int":
		return "a whole number"
	case "float64":
		return "a number in range"
	case "[]string":
		return "a list of text"
	}
	return "a list"
}

// nearest is the candidate at most 2 edits away, "" if there is none.
func nearest(name string, candidates []string) string {
	best, limit := "", 2
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(c, name); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", name)
}
