package grpo

import "math"

// standardize writes (x - baseline of center)/(by.std + eps) to dst, 0 where x is nil, flat or without a defined std. A nil
// by divides by nothing.
func (o Advantage) standardize(dst []float64, x []*float64, center spread, by *spread) {
	if center.flat || by != nil && (by.n < 2 || by.flat) {
		return
	}
	divisor := 1.0
	if by != nil {
		divisor = by.std + o.StdEps
	}
	if o.Baseline == LeaveOneOut {
		divisor *= float64(center.n-1) / float64(center.n) // R - (n mean - R)/(n-1) = (R - mean) n/(n-1)
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
