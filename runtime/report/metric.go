package report

import (
	"fmt"
	"math"
	"slices"

	"mixr/runtime/table"
)

// Metrics are what can be compared of evaluations, beside pass@K for any K; the first is the default. Means of columns of table eval over
// the samples, but for greedy and greedy_correct: reward and correct of the greedy completion beside the samples (eval.greedy).
var Metrics = []string{"reward", "correct", "parsed", "format", "matching", "chart", "iou", "bmas", "text", "overlong", "repetition",
	greedy, greedyCorrect}

const (
	greedy        = "greedy"
	greedyCorrect = "greedy_correct"
)

// IsMetric reports whether a name is one of Metrics or pass@K.
func IsMetric(name string) bool {
	_, pass := passed(name)
	return pass || slices.Contains(Metrics, name)
}

// measure puts a metric of one evaluation in the place of the reward, and leaves out the rows in which it is null, NaN or infinite. mixr
// writes no such reward, others may. Rows of samples and those beside them never both stay: a metric is of the one or of the other.
func measure(rows []table.Eval, metric string) (kept []table.Eval, left int) {
	beside := metric == greedy || metric == greedyCorrect
	rows = slices.DeleteFunc(slices.Clone(rows), func(r table.Eval) bool { return r.Beside() != beside })
	if k, ok := passed(metric); ok {
		return measurePass(rows, k)
	}
	of := func(r *table.Eval) *float64 { return &r.Reward }
	switch metric {
	case "correct", greedyCorrect:
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
	for _, r := range rows {
		if x := finite(of(&r)); x != nil {
			r.Reward = *x
			kept = append(kept, r)
		}
	}
	return kept, len(rows) - len(kept)
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
