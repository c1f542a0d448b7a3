package cli

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"mixr/runtime/plan"
	"mixr/runtime/spec"
	"mixr/runtime/train"
)

// inputCache keeps what experiments name, opened: the trials of a study mostly share data and policy.
type inputCache map[string]*train.Inputs

// open is train.Open, reading each combination of data and policy once.
func (c inputCache) open(r *spec.Resolved) (*train.Inputs, error) {
	key, err := inputKey(r)
	if err != nil {
		return nil, err
	}
	in := c[key]
	if in == nil {
		if in, err = train.Open(r); err != nil {
			return nil, err
		}
		c[key] = in
	}
	own := *in
	own.Experiment = r.Experiment
	return &own, nil
}

// inputKey names everything that train.Open reads.
func inputKey(r *spec.Resolved) (string, error) {
	policy, err := r.Path("policy.from")
	if err != nil {
		return "", err
	}
	sources := maps.Clone(r.Experiment.Data.Sources)
	for name, s := range sources {
		if s.Card, err = r.Path("data.sources." + name + ".card"); err != nil {
			return "", err
		}
		sources[name] = s
	}
	key, err := json.Marshal([]any{policy, r.Experiment.Policy, sources})
	return string(key), err
}

// openAll opens the inputs of all trials; mistakes of all of them come back together.
func (c inputCache) openAll(trials []plan.Trial) ([]*train.Inputs, error) {
	var all []*train.Inputs
	var mistakes spec.Diagnostics
	var others []error
	for _, t := range trials {
		in, err := c.open(t.Resolved)
		all = append(all, in)
		var found spec.Diagnostics
		switch {
		case errors.As(err, &found):
			for _, d := range found {
				if !slices.Contains(mistakes, d) {
					mistakes = append(mistakes, d)
				}
			}
		case err != nil && !slices.ContainsFunc(others, func(o error) bool { return o.Error() == err.Error() }):
			others = append(others, err)
		}
	}
	if err := errors.Join(append([]error{mistakes.Err()}, others...)...); err != nil {
		return nil, usageError{err}
	}
	return all, nil
}
