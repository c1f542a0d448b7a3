package report

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"mixr/runtime/table"
)

// Study is the runs of a study, by rung.
type Study struct {
	Name  string
	Rungs []Rung // in the order of the ladder
}

// Rung is one rung with its replicates.
type Rung struct {
	Name string
	Runs []Replicate // in order of seed
}

// Replicate is the run of one seed.
type Replicate struct {
	Seed uint64
	Dir  string // its folder; empty: there is none yet
}

// ReadStudy finds the runs of a study: by its record, which mixr run writes, or for runs older than that by the labels in their
// manifests, rungs then standing in the order in which they were first run. Where there is neither the error is fs.ErrNotExist.
func ReadStudy(results, name string) (*Study, error) {
	record, err := table.ReadStudy(results, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return labelled(results, name)
	case err != nil:
		return nil, err
	}
	s := &Study{Name: name}
	for _, t := range record.Trials {
		dir := filepath.Join(results, t.Run)
		if _, err := table.ReadManifest(dir); errors.Is(err, fs.ErrNotExist) {
			dir = ""
		} else if err != nil {
			return nil, err
		}
		s.add(t.Rung, Replicate{t.Seed, dir})
	}
	at := func(r Rung) int { return slices.Index(record.Rungs, r.Name) }
	slices.SortStableFunc(s.Rungs, func(x, y Rung) int { return at(x) - at(y) })
	return s, nil
}

// labelled finds the runs of a study by their labels; of several with one rung and seed, the newest that is done counts, else the
// newest.
func labelled(results, name string) (*Study, error) {
	runs, err := List(results)
	if err != nil {
		return nil, err
	}
	s := &Study{Name: name}
	seen := map[string]bool{}
	for _, done := range []bool{true, false} {
		for _, r := range runs { // the newest first
			if r.Broken != "" || table.Status(r.State).Complete() != done {
				continue
			}
			m, err := table.ReadManifest(r.Dir)
			if err != nil {
				return nil, err
			}
			key := m.Labels["rung"] + "/" + strconv.FormatUint(m.Seed, 10)
			if of, ok := m.Labels["study"]; ok && of == name && !seen[key] {
				seen[key] = true
				s.add(m.Labels["rung"], Replicate{m.Seed, r.Dir})
			}
		}
	}
	if len(s.Rungs) == 0 {
		return nil, fmt.Errorf("no runs of a study %q in %s: %w", name, results, fs.ErrNotExist)
	}
	first := map[string]int{} // rung -> position of its oldest run, counted from the newest
	for i, r := range runs {
		for _, rung := range s.Rungs {
			if slices.ContainsFunc(rung.Runs, func(x Replicate) bool { return x.Dir == r.Dir }) {
				first[rung.Name] = i
			}
		}
	}
	slices.SortStableFunc(s.Rungs, func(x, y Rung) int { return first[y.Name] - first[x.Name] })
	return s, nil
}

func (s *Study) add(rung string, r Replicate) {
	i := slices.IndexFunc(s.Rungs, func(x Rung) bool { return x.Name == rung })
	if i < 0 {
		i = len(s.Rungs)
		s.Rungs = append(s.Rungs, Rung{Name: rung})
	}
	at, _ := slices.BinarySearchFunc(s.Rungs[i].Runs, r, func(x, y Replicate) int {
		switch {
		case x.Seed < y.Seed:
			return -1
		case x.Seed > y.Seed:
			return 1
		}
		return 0
	})
	s.Rungs[i].Runs = slices.Insert(s.Rungs[i].Runs, at, r)
}

// Group is the runs of a rung that are there; ok is false where the study has no such rung.
func (s *Study) Group(rung string) (g Group, ok bool) {
	i := slices.IndexFunc(s.Rungs, func(x Rung) bool { return x.Name == rung })
	if i < 0 {
		return Group{}, false
	}
	g.Name = s.Name + "/" + rung
	for _, r := range s.Rungs[i].Runs {
		if r.Dir != "" {
			g.Runs = append(g.Runs, r.Dir)
		}
	}
	return g, true
}

// Studies are the names of the studies that have runs or a record in a results folder, sorted.
func Studies(results string) ([]string, error) {
	runs, err := List(results)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, r := range runs {
		if r.Broken != "" {
			continue
		}
		m, err := table.ReadManifest(r.Dir)
		if err != nil {
			return nil, err
		}
		if name := m.Labels["study"]; name != "" {
			names[name] = true
		}
	}
	for _, name := range table.Studies(results) {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}
