package report

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
)

// interquartileMean is the mean of the middle half: a quarter of the values, rounded down, is left out at either end (the 25 %
// trimmed mean of Agarwal et al., arXiv 2108.13264). One task that went wrong, or one that is solved, moves it little.
func interquartileMean(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := sorted[len(sorted)/4 : len(sorted)-len(sorted)/4]
	sum := 0.0
	for _, x := range middle {
		sum += x
	}
	return sum / float64(len(middle))
}

// resampleTwoLevels is the percentile interval of a statistic of task means, x[task][seed][example]: seeds are drawn again, then the
// examples of each task, the same for all seeds (Owen and Eckles, arXiv 1106.2125: product resampling). For statistics that are no
// means and have no closed form. It is nil with fewer than two seeds, and where nothing varies.
func resampleTwoLevels(x [][][]float64, statistic func([]float64) float64, key string) *Interval {
	const draws = 2000 // a Monte-Carlo error of about 5 % of the half-width
	if len(x) == 0 || len(x[0]) < 2 {
		return nil
	}
	rng := keyed(key)
	found := make([]float64, draws)
	numSeeds := len(x[0])
	seeds := make([]int, numSeeds)
	for r := range found {
		for s := range seeds {
			seeds[s] = rng.IntN(numSeeds)
		}
		var scores []float64 // of every task and drawn seed
		for _, task := range x {
			n := len(task[0])
			counts := make([]float64, n)
			for range n {
				counts[rng.IntN(n)]++
			}
			for _, s := range seeds {
				sum := 0.0
				for i, c := range counts {
					sum += c * task[s][i]
				}
				scores = append(scores, sum/float64(n))
			}
		}
		found[r] = statistic(scores)
	}
	slices.Sort(found)
	if found[0] == found[draws-1] || math.IsNaN(found[0]) {
		return nil
	}
	const tail = draws * 25 / 1000
	return &Interval{Low: found[tail], High: found[draws-1-tail]}
}

// keyed is a generator seeded by a text, so that equal inputs give equal digits.
func keyed(key string) *rand.Rand {
	sum := sha256.Sum256([]byte(key))
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])))
}
