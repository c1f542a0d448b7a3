package table

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// scratch is the resume point of a run that has lost even its step 0: nothing is kept.
const scratch = -1

// rewind drops from the manifest what cannot be used any more. Normally that is nothing. A checkpoint folder or a part
// that somebody removed takes the run back to the last checkpoint that does not need it, with a warning; a part that is
// there but not what was written is an error, because rows that somebody may want are in it.
func (r *Run) rewind() error {
	checkpoints := slices.DeleteFunc(slices.Clone(r.m.Checkpoints), func(step int) bool {
		_, err := os.Stat(r.CheckpointDir(step))
		return errors.Is(err, fs.ErrNotExist)
	})
	var missing []File
	for _, f := range r.m.Parts {
		_, err := readFile(r.dir, f)
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, f)
		} else if err != nil {
			return fmt.Errorf("%w; delete the file to %s", err, resumePhrase(resumePoint(checkpoints, []File{f})))
		}
	}
	step := resumePoint(checkpoints, missing)
	if step == r.Step() && len(missing) == 0 {
		r.m.Checkpoints = checkpoints
		return nil
	}
	why := fmt.Sprintf("the checkpoint of step %d is missing", r.Step())
	if len(missing) > 0 {
		why = missing[0].Path + " is missing"
	}
	r.warnings = append(r.warnings, fmt.Sprintf("%s: %s; the run will %s", r.dir, why, resumePhrase(step)))
	r.m.Checkpoints = slices.DeleteFunc(checkpoints, func(c int) bool { return c > step })
	r.m.Parts = slices.DeleteFunc(slices.Clone(r.m.Parts), func(f File) bool { return f.LastStep > step })
	return nil
}

// resumePoint is the last checkpoint that needs none of the missing parts: 0 for the initial weights, scratch if a
// part of step 0 is gone. A checkpoint needs the parts of all steps up to its own.
func resumePoint(checkpoints []int, missing []File) int {
	for _, c := range slices.Backward(append([]int{0}, checkpoints...)) {
		if !slices.ContainsFunc(missing, func(f File) bool { return f.FirstStep <= c }) {
			return c
		}
	}
	return scratch
}

func resumePhrase(step int) string {
	if step <= 0 {
		return "start again from the initial weights"
	}
	return fmt.Sprintf("resume from the checkpoint of step %d", step)
}

// clean removes what the manifest does not list: files of a writer that died, parts and checkpoints after the last
// Commit, parts that Finish has merged, tables of an end that was taken back.
func (r *Run) clean() error {
	listed := map[string]bool{}
	for _, f := range slices.Concat(r.m.Parts, r.m.Tables) {
		listed[filepath.FromSlash(f.Path)] = true
	}
	for _, step := range r.m.Checkpoints {
		listed[filepath.Join(checkpointDir, checkpointName(step))] = true
	}
	for _, sub := range []string{tmpDir, partsDir, checkpointDir} {
		entries, err := os.ReadDir(filepath.Join(r.dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clean run folder: %w", err)
		}
		for _, e := range entries {
			name := filepath.Join(sub, e.Name())
			if listed[name] || sub == checkpointDir && !strings.HasPrefix(e.Name(), "step-") {
				continue
			}
			if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
				return fmt.Errorf("clean run folder: %w", err)
			}
		}
	}
	for _, name := range []string{Name[Metrics](), Name[Slice](), Name[Completion](), Name[Eval](), Name[Timing]()} {
		if file := name + ".parquet"; !listed[file] {
			if err := os.RemoveAll(filepath.Join(r.dir, file)); err != nil {
				return fmt.Errorf("clean run folder: %w", err)
			}
		}
	}
	return nil
}

// Prune keeps the last keep checkpoints and those of the steps in also, and removes the others.
func (r *Run) Prune(keep int, also ...int) error {
	if keep < 1 {
		return fmt.Errorf("prune checkpoints: keep %d, want at least 1", keep)
	}
	var kept, gone []int
	for i, step := range r.m.Checkpoints {
		if i >= len(r.m.Checkpoints)-keep || slices.Contains(also, step) {
			kept = append(kept, step)
		} else {
			gone = append(gone, step)
		}
	}
	if gone == nil {
		return nil
	}
	r.m.Checkpoints = kept
	if err := r.save(); err != nil {
		return err
	}
	for _, step := range gone {
		if err := os.RemoveAll(r.CheckpointDir(step)); err != nil {
			return fmt.Errorf("prune checkpoints: %w", err)
		}
	}
	return nil
}
