package report

import (
	"errors"
	"io/fs"

	"mixr/runtime/table"
)

// Gain is what training changed within one run: the evaluation before (side A) against the one after (side B).
type Gain struct {
	Deltas    []Delta   `json:"deltas"`
	Others    []Other   `json:"others,omitempty"` // further metrics, over all examples that have them
	Unmatched Unmatched `json:"unmatched"`
	Warnings  []string  `json:"warnings,omitempty"`
}

// Other is a comparison by another metric than the reward, over all examples.
type Other struct {
	Metric string `json:"metric"`
	Delta
}

// Before and after, as the column "when" of table eval has them.
const (
	before = "before"
	after  = "after"
)

// evalStage is the stage of a run that evaluates once and trains nothing.
const evalStage = "eval"

// ReadGain compares the two evaluations of a run. A run without both, because it is still going or evaluates nothing,
// gives a Gain with no Deltas and a warning.
func ReadGain(dir string) (*Gain, error) {
	m, err := table.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	g := &Gain{}
	rows, err := table.Read[table.Eval](dir)
	if errors.Is(err, fs.ErrNotExist) {
		g.Warnings = []string{"no evaluation yet"}
		return g, nil
	}
	if err != nil {
		return nil, err
	}
	if len(at(rows, after)) == 0 {
		g.Warnings = []string{"no evaluation after training yet"}
		return g, nil
	}
	a, left := measure(at(rows, before), Metrics[0])
	b, more := measure(at(rows, after), Metrics[0])
	left += more
	examples, unmatched := match(a, b)
	g.Deltas, g.Unmatched = deltas(examples, m.Fingerprint["combined"]+"|gain"), unmatched
	g.Warnings = unmatched.warnings("before", "after")
	if left > 0 {
		g.Warnings = append(g.Warnings, without(left, Metrics[0]))
	}
	g.Warnings = append(g.Warnings, oneSeed)
	others, err := furtherMetrics(dir)
	if err != nil {
		return nil, err
	}
	for _, metric := range others {
		a, _ := measure(at(rows, before), metric)
		b, _ := measure(at(rows, after), metric)
		if examples, _ := match(a, b); len(examples) > 0 {
			g.Others = append(g.Others, Other{metric, compare("", "", examples, m.Fingerprint["combined"]+"|gain|"+metric)})
		}
	}
	return g, nil
}

// at picks the rows of one evaluation.
func at(rows []table.Eval, when string) []table.Eval {
	var of []table.Eval
	for _, r := range rows {
		if r.When == when {
			of = append(of, r)
		}
	}
	return of
}
