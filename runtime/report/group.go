package report

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"mixr/runtime/table"
)

// Group is one side of a comparison: one run, or the runs of a rung that differ in their seed alone.
type Group struct {
	Name string   // STUDY/RUNG; empty: the run's
	Runs []string // folders
}

// member is a run of a group.
type member struct {
	dir string
	id  RunID
	m   table.Manifest
}

func (g Group) open() ([]member, error) {
	var members []member
	for _, dir := range g.Runs {
		m, err := table.ReadManifest(dir)
		if err != nil {
			return nil, err
		}
		members = append(members, member{dir, runID(dir, m), m})
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("%s has no runs: run it first", g.Name)
	}
	slices.SortStableFunc(members, func(x, y member) int {
		switch {
		case x.m.Seed < y.m.Seed:
			return -1
		case x.m.Seed > y.m.Seed:
			return 1
		}
		return 0
	})
	return members, nil
}

// Subject names one side of a comparison. Of several runs, RunID holds what they share, and no seed and fingerprint.
type Subject struct {
	RunID
	Runs []RunID `json:"runs,omitempty"` // where they are several
}

func (g Group) subject(members []member) Subject {
	if len(members) == 1 {
		return Subject{RunID: members[0].id}
	}
	s := Subject{RunID: RunID{Name: members[0].id.Name, Trial: g.Name, Stage: members[0].id.Stage}}
	var states []string
	for _, m := range members {
		s.Runs = append(s.Runs, m.id)
		if !slices.Contains(states, m.id.State) {
			states = append(states, m.id.State)
		}
	}
	s.State = strings.Join(states, ", ")
	return s
}

// gather is what the runs of a group have under each name: one value, or several that a comma separates.
func gather(members []member, of func(member) map[string]string) map[string]string {
	values := map[string][]string{}
	for _, m := range members {
		for name, v := range of(m) {
			if !slices.Contains(values[name], v) {
				values[name] = append(values[name], v)
			}
		}
	}
	out := map[string]string{}
	for name, v := range values {
		for i := range v {
			v[i] = short(v[i])
		}
		if len(v) == 1 {
			out[name] = of(members[0])[name]
		} else {
			out[name] = strings.Join(slices.Sorted(slices.Values(v)), ", ")
		}
	}
	return out
}

// machine is what the manifest knows of where and by what the run was made.
func (m member) machine() map[string]string {
	out := maps.Clone(m.m.Versions)
	if out == nil {
		out = map[string]string{}
	}
	var hosts []string
	for _, a := range m.m.Attempts {
		if !slices.Contains(hosts, a.Host) {
			hosts = append(hosts, a.Host)
		}
	}
	if hosts != nil {
		out["host"] = strings.Join(hosts, ", ")
	}
	return out
}

// matters says whether a hidden difference can change results.
func matters(d Differs) string {
	dirty := strings.Contains(d.A+d.B, "dirty")
	switch d.Name {
	case "mixr":
		if dirty {
			return "yes: built from a changed working tree, whose code no commit holds"
		}
		return "only by a mistake: results are those of the version of the arithmetic"
	case "numerics":
		return "yes: another version of the arithmetic"
	case "onnxruntime", "library":
		return "the last bits: another build has other kernels"
	case "platform", "vectors":
		return "the last bits: sums are taken in another order"
	case "go":
		return "hardly: the compiler may fuse other products"
	case "host":
		return "not by itself: equal processors give equal bits"
	}
	return ""
}

// evaluated is a run with the rows of its evaluation after training.
type evaluated struct {
	member
	rows []table.Eval
}

// evaluations reads the evaluations of a group, and says which runs have none.
func evaluations(side string, members []member, metric string) (runs []evaluated, warnings []string, err error) {
	for _, m := range members {
		rows, err := table.Read[table.Eval](m.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		rows = at(rows, after)
		name := side
		if len(members) > 1 {
			name = fmt.Sprintf("%s, seed %d", side, m.m.Seed)
		}
		if len(rows) == 0 {
			warnings = append(warnings, fmt.Sprintf("%s has no evaluation after training (%s)", name, m.id.State))
			continue
		}
		if s := m.m.Stop; s != nil {
			warnings = append(warnings, fmt.Sprintf("%s was stopped at step %d of %d: %s", name, s.Step, m.m.Steps, s.Rule))
		}
		rows, left := measure(rows, metric)
		if left > 0 {
			warnings = append(warnings, name+": "+without(left, metric))
		}
		if len(rows) > 0 {
			runs = append(runs, evaluated{m, rows})
		}
	}
	return runs, warnings, nil
}

// pairRuns pairs the runs of both sides with equal seeds; where no seeds are equal, in their order. It returns how many runs have no
// partner.
func pairRuns(a, b []evaluated) (pairedA, pairedB []evaluated, alone int) {
	for _, x := range a {
		if i := slices.IndexFunc(b, func(y evaluated) bool { return y.m.Seed == x.m.Seed }); i >= 0 {
			pairedA, pairedB = append(pairedA, x), append(pairedB, b[i])
		}
	}
	if len(pairedA) == 0 {
		n := min(len(a), len(b))
		pairedA, pairedB = a[:n], b[:n]
	}
	return pairedA, pairedB, len(a) + len(b) - len(pairedA) - len(pairedB)
}

// matchRuns pairs the evaluations of paired runs.
func matchRuns(a, b []evaluated) ([]example, Unmatched) {
	a, b, alone := pairRuns(a, b)
	if len(a) == 0 {
		return nil, Unmatched{Seeds: alone}
	}
	rows := func(of []evaluated) (out [][]table.Eval) {
		for _, e := range of {
			out = append(out, e.rows)
		}
		return out
	}
	examples, u := matchSeeds(rows(a), rows(b))
	u.Seeds = alone
	return examples, u
}
