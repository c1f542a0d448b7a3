package report

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mixr/runtime/table"
)

// Interrupted is the state of a run that its manifest calls running and that no process holds: it was killed.
const Interrupted = "interrupted"

// state is the manifest's status, with the lock consulted about "running".
func state(dir string, m table.Manifest) string {
	if m.Status == table.Running {
		if _, held := table.HeldBy(dir); !held {
			return Interrupted
		}
	}
	return string(m.Status)
}

func runID(dir string, m table.Manifest) RunID {
	return RunID{Dir: dir, Name: m.Name, Trial: m.Trial, Stage: m.Stage, Seed: m.Seed, State: state(dir, m), Fingerprint: m.Fingerprint["combined"]}
}

// Listing is one line about a run.
type Listing struct {
	RunID
	Step   int         `json:"step"`  // last step committed
	Steps  int         `json:"steps"` // planned
	Before *float64    `json:"reward_before"`
	After  *float64    `json:"reward_after"`
	Stop   *table.Stop `json:"stop,omitempty"`   // why it ended before its last step
	Best   *table.Best `json:"best,omitempty"`   // whose policy it left, if not simply the last
	Start  time.Time   `json:"start"`            // of the first attempt
	End    time.Time   `json:"end,omitzero"`     // of the last attempt; zero while it runs, or if it was killed
	Broken string      `json:"broken,omitempty"` // why the run cannot be read; the other fields are empty then
}

// List returns the runs below a results folder, newest first. A folder without a manifest is no run and is passed over;
// a run that cannot be read is listed as Broken. No results folder is no runs.
func List(results string) ([]Listing, error) {
	entries, err := os.ReadDir(results)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var runs []Listing
	for _, e := range entries {
		dir := filepath.Join(results, e.Name())
		m, err := table.ReadManifest(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) || !e.IsDir():
		case err != nil:
			runs = append(runs, Listing{RunID: RunID{Dir: dir, Name: e.Name()}, Broken: err.Error()})
		default:
			runs = append(runs, listing(dir, m))
		}
	}
	slices.SortStableFunc(runs, func(a, b Listing) int {
		return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.Dir, b.Dir))
	})
	return runs, nil
}

// ListOne is the line about one run.
func ListOne(dir string) (Listing, error) {
	m, err := table.ReadManifest(dir)
	if err != nil {
		return Listing{}, err
	}
	return listing(dir, m), nil
}

func listing(dir string, m table.Manifest) Listing {
	l := Listing{RunID: runID(dir, m), Steps: m.Steps, Stop: m.Stop, Best: m.Best}
	if v, ok := m.Summary[table.RewardBefore]; ok {
		l.Before = &v
	}
	if v, ok := m.Summary[table.RewardAfter]; ok {
		l.After = &v
	}
	if n := len(m.Attempts); n > 0 {
		l.Step, l.Start, l.End = m.Attempts[n-1].ToStep, m.Attempts[0].Start, m.Attempts[n-1].End
	}
	return l
}
