package table

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Keys of a summary that listings show: the mean reward over all rows of the evaluation before and after training.
const (
	RewardBefore = "reward_before"
	RewardAfter  = "reward_after"
)

// End is what is known of a run once it has ended.
type End struct {
	Summary map[string]float64 // numbers for listings, under RewardBefore, RewardAfter and any other key
	Best    *Best              // nil: the policy is that of the last step
	Stop    *Stop              // nil: all steps were made
}

// Finish merges the parts of every table into <table>.parquet, marks the run done, or stopped, and gives the folder free. The bytes
// of a table depend on its rows alone. A Finish that dies half way is repeated by Open and Finish: parts go only after
// the manifest lists what replaces them. A stopped run keeps its parts as they were committed, so that Open can go on from there, without
// what was written for its end.
func (r *Run) Finish(e End) error {
	if r.lock == nil || r.m.Status.Complete() {
		return fmt.Errorf("finish %s: the run is closed or done already", r.dir)
	}
	parts := slices.Concat(r.m.Parts, r.pending)
	var tables []File
	for _, merge := range []func(*Run, []File) ([]File, error){
		merge[Metrics], merge[Slice], merge[Completion], merge[Eval], merge[Timing],
	} {
		merged, err := merge(r, parts)
		if err != nil {
			return fmt.Errorf("finish %s: %w", r.dir, err)
		}
		tables = append(tables, merged...)
	}
	before := r.m
	r.m.Tables, r.m.Summary, r.m.Best, r.m.Stop = tables, e.Summary, e.Best, e.Stop
	status, exit := Done, "done"
	if e.Stop == nil {
		r.m.Parts = []File{}
	} else {
		status, exit = Stopped, fmt.Sprintf("stopped at step %d: %s", e.Stop.Step, e.Stop.Rule)
	}
	r.m.Attempts = slices.Clone(r.m.Attempts)
	last := &r.m.Attempts[len(r.m.Attempts)-1]
	for _, f := range tables {
		last.ToStep = max(last.ToStep, f.LastStep)
	}
	if err := r.end(status, exit); err != nil {
		r.m = before
		return fmt.Errorf("finish: %w", err)
	}
	r.pending = nil
	if err := r.clean(); err != nil {
		return err
	}
	for _, sub := range []string{tmpDir, partsDir} {
		_ = os.Remove(filepath.Join(r.dir, sub)) // empty now, but for the parts of a stopped run; left behind it does no harm
	}
	return r.Close()
}

// merge writes one table from its parts, one part in memory at a time. No parts, no table.
func merge[R Row](r *Run, parts []File) ([]File, error) {
	parts = partsOf(Name[R](), parts)
	if len(parts) == 0 {
		return nil, nil
	}
	f := File{
		Table: Name[R](), Path: Name[R]() + ".parquet",
		FirstStep: parts[0].FirstStep, LastStep: parts[len(parts)-1].LastStep,
	}
	var err error
	f.Bytes, f.SHA256, err = replace(r.dir, filepath.Join(r.dir, f.Path), func(w io.Writer) error {
		e := newEncoder[R](w)
		for _, p := range parts {
			rows, err := readRows[R](r.dir, p)
			if err != nil {
				return err
			}
			if err := e.add(rows); err != nil {
				return err
			}
		}
		f.Rows = e.rows
		return e.close()
	})
	if err != nil {
		return nil, err
	}
	return []File{f}, nil
}

// partsOf picks the files of one table, in order of step.
func partsOf(table string, files []File) []File {
	var of []File
	for _, f := range files {
		if f.Table == table {
			of = append(of, f)
		}
	}
	slices.SortFunc(of, func(a, b File) int { return cmp.Compare(a.FirstStep, b.FirstStep) })
	return of
}
