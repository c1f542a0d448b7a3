package report

import "math"

// mcnemar is the exact two-sided McNemar test: the probability, if right and wrong were equally likely to change
// either way, of a split of the up + down changed examples at least as uneven as this one. Binomial(up+down, 1/2),
// twice the smaller tail, at most 1. Examples that did not change carry no information about it.
func mcnemar(up, down int) float64 {
	n, k := up+down, min(up, down)
	if 2*k >= n-1 { // an even split, or as even as an odd number allows: both tails together are everything
		return 1
	}
	p := 0.0
	for i := range k + 1 {
		p += math.Exp(logChoose(n, i) - float64(n)*math.Ln2)
	}
	return min(1, 2*p)
}

// logChoose is log(n choose k).
func logChoose(n, k int) float64 {
	lg := func(x int) float64 {
		v, _ := math.Lgamma(float64(x + 1))
		return v
	}
	return lg(n) - lg(k) - lg(n-k)
}
