package report

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"mixr/runtime/table"
)

// Comparison is all that distinguishes two runs, A and B.
type Comparison struct {
	A           RunID     `json:"a"`
	B           RunID     `json:"b"`
	Spec        SpecDiff  `json:"spec"`
	Fingerprint []Differs `json:"fingerprint"` // parts of the fingerprint that differ, without the combined one
	Hidden      []Differs `json:"hidden"`      // versions and platform: they differ and nobody declared it
	Eval        []Delta   `json:"eval"`        // evaluation after training, or that of stage eval
	Unmatched   Unmatched `json:"unmatched"`
	Flips       []Flip    `json:"flips"` // the examples that moved most
	Warnings    []string  `json:"warnings,omitempty"`
}

// RunID names a run in a comparison.
type RunID struct {
	Dir         string `json:"dir"`
	Name        string `json:"name"`
	Trial       string `json:"trial,omitempty"`
	Stage       string `json:"stage"`
	Seed        uint64 `json:"seed,string"`
	State       string `json:"state"`
	Fingerprint string `json:"fingerprint"` // combined
}

// Differs is one named text that is not the same on both sides; empty = the side does not have it.
type Differs struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// DiffOptions says how much of a comparison to keep.
type DiffOptions struct {
	Flips int // examples to show; 0 = 5, negative = none
}

// Diff compares two run folders.
func Diff(dirA, dirB string, o DiffOptions) (*Comparison, error) {
	a, err := table.ReadManifest(dirA)
	if err != nil {
		return nil, err
	}
	b, err := table.ReadManifest(dirB)
	if err != nil {
		return nil, err
	}
	c := &Comparison{
		A: runID(dirA, a), B: runID(dirB, b),
		Fingerprint: differing(a.Fingerprint, b.Fingerprint, "combined"),
		Hidden:      differing(a.Versions, b.Versions),
	}
	if err := c.compareSpec(dirA, dirB); err != nil {
		return nil, err
	}
	if err := c.compareEval(dirA, dirB, o); err != nil {
		return nil, err
	}
	if a.Fingerprint["combined"] == b.Fingerprint["combined"] && a.Fingerprint["combined"] != "" {
		c.warn("both are the same trial: what differs is numerics or the machine")
	}
	return c, nil
}

func (c *Comparison) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

func (c *Comparison) compareSpec(dirA, dirB string) error {
	a, okA, err := readSpec(dirA)
	if err != nil {
		return err
	}
	b, okB, err := readSpec(dirB)
	if err != nil {
		return err
	}
	if !okA || !okB {
		c.warn("no spec to compare: a run has neither %s nor spec.json", table.ProvenanceFile)
		return nil
	}
	c.Spec = diffSpec(a, b)
	return nil
}

func (c *Comparison) compareEval(dirA, dirB string, o DiffOptions) error {
	side := func(name string, id RunID, dir string) ([]table.Eval, error) {
		rows, err := table.Read[table.Eval](dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		rows = at(rows, after)
		if len(rows) == 0 {
			c.warn("%s has no evaluation after training (%s)", name, id.State)
		}
		return rows, nil
	}
	a, err := side("A", c.A, dirA)
	if err != nil {
		return err
	}
	b, err := side("B", c.B, dirB)
	if err != nil {
		return err
	}
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	examples, unmatched := match(a, b)
	c.Eval, c.Unmatched = deltas(examples, c.A.Fingerprint+"|"+c.B.Fingerprint), unmatched
	c.Flips = flips(examples, o)
	c.Warnings = append(c.Warnings, unmatched.warnings("A", "B")...)
	if len(examples) == 0 {
		c.warn("no example was evaluated by both: there is nothing to compare")
		return nil
	}
	c.Warnings = append(c.Warnings, oneSeed)
	return nil
}

// differing lists the keys whose texts differ, sorted, without those to skip.
func differing(a, b map[string]string, skip ...string) []Differs {
	out := []Differs{}
	names := maps.Clone(a)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, b)
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if a[n] != b[n] && !slices.Contains(skip, n) {
			out = append(out, Differs{Name: n, A: a[n], B: b[n]})
		}
	}
	return out
}
