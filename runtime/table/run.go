package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
)

const manifestFile = "run.json"

// Run is a run folder that this process works on. It holds the folder's lock until Finish, Stop or Close. One
// goroutine uses it.
type Run struct {
	dir      string
	lock     *flock.Flock
	m        Manifest
	pending  []File // parts written since the last Commit; they count once the manifest lists them
	warnings []string
}

// Folder is where a trial's run lives: <results>/<name>-<first 8 digits of the combined fingerprint>.
func Folder(results, name, fingerprint string) string {
	return filepath.Join(results, fmt.Sprintf("%s-%.8s", name, fingerprint))
}

// Create starts a run in a folder that holds none yet, making the folder where it is missing. The caller fills the
// manifest's Name, Trial, Labels, Stage, Steps, Seed, Fingerprint and Versions; the rest belongs to the run.
// It fails with fs.ErrExist where there is a run already (Open it instead), with *HeldError where another process is
// faster, and in a folder with other files in it: Open removes files, so it must be sure that they are a run's.
func Create(dir string, m Manifest) (*Run, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create run folder: %w: name a results folder that you can write to", err)
	}
	lock, err := acquire(dir, self())
	if err != nil {
		return nil, err
	}
	r := &Run{dir: dir, lock: lock, m: m}
	if err := checkFresh(dir); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.m.Format = Format
	r.m.Checkpoints, r.m.Parts, r.m.Attempts = []int{}, []File{}, nil
	r.m.unfinish()
	if err := r.begin(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// checkFresh accepts an empty folder and one in which a process died before its first manifest.
func checkFresh(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); err == nil {
		return fmt.Errorf("%s holds a run already: %w", dir, fs.ErrExist)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("create run folder: %w", err)
	}
	for _, e := range entries {
		if e.Name() != lockFile && e.Name() != tmpDir {
			return fmt.Errorf("%s is not empty (%s) and holds no run: name another folder", dir, e.Name())
		}
	}
	return nil
}

// Open goes on with a run: at the last checkpoint whose parts are all there. Whatever was written after it is removed, of a stopped run
// its end. A done run opens too, for reading its state; it gets no new attempt. Errors: fs.ErrNotExist where there is no run,
// *HeldError where a process works on it, and an error that names the file where a part is not what was written.
func Open(dir string) (*Run, error) {
	if _, err := ReadManifest(dir); err != nil { // before a lock file is made in a folder that is none of ours
		return nil, err
	}
	lock, err := acquire(dir, self())
	if err != nil {
		return nil, err
	}
	r := &Run{dir: dir, lock: lock}
	if err := r.resume(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Run) resume() error {
	m, err := ReadManifest(r.dir)
	if err != nil {
		return err
	}
	r.m = m
	if m.Status != Done {
		r.m.unfinish()
		if err := r.rewind(); err != nil {
			return err
		}
		if err := r.begin(); err != nil {
			return err
		}
	}
	return r.clean()
}

// unfinish takes out what finish put in.
func (m *Manifest) unfinish() { m.Tables, m.Summary, m.Best, m.Stop = []File{}, nil, nil, nil }

// begin records this process as an attempt.
func (r *Run) begin() error {
	me := self()
	r.m.Status = Running
	r.m.Attempts = append(r.m.Attempts, Attempt{Host: me.Host, PID: me.PID, Start: me.Since, FromStep: r.Step(), ToStep: r.Step()})
	return r.save()
}

// Dir is the run folder.
func (r *Run) Dir() string { return r.dir }

// Manifest is a copy of the manifest as it stands.
func (r *Run) Manifest() Manifest {
	m := r.m
	m.Labels, m.Fingerprint = maps.Clone(m.Labels), maps.Clone(m.Fingerprint)
	m.Versions, m.Summary = maps.Clone(m.Versions), maps.Clone(m.Summary)
	m.Attempts, m.Checkpoints = slices.Clone(m.Attempts), slices.Clone(m.Checkpoints)
	m.Parts, m.Tables = slices.Clone(m.Parts), slices.Clone(m.Tables)
	if m.Stop != nil {
		stop := *m.Stop
		m.Stop = &stop
	}
	if m.Best != nil {
		best := *m.Best
		m.Best = &best
	}
	return m
}

// Warnings says what Open found missing and what it did about it; nil is the normal case.
func (r *Run) Warnings() []string { return r.warnings }

// Step is the step of the last checkpoint: where training goes on. 0 means the initial weights.
func (r *Run) Step() int {
	if n := len(r.m.Checkpoints); n > 0 {
		return r.m.Checkpoints[n-1]
	}
	return 0
}

// Attempt is the number of the current attempt, from 1.
func (r *Run) Attempt() int { return len(r.m.Attempts) }

// CheckpointDir is the folder of a checkpoint. The caller fills it, synced, before it calls Commit.
func (r *Run) CheckpointDir(step int) string {
	return filepath.Join(r.dir, checkpointDir, checkpointName(step))
}

func checkpointName(step int) string { return fmt.Sprintf("step-%06d", step) }

// WriteFile stores a small file in the run folder (spec.json, graphs/gradient.onnx), whole or not at all.
func (r *Run) WriteFile(name string, data []byte) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("write %q: not a path inside the run folder", name)
	}
	_, _, err := replace(r.dir, filepath.Join(r.dir, name), func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	return err
}

// Stop ends the attempt with a status other than Done and gives the folder free; reason is for people. What was not
// committed is lost and will be computed again. A run that is complete stays so, also where Finish failed once its manifest
// was written: its parts may be gone by then, and another status would have Open take back the tables that replace them.
func (r *Run) Stop(status Status, reason string) error {
	if r.m.Status.Complete() {
		return r.Close()
	}
	return errors.Join(r.end(status, reason), r.Close())
}

// end records how the attempt ended.
func (r *Run) end(status Status, exit string) error {
	r.m.Status = status
	last := &r.m.Attempts[len(r.m.Attempts)-1]
	last.End, last.Exit = now(), exit
	return r.save()
}

// Close gives the folder free without recording an end, as a killed process would. It may be called after Finish and
// Stop, and twice.
func (r *Run) Close() error {
	if r.lock == nil {
		return nil
	}
	lock := r.lock
	r.lock = nil
	if err := lock.Close(); err != nil {
		return fmt.Errorf("unlock run folder: %w", err)
	}
	return nil
}

// save replaces run.json.
func (r *Run) save() error {
	if r.lock == nil {
		return fmt.Errorf("%s: the run was closed", r.dir)
	}
	text, err := json.MarshalIndent(r.m, "", "  ")
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return r.WriteFile(manifestFile, append(text, '\n'))
}

func self() Holder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return Holder{PID: os.Getpid(), Host: host, Since: now()}
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
