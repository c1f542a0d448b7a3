package grpo

import (
	"fmt"
	"math"
	"slices"
)

// Scale says what centred rewards are divided by.
type Scale string

const (
	ScaleGroup Scale = "group" // std of the row's own group
	ScaleBatch Scale = "batch" // std of all totals of the batch (of R, not of A); centring stays per group
	ScaleNone  Scale = "none"  // nothing
	// ScaleTask divides by a running std of the totals of the row's task, see Running. EMA-GRPO (arXiv 2512.03043) is so, with
	// a floor for the std and a fallback to that of the group where |A| > 5, neither of which is here.
	ScaleTask Scale = "task"
)

// Baseline is what rewards are centred on.
type Baseline string

const (
	MeanBaseline Baseline = "mean" // of the group's valid rows
	// LeaveOneOut is the mean of the group's other valid rows (RLOO, arXiv 2402.14740), so that it does not depend on the
	// row: n/(n-1) times the distance from the mean of all n. The std stays that of all; NeMo-RL leaves the row out there too.
	LeaveOneOut Baseline = "leave_one_out"
)

// Std is the estimator of the standard deviation.
type Std string

const (
	StdSample     Std = "sample"     // divisor n-1
	StdPopulation Std = "population" // divisor n
)

// Combine is the order in which several reward components become one advantage.
type Combine string

const (
	// SumThenNormalize adds the weighted components of a row, then normalises the totals.
	SumThenNormalize Combine = "sum_then_normalize"
	// NormalizeThenSum normalises each component inside its group, adds the weighted results and normalises the sums
	// over the batch (GDPO, arXiv 2601.05242). Scale must be empty: the rule has its own; and leaving one out would only
	// multiply what the batch normalises anyway.
	NormalizeThenSum Combine = "normalize_then_sum"
)

// Advantage says how rewards become advantages. There are no defaults: an empty field is an error, but for Combine
// (empty = SumThenNormalize) and Baseline (empty = MeanBaseline).
type Advantage struct {
	GroupSize int // G: rows come in groups of G consecutive rows
	Baseline  Baseline
	Combine   Combine
	Scale     Scale
	Std       Std     // of groups and batches; ScaleTask is of the population always
	StdEps    float64 // added to the std; 1e-4 in TRL. 0 is allowed

	// The rest is read by ScaleTask alone.
	TaskDecay float64  // share of the past that each batch leaves, 0 <= TaskDecay < 1; 0.99 in EMA-GRPO
	Tasks     []string // of each group
	Running   Running  // before this batch; nil at the start of a run
}

// GroupStat describes the totals of one group.
type GroupStat struct {
	Valid     int     // rows with a total; Mean needs 1, Std needs 2, and both are 0 where undefined
	Mean, Std float64 // of the valid totals
	// Flat says that no two rows differ in what is centred, the total or the sum of NormalizeThenSum: nothing to learn from
	// the group. Fewer than two valid rows are flat.
	Flat bool
}

// Advantaged is the outcome for one batch of N rows.
type Advantaged struct {
	Total     []*float64 // [N] weighted sum of the components that apply; nil = unscorable row
	Advantage []float64  // [N] finite; 0 where undefined
	Groups    []GroupStat
	Running   Running // after this batch; nil but for ScaleTask
}

// Advantages turns rewards into advantages.
//
// rewards [N][K] holds K components a row, nil where a component does not apply (which is not a reward of 0); weights
// [K] multiply them and are not renormalised where some are nil. Statistics ignore rows without a total. Then, with
// R the totals, b the baseline (mean_g, or the mean of the group's others) and eps = StdEps,
//
//	group: A = (R - b) / (std_g + eps)     batch: A = (R - b) / (std_all + eps)     none: A = R - b
//	task:  A = (R - b) / (std_task + eps), std_task of the running moments with this batch in them
//
// and for NormalizeThenSum, per component k, z_k = (r_k - mean_gk)/(std_gk + eps), S = sum of w_k z_k over defined z_k,
// A = (S - mean_all S)/(std_all S + eps).
//
// What a null component does: to a total, nothing, and a row with nulls alone has none: it counts in no mean and no std, and
// its A is 0. To NormalizeThenSum the same, component by component: a row without the component is left out of its mean
// and std, a component that fewer than two rows of a group have gives no z, and a row without any z has no S and A = 0. (TRL
// 1.9 counts a row whose components are all undefined in this way as S = 0, and so gives it an advantage from other groups.)
//
// A is 0 for unscorable rows, where a needed std is undefined (fewer than two valid rows), and, exactly, where all
// values agree: max = min is tested first, since the float64 mean of eight rewards of 0.1 is not 0.1 and eps = 0 would
// blow the difference up to |A| = 0.94.
func Advantages(rewards [][]*float64, weights []float64, o Advantage) (Advantaged, error) {
	if err := o.check(rewards, weights); err != nil {
		return Advantaged{}, err
	}
	out := Advantaged{Total: totals(rewards, weights), Advantage: make([]float64, len(rewards))}
	groups := groupSpans(len(rewards), o.GroupSize)
	centred := out.Total
	if o.Combine == NormalizeThenSum {
		centred = o.normalizedSums(rewards, weights, groups)
	}
	for _, g := range groups {
		s := o.spread(out.Total[g.lo:g.hi])
		out.Groups = append(out.Groups, GroupStat{s.n, s.mean, s.std, o.spread(centred[g.lo:g.hi]).flat})
	}
	all := o.spread(centred)
	if o.Combine == NormalizeThenSum {
		o.standardize(out.Advantage, centred, all, &all)
		return out, nil
	}
	if o.Scale == ScaleTask {
		out.Running = o.advance(out.Total, groups)
	}
	for i, g := range groups {
		own := o.spread(out.Total[g.lo:g.hi])
		by := &own
		switch o.Scale {
		case ScaleBatch:
			by = &all
		case ScaleNone:
			by = nil
		case ScaleTask:
			s := out.Running[o.Tasks[i]].spread()
			by = &s
		}
		o.standardize(out.Advantage[g.lo:g.hi], out.Total[g.lo:g.hi], own, by)
	}
	return out, nil
}

func (o Advantage) check(rewards [][]*float64, weights []float64) error {
	if o.GroupSize < 1 || len(rewards)%o.GroupSize != 0 {
		return fmt.Errorf("advantages: %d rows do not divide into groups of %d", len(rewards), o.GroupSize)
	}
	if o.Std != StdSample && o.Std != StdPopulation {
		return fmt.Errorf("advantages: std: got %q, want %q or %q", o.Std, StdSample, StdPopulation)
	}
	if !(o.StdEps >= 0) || math.IsInf(o.StdEps, 1) {
		return fmt.Errorf("advantages: std_eps: got %v, want a finite value >= 0", o.StdEps)
	}
	if o.Baseline != "" && o.Baseline != MeanBaseline && o.Baseline != LeaveOneOut {
		return fmt.Errorf("advantages: baseline: got %q, want %q or %q", o.Baseline, MeanBaseline, LeaveOneOut)
	}
	switch o.Combine {
	case "", SumThenNormalize:
		if !slices.Contains([]Scale{ScaleGroup, ScaleBatch, ScaleNone, ScaleTask}, o.Scale) {
			return fmt.Errorf("advantages: scale: got %q, want %q, %q, %q or %q", o.Scale, ScaleGroup, ScaleBatch, ScaleNone, ScaleTask)
		}
	case NormalizeThenSum:
		if o.Scale != "" {
			return fmt.Errorf("advantages: scale: got %q, but %s has its own scale; leave it empty", o.Scale, o.Combine)
		}
		if o.Baseline == LeaveOneOut {
			return fmt.Errorf("advantages: baseline: got %q, which %s would divide away again; leave it empty", o.Baseline, o.Combine)
		}
	default:
		return fmt.Errorf("advantages: combine: got %q, want %q or %q", o.Combine, SumThenNormalize, NormalizeThenSum)
	}
	if o.Scale == ScaleTask {
		if !(o.TaskDecay >= 0 && o.TaskDecay < 1) {
			return fmt.Errorf("advantages: task_decay: got %v, want a value of 0 to below 1", o.TaskDecay)
		}
		if n := len(rewards) / o.GroupSize; len(o.Tasks) != n {
			return fmt.Errorf("advantages: %d groups, but %d tasks", n, len(o.Tasks))
		}
	}
	for i, row := range rewards {
		if len(row) != len(weights) {
			return fmt.Errorf("advantages: row %d has %d components, want one for each of the %d weights", i, len(row), len(weights))
		}
		for k, r := range row {
			if r != nil && (math.IsNaN(*r) || math.IsInf(*r, 0)) {
				return fmt.Errorf("advantages: row %d component %d is %v; a reward that does not apply is nil", i, k, *r)
			}
		}
	}
	return nil
}

// totals returns the weighted sum of the components that apply, nil for a row without any.
func totals(rewards [][]*float64, weights []float64) []*float64 {
	out := make([]*float64, len(rewards))
	for i, row := range rewards {
		for k, r := range row {
			if r == nil {
				continue
			}
			if out[i] == nil {
				out[i] = new(float64)
			}
			*out[i] += float64(weights[k] * *r)
		}
	}
	return out
}

// normalizedSums returns S of NormalizeThenSum, nil for a row that has no normalised component.
func (o Advantage) normalizedSums(rewards [][]*float64, weights []float64, groups []span) []*float64 {
	sums := make([]*float64, len(rewards))
	for _, g := range groups {
		for k, w := range weights {
			column := make([]*float64, g.hi-g.lo)
			for i := range column {
				column[i] = rewards[g.lo+i][k]
			}
			s := o.spread(column)
			if s.n < 2 {
				continue
			}
			z := make([]float64, len(column))
			o.standardize(z, column, s, &s)
			for i, r := range column {
				if r == nil {
					continue
				}
				if sums[g.lo+i] == nil {
					sums[g.lo+i] = new(float64)
				}
				*sums[g.lo+i] += float64(w * z[i])
			}
		}
	}
	return sums
}
