package cli

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mixr/runtime/report"
	"mixr/runtime/table"
)

// fewestDigits is how much of a fingerprint names a run.
const fewestDigits = 4

// findRun returns the folder of the run that a name means: a folder, a folder's name in results, a trial, the beginning of a
// folder's name, or that of a fingerprint; the first of these that fits.
func (a *app) findRun(name string) (string, error) {
	if _, err := table.ReadManifest(name); err == nil {
		return filepath.Clean(name), nil
	} else if strings.ContainsRune(name, filepath.Separator) && isDir(name) {
		return "", usageError{err}
	}
	runs, err := report.List(a.machine.Results)
	if err != nil {
		return "", err
	}
	for _, fits := range []func(report.Listing) bool{
		func(r report.Listing) bool { return filepath.Base(r.Dir) == name },
		func(r report.Listing) bool { return strings.HasSuffix("/"+trialOf(r), "/"+name) },
		func(r report.Listing) bool { return strings.HasPrefix(filepath.Base(r.Dir), name) },
		func(r report.Listing) bool {
			return len(name) >= fewestDigits && strings.HasPrefix(r.Fingerprint, name)
		},
	} {
		found := slices.DeleteFunc(slices.Clone(runs), func(r report.Listing) bool { return !fits(r) })
		switch {
		case len(found) == 1:
			return found[0].Dir, nil
		case len(found) > 1:
			return "", ambiguous(name, found)
		}
	}
	if len(runs) == 0 {
		return "", usagef("no run %q: there are no runs in %s", name, a.machine.Results)
	}
	var names []string
	for _, r := range runs {
		names = append(names, filepath.Base(r.Dir), trialOf(r))
	}
	return "", usagef("no run %q in %s%s; mixr ls lists them", name, a.machine.Results, didYouMean(nearest(name, names)))
}

// trialOf is the name of a run's trial; that of an experiment which is no study's is the experiment's.
func trialOf(r report.Listing) string { return cmp.Or(r.Trial, r.Name) }

// ambiguous says which runs a name fits, newest first.
func ambiguous(name string, found []report.Listing) error {
	var rows [][]string
	for _, r := range found {
		rows = append(rows, []string{" ", filepath.Base(r.Dir), trialOf(r), r.State, r.Start.Local().Format("2006-01-02 15:04")})
	}
	var text strings.Builder
	if err := columns(&text, rows); err != nil {
		return err
	}
	return usagef("%q fits %s; name one of\n%s", name, counted(len(found), "run"), strings.TrimRight(text.String(), "\n"))
}

// runNames is how commands describe a run's name in their help.
const runNames = `A run is named by its folder, the folder's name in results, its trial, or the beginning of the
folder's name or of its fingerprint.`

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
