package chat

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// toJSON is the filter tojson as transformers defines it: Python's json.dumps that escapes neither HTML nor Unicode, with
// indent, and the order of keys as written.
func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	indent := -1
	for name, value := range params.KwArgs {
		switch {
		case name == "indent" && value.IsInteger():
			indent = value.Integer()
		case name == "indent" && value.IsNil(), name == "ensure_ascii" && !value.IsTrue():
		default:
			return exec.AsValue(fmt.Errorf("tojson: the argument %s=%s is not known here", name, value.String()))
		}
	}
	if len(params.Args) > 0 {
		return exec.AsValue(fmt.Errorf("tojson: got an argument without name"))
	}
	var out strings.Builder
	if err := writeJSON(&out, in, indent, 0); err != nil {
		return exec.AsValue(err)
	}
	return exec.AsSafeValue(out.String())
}

// keyOrder is the order of the keys of messages and parts, which are maps here and hold nothing else.
var keyOrder = []string{"role", "content", "type", "text"}

func writeJSON(out *strings.Builder, v *exec.Value, indent, depth int) error {
	if inner, ok := v.Interface().(*exec.Value); ok {
		v = inner
	}
	separator, line, end := ", ", "", ""
	if indent >= 0 {
		separator = ","
		line = "\n" + strings.Repeat(" ", indent*(depth+1))
		end = "\n" + strings.Repeat(" ", indent*depth)
	}
	switch {
	case v.IsNil():
		out.WriteString("null")
	case v.IsBool():
		out.WriteString(strconv.FormatBool(v.Bool()))
	case v.IsString():
		writeString(out, v.String())
	case v.IsNumber():
		out.WriteString(v.String())
	case v.IsDict():
		pairs, err := pairsOf(v)
		if err != nil {
			return err
		}
		if len(pairs) == 0 {
			out.WriteString("{}")
			return nil
		}
		out.WriteByte('{')
		for i, p := range pairs {
			if i > 0 {
				out.WriteString(separator)
			}
			out.WriteString(line)
			writeString(out, p.Key.String())
			out.WriteString(": ")
			if err := writeJSON(out, p.Value, indent, depth+1); err != nil {
				return err
			}
		}
		out.WriteString(end + "}")
	case v.IsList():
		if v.Len() == 0 {
			out.WriteString("[]")
			return nil
		}
		out.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				out.WriteString(separator)
			}
			out.WriteString(line)
			if err := writeJSON(out, v.Index(i), indent, depth+1); err != nil {
				return err
			}
		}
		out.WriteString(end + "]")
	default:
		return fmt.Errorf("tojson: cannot write %s", v.String())
	}
	return nil
}

func pairsOf(v *exec.Value) ([]*exec.Pair, error) {
	switch d := v.Interface().(type) {
	case *exec.Dict:
		return d.Pairs, nil
	case exec.Dict:
		return d.Pairs, nil
	case map[string]any:
		place := func(key string) int {
			if i := slices.Index(keyOrder, key); i >= 0 {
				return i
			}
			return len(keyOrder)
		}
		keys := slices.SortedFunc(maps.Keys(d), func(a, b string) int {
			if d := place(a) - place(b); d != 0 {
				return d
			}
			return strings.Compare(a, b)
		})
		var pairs []*exec.Pair
		for _, key := range keys {
			pairs = append(pairs, &exec.Pair{Key: exec.AsValue(key), Value: exec.ToValue(d[key])})
		}
		return pairs, nil
	}
	return nil, fmt.Errorf("tojson: cannot write %s", v.String())
}

// writeString writes s as Python's json.dumps without ensure_ascii does.
func writeString(out *strings.Builder, s string) {
	var quoted strings.Builder
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(fmt.Sprintf("chat: a string has no JSON: %v", err)) // encoding/json takes every string
	}
	text := strings.TrimSuffix(quoted.String(), "\n")
	// encoding/json escapes two runes more than Python
	out.WriteString(strings.NewReplacer(`\\`, `\\`, `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(text))
}
