package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"mixr/runtime/table"
)

// Comparison is all that distinguishes two sides, A and B: runs, or groups of runs with several seeds.
type Comparison struct {
	A           Subject   `json:"a"`
	B           Subject   `json:"b"`
	Metric      string    `json:"metric"` // what Eval and Flips compare
	Spec        SpecDiff  `json:"spec"`
	Fingerprint []Differs `json:"fingerprint"` // parts of the fingerprint that differ, without the combined one
	Hidden      []Differs `json:"hidden"`      // versions, platform, hosts: they differ and nobody declared it
	Eval        []Delta   `json:"eval"`        // evaluation after training, or that of stage eval
	Verdict     string    `json:"verdict,omitempty"`
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
	Name    string `json:"name"`
	A       string `json:"a"`
	B       string `json:"b"`
	Matters string `json:"matters,omitempty"` // of what is hidden: whether it can change results, in words
}

// DiffOptions says what to compare and how much of it to keep.
type DiffOptions struct {
	Flips  int    // examples to show; 0 = 5, negative = none
	Metric string // one of Metrics; empty = reward
}

// Diff compares two run folders.
func Diff(dirA, dirB string, o DiffOptions) (*Comparison, error) {
	return DiffGroups(Group{Runs: []string{dirA}}, Group{Runs: []string{dirB}}, o)
}

// DiffGroups compares two groups of runs. Runs are paired by seed and answers by example; the values compared are those of the first
// run of each, and a group whose runs differ in more than their seed is warned about.
func DiffGroups(a, b Group, o DiffOptions) (*Comparison, error) {
	membersA, err := a.open()
	if err != nil {
		return nil, err
	}
	membersB, err := b.open()
	if err != nil {
		return nil, err
	}
	c := &Comparison{A: a.subject(membersA), B: b.subject(membersB), Metric: cmp.Or(o.Metric, Metrics[0])}
	several := len(membersA) > 1 || len(membersB) > 1
	skip := []string{"combined"}
	if several {
		skip = append(skip, "spec") // the seed is part of it
	}
	fingerprint := func(m member) map[string]string { return m.m.Fingerprint }
	c.Fingerprint = differing(gather(membersA, fingerprint), gather(membersB, fingerprint), skip...)
	c.Hidden = differing(gather(membersA, member.machine), gather(membersB, member.machine))
	for i, d := range c.Hidden {
		c.Hidden[i].Matters = matters(d)
	}
	if err := c.compareSpec(membersA, membersB, several); err != nil {
		return nil, err
	}
	if err := c.compareEval(membersA, membersB, o); err != nil {
		return nil, err
	}
	if c.A.Fingerprint == c.B.Fingerprint && c.A.Fingerprint != "" {
		c.warn("both are the same trial: what differs is numerics or the machine")
	}
	return c, nil
}

func (c *Comparison) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

func (c *Comparison) compareSpec(a, b []member, several bool) error {
	specs := func(side string, members []member) (first table.Provenance, err error) {
		for i, m := range members {
			values, ok, err := readSpec(m.dir)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, nil
			}
			if several {
				delete(values, "seed")
			}
			if i == 0 {
				first = values
				continue
			}
			for _, ch := range diffSpec(first, values).Changed {
				c.warn("the runs of %s differ in more than their seed: %s", side, ch.Path)
			}
		}
		return first, nil
	}
	specA, err := specs("A", a)
	if err != nil {
		return err
	}
	specB, err := specs("B", b)
	if err != nil {
		return err
	}
	if specA == nil || specB == nil {
		c.warn("no spec to compare: a run has neither %s nor spec.json", table.ProvenanceFile)
		return nil
	}
	c.Spec = diffSpec(specA, specB)
	return nil
}

func (c *Comparison) compareEval(membersA, membersB []member, o DiffOptions) error {
	a, warningsA, err := evaluations("A", membersA, c.Metric)
	if err != nil {
		return err
	}
	b, warningsB, err := evaluations("B", membersB, c.Metric)
	if err != nil {
		return err
	}
	c.Warnings = slices.Concat(c.Warnings, warningsA, warningsB)
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	examples, unmatched := matchRuns(a, b)
	key := func(of []evaluated) string {
		if len(of) == 1 {
			return of[0].id.Fingerprint
		}
		return fmt.Sprint(len(of)) // the intervals of several seeds are not drawn
	}
	c.Eval, c.Unmatched = deltas(examples, key(a)+"|"+key(b)), unmatched
	c.Flips = flips(examples, o)
	c.Warnings = append(c.Warnings, unmatched.warnings("A", "B")...)
	if len(examples) == 0 {
		c.warn("no example was evaluated by both: there is nothing to compare")
		return nil
	}
	c.Verdict = verdict(c.Eval[len(c.Eval)-1], c.Metric)
	if min(len(a), len(b)) == 1 {
		c.Warnings = append(c.Warnings, oneSeed)
	}
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
