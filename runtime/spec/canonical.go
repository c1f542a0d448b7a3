package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"sync"

	"cuelang.org/go/cue/cuecontext"
)

// JSON returns e in canonical form: keys sorted, no white space, integers exact, floats as the shortest text that reads
// back to the same float64. Equal experiments give equal bytes.
func (e *Experiment) JSON() []byte { return canonical(e) }

func canonical(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("spec: %T does not marshal: %w", v, err)) // NaN and Inf are refused at load
	}
	return encode(decode(text))
}

// decode parses JSON and keeps the text of numbers: through float64, two 64-bit seeds could become one.
func decode(text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		panic(fmt.Errorf("spec: JSON of this program does not parse: %w", err))
	}
	return v
}

// encode writes v with sorted keys, as encoding/json does for maps, and without escapes for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Errorf("spec: canonical JSON: %w", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// values returns every value of e by path, in canonical JSON. Lists and empty blocks count as values.
func values(e *Experiment) map[string]string {
	out := map[string]string{}
	flatten(decode(canonical(e)), "", out)
	return out
}

func flatten(v any, path string, out map[string]string) {
	m, ok := v.(map[string]any)
	if !ok || (len(m) == 0 && path != "") {
		out[path] = string(encode(v))
		return
	}
	for key, child := range m {
		flatten(child, join(path, key), out)
	}
}

// Change is one value in which two experiments differ; Old or New is empty where one does not have it.
type Change struct {
	Path string `json:"path"`
	Old  string `json:"old,omitempty"` // canonical JSON
	New  string `json:"new,omitempty"`
}

func (c Change) String() string {
	switch {
	case c.Old == "":
		return fmt.Sprintf("%s = %s", c.Path, c.New)
	case c.New == "":
		return fmt.Sprintf("%s removed", c.Path)
	}
	return fmt.Sprintf("%s %s -> %s", c.Path, c.Old, c.New)
}

// Diff lists the values in which to differs from from, by path.
func Diff(from, to *Experiment) (out []Change) {
	a, b := values(from), values(to)
	paths := maps.Clone(a)
	maps.Copy(paths, b)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if a[path] != b[path] {
			out = append(out, Change{path, a[path], b[path]})
		}
	}
	return out
}

// Changed returns, in canonical JSON, the values of e that differ from the schema's defaults, less those under the paths
// in except ("*" stands for any key). A new field with a default thus leaves it as it was. Blocks that the user chose to
// have, such as a reward, are kept even if all their values are defaults.
func Changed(e *Experiment, except ...string) []byte {
	root := experimentShape()
	tree, _ := prune(decode(canonical(e)), root, "", except).(map[string]any)
	if tree == nil {
		tree = map[string]any{}
	}
	return encode(tree)
}

// Default is the schema's default of a value of an experiment as it is written there, JSON, such as "iou" (with the quotes) at
// route.grounding; empty where there is none.
func Default(path string) string {
	if f := experimentShape().lookup(path); f != nil {
		return f.fallback
	}
	return ""
}

// experimentShape is the shape of #Experiment in a context of its own, built once.
var experimentShape = sync.OnceValue(func() *shape {
	s, err := newSchemas(cuecontext.New())
	if err != nil {
		panic(fmt.Errorf("spec: the embedded schema does not build: %w", err))
	}
	root := s.definition("#Experiment")
	root.walk("", func(string, *field) {}) // reads all of it, so that it can be shared by goroutines
	return root
})

// prune returns v without defaults and exceptions, nil if nothing is left.
func prune(v any, s *shape, path string, except []string) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for key, child := range m {
		at := join(path, key)
		f := s.field(key)
		if f == nil || slices.ContainsFunc(except, func(pattern string) bool { return Under(pattern, at) }) {
			continue
		}
		if f.sub != nil {
			kept := prune(child, f.sub, at, except)
			if kept != nil {
				out[key] = kept
			} else if f.optional {
				out[key] = map[string]any{}
			}
			continue
		}
		if f.fallback == "" || !equalJSON(f.fallback, child) {
			out[key] = child
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Under reports whether path is the pattern or lies below it; "*" in the pattern stands for any one key.
func Under(pattern, path string) bool {
	want, got := split(pattern), split(path)
	if len(got) < len(want) {
		return false
	}
	for i, w := range want {
		if w != "*" && w != got[i] {
			return false
		}
	}
	return true
}

// equalJSON compares a default, written as CUE writes numbers (0.04, 1E+3), with a canonical value.
func equalJSON(text string, v any) bool {
	d := decode([]byte(text))
	a, aok := d.(json.Number)
	b, bok := v.(json.Number)
	if !aok || !bok {
		return bytes.Equal(encode(d), encode(v))
	}
	x, okX := new(big.Rat).SetString(a.String())
	y, okY := new(big.Rat).SetString(b.String())
	return okX && okY && x.Cmp(y) == 0
}
