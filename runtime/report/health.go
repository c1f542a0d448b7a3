package report

import (
	"slices"

	"mixr/runtime/monitor"
	"mixr/runtime/table"
)

// Finding is what a health monitor found in a run, from the step at which it began to the last one at which it was there.
type Finding struct {
	Monitor string  `json:"monitor"`
	Where   string  `json:"where,omitempty"` // TASK/SOURCE; empty: the whole step
	From    int32   `json:"from"`
	To      int32   `json:"to"`
	Steps   int     `json:"steps"` // at which it was there
	Value   float64 `json:"value"` // at step To
	Text    string  `json:"text"`
}

// findings reads them from a run's metrics, in order of their first step; nil where no step was looked at (sft, runs of older versions).
func findings(rows []table.Metrics) []Finding {
	var out []Finding
	for _, m := range rows {
		if m.Alerts == nil {
			continue
		}
		if out == nil {
			out = []Finding{}
		}
		for i, name := range m.Alerts[:min(len(m.Alerts), len(m.AlertSince), len(m.AlertValue))] {
			f := monitor.Named(name)
			f.Since, f.Step, f.Value = int(m.AlertSince[i]), int(m.Step), m.AlertValue[i]
			at := slices.IndexFunc(out, func(o Finding) bool {
				return o.Monitor == f.Monitor && o.Where == f.Where() && o.From == m.AlertSince[i]
			})
			if at < 0 {
				out = append(out, Finding{Monitor: f.Monitor, Where: f.Where(), From: m.AlertSince[i]})
				at = len(out) - 1
			}
			o := &out[at]
			o.To, o.Value, o.Text = m.Step, f.Value, f.Text()
			o.Steps++
		}
	}
	return out
}
