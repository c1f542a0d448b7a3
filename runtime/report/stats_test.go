package report

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		up, down int
		want     float64 // two-sided binomial, four digits
	}{
		{12, 4, 0.0768}, {4, 12, 0.0768}, {5, 0, 0.0625}, {6, 0, 0.03125}, {10, 2, 0.03857}, {250, 200, 0.02079},
		{0, 0, 1}, {1, 0, 1}, {1, 1, 1}, {3, 3, 1}, {4, 3, 1},
	} {
		if got := mcnemar(c.up, c.down); math.Abs(got-c.want) > 5e-5 {
			t.Errorf("(%d, %d): %.5f, want %.5f", c.up, c.down, got, c.want)
		}
	}
}

// TestBootstrapNormal: for many examples the interval is that of the normal theory, mean +- 1.96 s / sqrt(n).
func TestBootstrapNormal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	d := make([]float64, 2000)
	mean, sq := 0.0, 0.0
	for i := range d {
		d[i] = 0.3 + 2*rng.NormFloat64()
		mean += d[i] / float64(len(d))
	}
	for _, x := range d {
		sq += (x - mean) * (x - mean)
	}
	half := 1.96 * math.Sqrt(sq/float64(len(d)-1)/float64(len(d)))
	got := bootstrap(d, "key")
	// 10,000 resamples place a 2.5 % quantile to about 2 % of the half-width; 5 % is beyond any seed tried.
	if math.Abs(got.Low-(mean-half)) > 0.05*half || math.Abs(got.High-(mean+half)) > 0.05*half {
		t.Errorf("got %+v, want %g +- %g", *got, mean, half)
	}
	got = bootstrap(d[:400], "key") // few enough to be drawn
	if again := bootstrap(d[:400], "key"); *again != *got {
		t.Error("equal inputs, other digits")
	}
	if other := bootstrap(d[:400], "another key"); *other == *got {
		t.Error("the key is not used")
	}
}

// TestBootstrapCoverage draws 150 samples of 60 right/wrong differences whose true mean is 0.1: about 95 of 100
// intervals hold it. The bound is four standard errors of that share; the percentile bootstrap runs a little low.
func TestBootstrapCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("150 bootstraps")
	}
	rng := rand.New(rand.NewPCG(2, 2))
	const rounds = 150
	held := 0
	for range rounds {
		d := make([]float64, 60)
		for i := range d {
			switch u := rng.Float64(); {
			case u < 0.25:
				d[i] = 1
			case u < 0.40:
				d[i] = -1
			}
		}
		if iv := bootstrap(d, "k"); iv.Low <= 0.1 && 0.1 <= iv.High {
			held++
		}
	}
	if share := float64(held) / rounds; share < 0.88 || share > 0.99 {
		t.Errorf("%.3f of the intervals hold the true mean", share)
	}
}

func TestBootstrapNoSpread(t *testing.T) {
	for name, d := range map[string][]float64{"none": nil, "one": {1}, "all zero": {0, 0, 0}, "all equal": {0.5, 0.5}} {
		if iv := bootstrap(d, "k"); iv != nil {
			t.Errorf("%s: %+v", name, *iv)
		}
	}
}

// TestOneSeedMisleads shows why a comparison of two single runs claims nothing: two equal variants whose accuracy moves
// by 2 points from seed to seed are told apart far more often than 5 times in 100.
func TestOneSeedMisleads(t *testing.T) {
	if testing.Short() {
		t.Skip("120 bootstraps")
	}
	rng := rand.New(rand.NewPCG(3, 3))
	const rounds, items = 120, 500
	apart := 0
	for range rounds {
		seedA, seedB := 0.02*rng.NormFloat64(), 0.02*rng.NormFloat64()
		d := make([]float64, items)
		for i := range d {
			// Accuracy of an item between 0.2 and 0.8, shifted by the seed.
			p := 0.2 + 0.6*rng.Float64()
			if rng.Float64() < p+seedB {
				d[i]++
			}
			if rng.Float64() < p+seedA {
				d[i]--
			}
		}
		if iv := bootstrap(d, "k"); iv != nil && (iv.Low > 0 || iv.High < 0) {
			apart++
		}
	}
	share := float64(apart) / rounds
	t.Logf("%.1f %% of equal pairs told apart", 100*share)
	if share < 0.08 {
		t.Errorf("only %.3f: the note about one seed would be wrong", share)
	}
}
