package report

import (
	"math"
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
//
// From manyExamples on, the means are so nearly normal that their quantiles are computed; where they are not, because few values
// differ from the rest, only those are drawn. Both keep a comparison of 5,000 examples in milliseconds.
func bootstrap(values []float64, key string) *Interval {
	if len(values) < 2 || slices.Min(values) == slices.Max(values) {
		return nil
	}
	const manyExamples = 500
	if len(values) < manyExamples {
		return middle(resampled(values, keyed(key)))
	}
	if interval, ok := expansion(values); ok {
		return interval
	}
	return middle(resampledFew(values, keyed(key)))
}

// middle is the span of the middle 95 % of the means of all resamples.
func middle(means []float64) *Interval {
	slices.Sort(means)
	const tail = resamples * 25 / 1000
	return &Interval{Low: means[tail], High: means[resamples-1-tail]}
}

func resampled(values []float64, rng *rand.Rand) []float64 {
	means := make([]float64, resamples)
	for i := range means {
		total := 0.0
		for range values {
			total += values[rng.IntN(len(values))]
		}
		means[i] = total / float64(len(values))
	}
	return means
}

// expansion is the interval that very many resamples would give, by the Cornish-Fisher expansion of the mean's quantiles: the error
// is of the order n^-1.5. It is not ok where the mean is too skewed for it.
func expansion(values []float64) (interval *Interval, ok bool) {
	n := float64(len(values))
	mean := 0.0
	for _, x := range values {
		mean += x / n
	}
	var m2, m3, m4 float64
	for _, x := range values {
		d := x - mean
		m2 += d * d / n
		m3 += d * d * d / n
		m4 += d * d * d * d / n
	}
	skew := m3 / math.Pow(m2, 1.5) / math.Sqrt(n)
	kurtosis := (m4/(m2*m2) - 3) / n
	// At these bounds the ends are within 1 % of the half-width of those of a million resamples.
	if math.Abs(skew) > 0.1 || math.Abs(kurtosis) > 0.1 {
		return nil, false
	}
	end := func(z float64) float64 {
		w := z + (z*z-1)*skew/6 + (z*z*z-3*z)*kurtosis/24 - (2*z*z*z-5*z)*skew*skew/36
		return mean + w*math.Sqrt(m2/n)
	}
	const z = 1.959963984540054
	return &Interval{Low: end(-z), High: end(z)}, true
}

// resampledFew is resampled for values most of which are equal: it leaps from one draw that hits another value to the next, a
// geometric number of draws away.
func resampledFew(values []float64, rng *rand.Rand) []float64 {
	counts := map[float64]int{}
	usual := values[0]
	for _, x := range values {
		counts[x]++
		if counts[x] > counts[usual] || counts[x] == counts[usual] && x < usual {
			usual = x
		}
	}
	var others []float64 // what they add to the usual value
	for _, x := range values {
		if x != usual {
			others = append(others, x-usual)
		}
	}
	n := float64(len(values))
	miss := math.Log1p(-float64(len(others)) / n)
	means := make([]float64, resamples)
	for i := range means {
		total := 0.0
		for at := math.Floor(math.Log(1-rng.Float64()) / miss); at < n; at += 1 + math.Floor(math.Log(1-rng.Float64())/miss) {
			total += others[rng.IntN(len(others))]
		}
		means[i] = usual + total/n
	}
	return means
}
