package cli

import (
	"errors"
	"path/filepath"
	"slices"

	"mixr/runtime/plan"
	"mixr/runtime/spec"
	"mixr/runtime/train"
	"mixr/runtime/weights"
)

// shelf opens policies of the hub through the given function, and remembers the hashes of weights in the cache folder.
func (a *app) shelf(hub func(ref string) (string, error)) *train.Shelf {
	s := train.NewShelf()
	s.Hub, s.Sums = hub, weights.NewSumCache(filepath.Join(a.machine.CacheDir, "sha256"))
	return s
}

// openAll opens the inputs of all trials; mistakes of all of them come back together.
func (a *app) openAll(trials []plan.Trial, shelf *train.Shelf) ([]*train.Inputs, error) {
	var all []*train.Inputs
	var mistakes spec.Diagnostics
	var others []error
	for _, t := range trials {
		open := shelf.Open
		if t.After != "" {
			open = shelf.OpenAfter
		}
		in, err := open(t.Resolved)
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
	if err := shelf.Sums.Err(); err != nil { // nothing is wrong for it: files are read again
		a.log.Warn().Err(err).Msg("hashes of weights are not remembered")
	}
	if err := errors.Join(append([]error{mistakes.Err()}, others...)...); err != nil {
		return nil, usageError{err}
	}
	return all, nil
}
