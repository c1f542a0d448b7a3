package report

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// resamples of the bootstrap. 10,000 leave a Monte-Carlo error of about 2 % of the half-width.
const resamples = 10_000

// Interval is a 95 % confidence interval.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// bootstrap is the percentile bootstrap interval for the mean of one value an example, mostly the paired difference of two runs:
// examples are drawn again with replacement, and the interval spans the middle 95 % of the means so found. It carries
// the noise of the choice of examples and nothing else; with one seed a side, the noise of training is not in it.
//
// It returns nil where resampling cannot show any spread: fewer than two examples, or values that are all equal.
// The key seeds the generator, so equal inputs give equal digits.
func bootstrap(values []float64, key string) *Interval {
	if len(values) < 2 || slices.Min(values) == slices.Max(values) {
		return nil
	}
	sum := sha256.Sum256([]byte(key))
	rng := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])))
	means := make([]float64, resamples)
	for i := range means {
		total := 0.0
		for range values {
			total += values[rng.IntN(len(values))]
		}
		means[i] = total / float64(len(values))
	}
	slices.Sort(means)
	const tail = resamples * 25 / 1000
	return &Interval{Low: means[tail], High: means[resamples-1-tail]}
}
