package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Format is the version of the run folder; a reader refuses any other.
const Format = "mixr.run/1"

// Status says how far a run got.
type Status string

const (
	Running   Status = "running"   // or killed: only the lock tells which
	Done      Status = "done"      // Finish came through
	Stopped   Status = "stopped"   // a stop rule made an earlier step the last: Finish came through; it can go on under other rules
	Failed    Status = "failed"    // an error ended the last attempt
	Diverged  Status = "diverged"  // a gradient was not finite: the same step ends the same way again
	Cancelled Status = "cancelled" // the user or the scheduler ended it; it can go on
)

// Complete reports whether the run has its tables and its policy: nothing is left to compute, unless stop rules change.
func (s Status) Complete() bool { return s == Done || s == Stopped }

// Manifest is run.json: what the run is, how far it got, and which files of the folder count.
type Manifest struct {
	Format      string             `json:"format"`
	Name        string             `json:"name"`            // experiment
	Trial       string             `json:"trial,omitempty"` // trial within a study
	Labels      map[string]string  `json:"labels,omitempty"`
	Stage       string             `json:"stage"`       // grpo | sft | eval
	Steps       int                `json:"steps"`       // planned
	Seed        uint64             `json:"seed,string"` // as text: JSON numbers lose digits above 2^53
	Fingerprint map[string]string  `json:"fingerprint"` // part -> hex sha256; "combined" names the trial
	Versions    map[string]string  `json:"versions"`    // mixr, go, onnxruntime, platform, provider, ...
	Status      Status             `json:"status"`
	Attempts    []Attempt          `json:"attempts"`
	Checkpoints []int              `json:"checkpoints"`       // steps with a folder under checkpoints/, ascending
	Parts       []File             `json:"parts"`             // table parts that count, until Finish merges them
	Tables      []File             `json:"tables"`            // merged tables; empty until Finish
	Summary     map[string]float64 `json:"summary,omitempty"` // for listings; never the source of a table
	Stop        *Stop              `json:"stop,omitempty"`    // of a stopped run
	Best        *Best              `json:"best,omitempty"`    // whose policy the run left, where it is not simply that of the last step
}

// Stop is why a run ended before its last step.
type Stop struct {
	Step  int     `json:"step"`
	Rule  string  `json:"rule"`  // in words that no other rule has
	Value float64 `json:"value"` // of what the rule looks at, when it last did
}

// Best is the evaluation whose policy was chosen.
type Best struct {
	Step   int     `json:"step"`
	Metric string  `json:"metric"` // reward | correct
	Value  float64 `json:"value"`  // its mean over all samples
}

// Attempt is one process that worked on the run.
type Attempt struct {
	Host     string    `json:"host"`
	PID      int       `json:"pid"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end,omitzero"` // zero: still running, or killed
	FromStep int       `json:"from_step"`
	ToStep   int       `json:"to_step"`        // last step committed
	Exit     string    `json:"exit,omitempty"` // done, or the reason in words
}

// File is one Parquet file of a run.
type File struct {
	Table     string `json:"table"`
	Path      string `json:"path"` // below the run folder, with forward slashes
	FirstStep int    `json:"first_step"`
	LastStep  int    `json:"last_step"`
	Rows      int    `json:"rows"`
	Bytes     int64  `json:"bytes"`
	SHA256    string `json:"sha256"`
}

// ReadManifest reads run.json of a run folder.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	path := filepath.Join(dir, manifestFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s is not a run folder: no %s in it: %w", dir, manifestFile, fs.ErrNotExist)
	}
	if err != nil {
		return m, fmt.Errorf("read manifest: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s: %w; %s", path, err, remedy)
	}
	if m.Format != Format {
		return m, fmt.Errorf("%s: format is %q, this mixr reads %q", path, m.Format, Format)
	}
	return m, nil
}
