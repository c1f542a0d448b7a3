package report

import (
	"fmt"
	"math"
	"slices"

	"mixr/runtime/table"
)

// Metrics are the columns of table eval that can be compared; the first is the default.
var Metrics = []string{"reward", "correct", "parsed", "format", "matching", "chart", "iou", "bmas", "text", "overlong", "repetition"}

// measure puts a metric in the place of the reward, and leaves out the rows in which it is null, NaN or infinite. mixr writes no such
// reward, others may.
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
	case "text":
		of = func(r *table.Eval) *float64 { return r.Text }
	case "overlong":
		of = func(r *table.Eval) *float64 { return r.Overlong }
	case "repetition":
		of = func(r *table.Eval) *float64 { return r.Repetition }
	}
	kept = slices.Clone(rows)
	n := 0
	for _, r := range kept {
		if x := finite(of(&r)); x != nil {
			kept[n], kept[n].Reward = r, *x
			n++
		}
	}
	return kept[:n], len(rows) - n
}

// without says how many rows measure left out.
func without(left int, metric string) string {
	return fmt.Sprintf("%s left out: %s is null, NaN or infinite there", count(left, "completion"), metric)
}

// finite is x, or nil where it is no number that can be drawn or added.
func finite(x *float64) *float64 {
	if x == nil || math.IsNaN(*x) || math.IsInf(*x, 0) {
		return nil
	}
	return x
}
