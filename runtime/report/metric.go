package report

import (
	"math"
	"slices"

	"mixr/runtime/table"
)

// Metrics are the columns of table eval that can be compared; the first is the default.
var Metrics = []string{"reward", "correct", "parsed", "format", "matching", "chart", "iou", "bmas"}

// measure puts a metric in the place of the reward, and leaves out the rows in which it is null or not finite.
func measure(rows []table.Eval, metric string) (kept []table.Eval, left int) {
	of := func(r *table.Eval) *float64 { return &r.Reward }
	switch metric {
	case "correct":
		of = func(r *table.Eval) *float64 { return share(r.Correct) }
	case "parsed":
		of = func(r *table.Eval) *float64 { return share(&r.Parsed) }
	case "format":
		of = func(r *table.Eval) *float64 { return r.Format }
	case "matching":
		of = func(r *table.Eval) *float64 { return r.Matching }
	case "chart":
		of = func(r *table.Eval) *float64 { return r.Chart }
	case "iou":
		of = func(r *table.Eval) *float64 { return r.IoU }
	case "bmas":
		of = func(r *table.Eval) *float64 { return r.BMAS }
	}
	kept = slices.Clone(rows)
	n := 0
	for _, r := range kept {
		if x := of(&r); x != nil && !math.IsNaN(*x) && !math.IsInf(*x, 0) {
			kept[n], kept[n].Reward = r, *x
			n++
		}
	}
	return kept[:n], len(rows) - n
}
