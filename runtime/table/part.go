package table

import (
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
)

// Write stores the rows of steps firstStep to lastStep of one table as a part. It counts from the next Commit or
// Finish on; a process that dies before loses it. Rows stand in ascending order of step, parts of a table are written
// in ascending order of step and do not overlap. Within a step the caller's order is kept, so it must not depend on
// timing. Any error leaves the folder as it was.
func Write[R Row](r *Run, firstStep, lastStep int, rows []R) error {
	name := Name[R]()
	if err := r.checkSpan(name, firstStep, lastStep); err != nil {
		return err
	}
	prev := firstStep
	for i := range rows {
		step := stepOf(&rows[i])
		if step < prev || step > lastStep {
			return fmt.Errorf("%s row %d: step %d after %d in a part of steps %d to %d", name, i, step, prev, firstStep, lastStep)
		}
		prev = step
		if err := check(&rows[i]); err != nil {
			return fmt.Errorf("%s row %d (step %d): %w", name, i, step, err)
		}
	}
	f := File{
		Table: name, Path: path.Join(partsDir, fmt.Sprintf("%s-%06d-%06d.parquet", name, firstStep, lastStep)),
		FirstStep: firstStep, LastStep: lastStep, Rows: len(rows),
	}
	var err error
	f.Bytes, f.SHA256, err = replace(r.dir, filepath.Join(r.dir, f.Path), func(w io.Writer) error {
		e := newEncoder[R](w)
		if err := e.add(rows); err != nil {
			return err
		}
		return e.close()
	})
	if err != nil {
		return err
	}
	r.pending = append(r.pending, f)
	return nil
}

// checkSpan refuses parts that would leave the order of a table open.
func (r *Run) checkSpan(table string, firstStep, lastStep int) error {
	switch {
	case r.lock == nil:
		return fmt.Errorf("%s: the run was closed", r.dir)
	case r.m.Status.Complete():
		return fmt.Errorf("%s: the run is done, its tables are complete", r.dir)
	case firstStep > lastStep:
		return fmt.Errorf("%s part: first step %d is after last step %d", table, firstStep, lastStep)
	case firstStep < r.Step():
		return fmt.Errorf("%s part: step %d is before the checkpoint at %d", table, firstStep, r.Step())
	}
	for _, f := range slices.Concat(r.m.Parts, r.pending) {
		if f.Table == table && firstStep <= f.LastStep {
			return fmt.Errorf("%s part: steps %d to %d: %s is written already", table, firstStep, lastStep, f.Path)
		}
	}
	return nil
}

// Covers reports whether a part of the table that covers the step is there, committed or not.
func (r *Run) Covers(table string, step int) bool {
	return slices.ContainsFunc(slices.Concat(r.m.Parts, r.pending), func(f File) bool {
		return f.Table == table && f.FirstStep <= step && step <= f.LastStep
	})
}

// Commit makes everything up to a step permanent: the parts written so far and the checkpoint in CheckpointDir(step).
// Step 0 has no folder: it stands for the initial weights, and commits what was measured on them. A run that dies
// later goes on from here.
func (r *Run) Commit(step int) error {
	for _, f := range r.pending {
		if f.LastStep > step {
			return fmt.Errorf("commit step %d: %s goes beyond it", step, f.Path)
		}
	}
	if step < r.Step() {
		return fmt.Errorf("commit step %d: the checkpoint at %d is later", step, r.Step())
	}
	checkpoints := r.m.Checkpoints
	if step > r.Step() {
		if err := syncDir(r.CheckpointDir(step)); err != nil {
			return fmt.Errorf("commit step %d: no checkpoint: %w", step, err)
		}
		if err := syncDir(filepath.Join(r.dir, checkpointDir)); err != nil {
			return fmt.Errorf("commit step %d: %w", step, err)
		}
		checkpoints = append(slices.Clone(checkpoints), step)
	}
	before := r.m
	r.m.Checkpoints, r.m.Parts = checkpoints, slices.Concat(r.m.Parts, r.pending)
	r.m.Attempts = slices.Clone(r.m.Attempts)
	r.m.Attempts[len(r.m.Attempts)-1].ToStep = step
	if err := r.save(); err != nil {
		r.m = before // the caller may free space and try again
		return err
	}
	r.pending = nil
	return nil
}
