package train

import (
	"encoding/json"
	"math"

	"mixr/runtime/monitor"
	"mixr/runtime/table"
)

// record collects the table rows of one step. What is measured where: rewards, groups and completions in record_rollout.go, losses and
// all that belongs to updates in record_update.go, the rows by task and source in record_slices.go.
type record struct {
	metrics     table.Metrics
	slices      []table.Slice
	completions []table.Completion
	timing      table.Timing
	sealed      json.RawMessage // the engine's small state after the step

	updates updates     // sums over the updates so far
	table   *sliceTable // what becomes slices

	parts    []monitor.Part     // what the monitors see of the rollout
	measured []monitor.Gradient // and of the updates, where it was measured
	findings []monitor.Finding  // what they found
}

func newRecord(step int) *record {
	return &record{metrics: table.Metrics{Step: int32(step)}, timing: table.Timing{Step: int32(step)}, table: newSlices()}
}

// number is a nullable column's value; what is not finite is counted and left out.
func (r *record) number(x float64) *float64 { return table.Finite(x, &r.metrics.NumNonfinite) }

func average(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// deviation is the sample standard deviation (n-1).
func deviation(v []float64) float64 {
	m, sum := average(v), 0.0
	for _, x := range v {
		sum += float64((x - m) * (x - m))
	}
	return math.Sqrt(sum / float64(len(v)-1))
}
