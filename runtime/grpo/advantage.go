package grpo

import (
	"fmt"
	"math"
)

// Scale says what centred rewards are divided by.
type Scale string

const (
	ScaleGroup Scale = "group" // std of the row's own group
	ScaleBatch Scale = "batch" // std of all totals of the batch (of R, not of A); centring stays per group
	ScaleNone  Scale = "none"  // nothing
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
	// over the batch (GDPO, arXiv 2601.05242). Scale must be empty: the rule has its own.
	NormalizeThenSum Combine = "normalize_then_sum"
)

// Advantage says how rewards become advantages. There are no defaults: an empty field is an error, but for Combine
// (empty = SumThenNormalize).
type Advantage struct {
	GroupSize int // G: rows come in groups of G consecutive rows
	Combine   Combine
	Scale     Scale
	Std       Std
	StdEps    float64 // added to the std; 1e-4 in TRL. 0 is allowed

	// LoneAsZero matters to NormalizeThenSum only: a row with rewards none of which can be normalised (it is the only
	// valid row for each of them) counts as sum 0, as in TRL 1.9, and so gets an advantage from other groups' rewards.
	// The default treats it as unscorable.
	LoneAsZero bool
}

// GroupStat describes the totals of one group.
type GroupStat struct {
	Valid      int     // rows with a total; Mean needs 1, Std needs 2, and both are 0 where undefined
	Mean, Std  float64 // of the valid totals
	ZeroSpread bool    // two or more valid rows, all equal: nothing to learn from this group
}

// Advantaged is the outcome for one batch of N rows.
type Advantaged struct {
	Total     []*float64 // [N] weighted sum of the components that apply; nil = unscorable row
	Advantage []float64  // [N] finite; 0 where undefined
	Groups    []GroupStat
	// ZeroStdShare is the share of rows whose std is defined and at most 1e-8: the group's under scale group and none,
	// the batch's under scale batch and NormalizeThenSum.
	ZeroStdShare float64
}

// zeroStd is the threshold of ZeroStdShare, that of TRL's logged frac_reward_zero_std.
const zeroStd = 1e-8

// Advantages turns rewards into advantages.
//
// rewards [N][K] holds K components a row, nil where a component does not apply (which is not a reward of 0); weights
// [K] multiply them and are not renormalised where some are nil. Statistics ignore rows without a total. Then, with
// R the totals and eps = StdEps,
//
//	group: A = (R - mean_g) / (std_g + eps)     batch: A = (R - mean_g) / (std_all + eps)     none: A = R - mean_g
//
// and for NormalizeThenSum, per component k, z_k = (r_k - mean_gk)/(std_gk + eps), S = sum of w_k z_k over defined z_k,
// A = (S - mean_all S)/(std_all S + eps).
//
// A is 0 for unscorable rows, where a needed std is undefined (fewer than two valid rows), and, exactly, where all
// values agree: max = min is tested first, since the float64 mean of eight rewards of 0.1 is not 0.1 and eps = 0 would
// blow the difference up to |A| = 0.94.
func Advantages(rewards [][]*float64, weights []float64, o Advantage) (Advantaged, error) {
	if err := o.check(rewards, weights); err != nil {
		return Advantaged{}, err
	}
	out := Advantaged{Total: totals(rewards, weights)}
	groups := groupSpans(len(rewards), o.GroupSize)
	spreads := make([]spread, len(groups))
	for i, g := range groups {
		spreads[i] = o.spread(out.Total[g.lo:g.hi])
		s := spreads[i]
		out.Groups = append(out.Groups, GroupStat{s.n, s.mean, s.std, s.flat && s.n >= 2})
	}
	switch {
	case o.Combine == NormalizeThenSum:
		sums := o.normalizedSums(rewards, weights, groups)
		all := o.spread(sums)
		out.Advantage = make([]float64, len(sums))
		o.standardize(out.Advantage, sums, all, &all)
		out.ZeroStdShare = zeroShare([]spread{all})
	default:
		out.Advantage = make([]float64, len(rewards))
		all := o.spread(out.Total)
		for i, g := range groups {
			by := &spreads[i]
			switch o.Scale {
			case ScaleBatch:
				by = &all
			case ScaleNone:
				by = nil
			}
			o.standardize(out.Advantage[g.lo:g.hi], out.Total[g.lo:g.hi], spreads[i], by)
		}
		out.ZeroStdShare = zeroShare(spreads)
		if o.Scale == ScaleBatch {
			out.ZeroStdShare = zeroShare([]spread{all})
		}
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
	switch o.Combine {
	case "", SumThenNormalize:
		if o.Scale != ScaleGroup && o.Scale != ScaleBatch && o.Scale != ScaleNone {
			return fmt.Errorf("advantages: scale: got %q, want %q, %q or %q", o.Scale, ScaleGroup, ScaleBatch, ScaleNone)
		}
	case NormalizeThenSum:
		if o.Scale != "" {
			return fmt.Errorf("advantages: scale: got %q, but %s has its own scale; leave it empty", o.Scale, o.Combine)
		}
	default:
		return fmt.Errorf("advantages: combine: got %q, want %q or %q", o.Combine, SumThenNormalize, NormalizeThenSum)
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
	if o.LoneAsZero {
		for i, row := range rewards {
			for _, r := range row {
				if r != nil {
					sums[i] = new(float64)
				}
			}
		}
	}
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

// standardize writes (x - center.mean)/(by.std + eps) to dst, 0 where x is nil, flat or without a defined std. A nil by
// divides by nothing.
func (o Advantage) standardize(dst []float64, x []*float64, center spread, by *spread) {
	if center.flat || by != nil && (by.n < 2 || by.flat) {
		return
	}
	divisor := 1.0
	if by != nil {
		divisor = by.std + o.StdEps
	}
	for i, v := range x {
		if v != nil {
			dst[i] = (*v - center.mean) / divisor
		}
	}
}

type span struct{ lo, hi int }

func groupSpans(n, size int) []span {
	var out []span
	for lo := 0; lo < n; lo += size {
		out = append(out, span{lo, lo + size})
	}
	return out
}

// spread summarises the non-nil values of a slice; std is 0 and meaningless below two values.
type spread struct {
	n         int
	mean, std float64
	flat      bool // no two values differ (also when there are none)
}

func (o Advantage) spread(x []*float64) spread {
	s := spread{flat: true}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range x {
		if v != nil {
			s.n++
			s.mean += *v
			lo, hi = min(lo, *v), max(hi, *v)
		}
	}
	if s.n == 0 {
		return s
	}
	s.flat = lo == hi
	if s.flat {
		s.mean = lo // exact, where the quotient may round
		return s
	}
	s.mean /= float64(s.n)
	for _, v := range x {
		if v != nil {
			d := *v - s.mean
			s.std += float64(d * d)
		}
	}
	n := float64(s.n)
	if o.Std == StdSample {
		n--
	}
	s.std = math.Sqrt(s.std / n)
	return s
}

// zeroShare weighs spreads equally: they cover equal numbers of rows.
func zeroShare(spreads []spread) float64 {
	n := 0
	for _, s := range spreads {
		if s.n >= 2 && s.std <= zeroStd {
			n++
		}
	}
	return float64(n) / float64(max(1, len(spreads)))
}
