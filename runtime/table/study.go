package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// StudyFormat is the version of a study's record; a reader refuses any other.
const StudyFormat = "mixr.study/1"

// Study is the record of a study: which run each of its trials has. A run's own manifest cannot say
// that: a trial that equals another, of this study or an older one, has that one's run.
type Study struct {
	Format string       `json:"format"`
	Name   string       `json:"name"`
	Rungs  []string     `json:"rungs"` // in the order of the ladder
	Trials []StudyTrial `json:"trials"`
}

// StudyTrial is one trial of a study.
type StudyTrial struct {
	Rung string `json:"rung"`
	Seed uint64 `json:"seed,string"`
	Run  string `json:"run"` // folder in the results folder; it need not be there yet
}

const studySuffix = ".study.json"

// studyPath is where the record of a study lies: beside the runs.
func studyPath(results, name string) string { return filepath.Join(results, name+studySuffix) }

// WriteStudy records trials of a study. With keep, trials that the record has and that are not among them stay in it: only some of the
// study ran.
func WriteStudy(results string, s Study, keep bool) error {
	if keep {
		old, err := ReadStudy(results, s.Name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		trials := old.Trials
		for _, t := range s.Trials {
			same := func(o StudyTrial) bool { return o.Rung == t.Rung && o.Seed == t.Seed }
			if i := slices.IndexFunc(trials, same); i >= 0 {
				trials[i] = t
			} else {
				trials = append(trials, t)
			}
		}
		s.Trials = trials
	}
	s.Format = StudyFormat
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("study: %w", err)
	}
	if err := renameio.WriteFile(studyPath(results, s.Name), append(text, '\n'), 0o644, renameio.WithTempDir(results)); err != nil {
		return fmt.Errorf("write study: %w", err)
	}
	return nil
}

// ReadStudy reads the record of a study; fs.ErrNotExist where there is none.
func ReadStudy(results, name string) (Study, error) {
	var s Study
	path := studyPath(results, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("read study: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w; delete it and run the study again: what is done is not run twice", path, err)
	}
	if s.Format != StudyFormat {
		return s, fmt.Errorf("%s: format is %q, this mixr reads %q", path, s.Format, StudyFormat)
	}
	for _, t := range s.Trials {
		if !filepath.IsLocal(t.Run) || filepath.Base(t.Run) != t.Run {
			return s, fmt.Errorf("%s: %q is not the name of a run folder", path, t.Run)
		}
	}
	return s, nil
}

// Studies are the names of the studies that have a record in a results folder.
func Studies(results string) (names []string) {
	found, err := filepath.Glob(studyPath(results, "*"))
	if err != nil { // the folder's name is a pattern of its own
		return nil
	}
	for _, path := range found {
		names = append(names, strings.TrimSuffix(filepath.Base(path), studySuffix))
	}
	return names
}
