package report

import (
	"errors"
	"io/fs"

	"mixr/runtime/profile"
	"mixr/runtime/table"
)

// Run is one run in full.
type Run struct {
	Listing
	Manifest table.Manifest `json:"manifest"`
	Holder   *table.Holder  `json:"holder,omitempty"` // the process that works on it now
	Gain     *Gain          `json:"gain"`             // null for a run of stage eval, which trains nothing
	Scores   *Evaluation    `json:"eval,omitempty"`   // of a run of stage eval
	Findings []Finding      `json:"findings"`         // of the health monitors; null where none looked
	Course   *Course        `json:"course,omitempty"` // of a run that evaluates on its way
	Curves   []Curve        `json:"curves"`
	Cost     Cost           `json:"cost"`

	Profile *profile.Profile `json:"profile,omitempty"` // of a run with --profile
}

// Curve is one column of table metrics over the steps. Curves that are null at every step are left out.
type Curve struct {
	Name   string     `json:"name"`
	Values []*float64 `json:"values"` // one a step; null where the table has null
}

// Cost sums up table timing over all attempts.
type Cost struct {
	WallS     float64 `json:"wall_s"`
	StepS     float64 `json:"step_s"`                // mean of wall_s
	TokPerS   float64 `json:"tok_per_s,omitempty"`   // mean over steps that have it
	HostPeakB int64   `json:"host_peak_b,omitempty"` // largest
}

// Show reads everything about one run.
func Show(dir string) (*Run, error) {
	m, err := table.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{Listing: listing(dir, m), Manifest: m, Curves: []Curve{}}
	if h, held := table.HeldBy(dir); held {
		r.Holder = &h
	}
	if m.Stage == evalStage {
		r.Scores, err = ReadEvaluation(dir)
	} else {
		r.Gain, err = ReadGain(dir)
	}
	if err != nil {
		return nil, err
	}
	if r.Course, err = readCourse(dir); err != nil {
		return nil, err
	}
	metrics, err := table.Read[table.Metrics](dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	r.Curves, r.Findings = curves(metrics), findings(metrics)
	timing, err := table.Read[table.Timing](dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	r.Cost = cost(timing)
	r.Profile, err = ReadProfile(dir)
	return r, err
}

func curves(rows []table.Metrics) []Curve {
	out := []Curve{}
	for _, c := range []struct {
		name string
		of   func(table.Metrics) *float64
	}{
		{"reward_mean", func(m table.Metrics) *float64 { return m.RewardMean }},
		{"format_mean", func(m table.Metrics) *float64 { return m.FormatMean }},
		{"group_std_mean", func(m table.Metrics) *float64 { return m.GroupStdMean }},
		{"zero_std_frac", func(m table.Metrics) *float64 { return m.ZeroStdFrac }},
		{"loss", func(m table.Metrics) *float64 { return m.Loss }},
		{"kl", func(m table.Metrics) *float64 { return m.KL }},
		{"entropy", func(m table.Metrics) *float64 { return m.Entropy }},
		{"grad_norm", func(m table.Metrics) *float64 { return m.GradNorm }},
		{"len_mean", func(m table.Metrics) *float64 { return m.LenMean }},
		{"trunc_frac", func(m table.Metrics) *float64 { return m.TruncFrac }},
		{"logp_gap_mean", func(m table.Metrics) *float64 { return m.LogpGapMean }},
		{"lr", func(m table.Metrics) *float64 { return &m.LR }},
	} {
		curve, seen := Curve{Name: c.name}, false
		for _, m := range rows {
			v := finite(c.of(m))
			seen = seen || v != nil
			curve.Values = append(curve.Values, v)
		}
		if seen {
			out = append(out, curve)
		}
	}
	return out
}

func cost(rows []table.Timing) Cost {
	var c Cost
	speeds := 0
	for _, t := range rows {
		if finite(&t.WallS) == nil || finite(t.TokPerS) == nil && t.TokPerS != nil {
			continue
		}
		c.WallS += t.WallS
		c.HostPeakB = max(c.HostPeakB, t.HostPeakB)
		if t.TokPerS != nil {
			c.TokPerS += *t.TokPerS
			speeds++
		}
	}
	if len(rows) > 0 {
		c.StepS = c.WallS / float64(len(rows))
	}
	if speeds > 0 {
		c.TokPerS /= float64(speeds)
	}
	return c
}
