package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mixr/runtime/table"
)

// SpecDiff is what two experiments do not share.
type SpecDiff struct {
	Changed []Change `json:"changed"` // in order of path
	Equal   int      `json:"equal"`   // values that are the same on both sides
}

// Change is one value of the resolved spec that differs.
type Change struct {
	Path string `json:"path"`
	A    Side   `json:"a"`
	B    Side   `json:"b"`
}

// Side is one side of a Change.
type Side struct {
	Value json.RawMessage `json:"value"` // null where the side does not have the path
	Where string          `json:"where"` // file:line:col; "default" and the schema's place where nobody wrote it; empty where not known
}

// label paths say how a run is called, not what it is.
var labels = []string{"name", "notes"}

// diffSpec compares two resolved specs value by value. Name and notes are left out.
func diffSpec(a, b table.Provenance) SpecDiff {
	d := SpecDiff{Changed: []Change{}}
	paths := slices.Collect(maps.Keys(a))
	for p := range b {
		if _, ok := a[p]; !ok {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	for _, p := range paths {
		if slices.Contains(labels, p) {
			continue
		}
		va, inA := a[p]
		vb, inB := b[p]
		if inA && inB && bytes.Equal(va.Value, vb.Value) {
			d.Equal++
			continue
		}
		d.Changed = append(d.Changed, Change{Path: p, A: side(va, inA), B: side(vb, inB)})
	}
	return d
}

func side(o table.Origin, there bool) Side {
	switch {
	case !there:
		return Side{}
	case o.Writers == nil:
		return Side{Value: o.Value}
	case len(o.Writers) == 0:
		return Side{Value: o.Value, Where: strings.TrimSpace("default " + o.Rule)}
	default:
		return Side{Value: o.Value, Where: o.Writers[0]}
	}
}

// readSpec returns the values of a run's spec with their positions, or without (nil Writers) for a run that has only
// spec.json. A run with neither has no values; ok is false then.
func readSpec(dir string) (values table.Provenance, ok bool, err error) {
	values, err = table.ReadProvenance(dir)
	if err == nil {
		return values, true, compact(values)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	path := filepath.Join(dir, "spec.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read spec: %w", err)
	}
	values = table.Provenance{}
	if err := flatten(values, "", text); err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	return values, true, compact(values)
}

// flatten adds the leaves of a JSON object by path. Lists are leaves.
func flatten(to table.Provenance, path string, text json.RawMessage) error {
	if t := bytes.TrimSpace(text); len(t) == 0 || t[0] != '{' {
		to[path] = table.Origin{Value: text}
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	for key, value := range fields {
		at := key
		if path != "" {
			at = path + "." + key
		}
		if err := flatten(to, at, value); err != nil {
			return err
		}
	}
	return nil
}

// compact takes insignificant space out of every value, so that equal values are equal bytes. An indented
// provenance.json has its values indented too.
func compact(values table.Provenance) error {
	for path, o := range values {
		var buf bytes.Buffer
		if err := json.Compact(&buf, o.Value); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		o.Value = buf.Bytes()
		values[path] = o
	}
	return nil
}
