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

// Finish merges the parts of every table into <table>.parquet, marks the run done and gives the folder free. The bytes
// of a table depend on its rows alone. A Finish that dies half way is repeated by Open and Finish: parts go only after
// the manifest lists what replaces them. Summary holds numbers for listings, under RewardBefore, RewardAfter and any
// other key.
func (r *Run) Finish(summary map[string]float64) error {
	if r.lock == nil || r.m.Status == Done {
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
	r.m.Parts, r.m.Tables, r.m.Summary = []File{}, tables, summary
	r.m.Attempts = slices.Clone(r.m.Attempts)
	last := &r.m.Attempts[len(r.m.Attempts)-1]
	for _, f := range tables {
		last.ToStep = max(last.ToStep, f.LastStep)
	}
	if err := r.end(Done, "done"); err != nil {
		r.m = before
		return fmt.Errorf("finish: %w", err)
	}
	r.pending = nil
	if err := r.clean(); err != nil {
		return err
	}
	for _, sub := range []string{tmpDir, partsDir} {
		_ = os.Remove(filepath.Join(r.dir, sub)) // empty now; left behind it does no harm
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
