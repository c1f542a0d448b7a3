package report

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// TestStatisticsFixture compares with SciPy and statsmodels; bench/statistics_fixture.py wrote the file.
func TestStatisticsFixture(t *testing.T) {
	var want struct {
		McNemar []struct {
			Up, Down int
			P        float64
		}
		Student []struct{ T, DF, Tail, Limit float64 }
		Power   []struct{ DF, Effect, Power, Detectable float64 }
		Holm    []struct{ P, Adjusted []float64 }
		IQM     []struct {
			Values []float64
			Mean   float64
		}
		TwoLevel []struct {
			D                    [][]float64
			SE, DF, P, Low, High float64
		} `json:"two_level"`
	}
	text, err := os.ReadFile("testdata/statistics.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	checks := 0
	near := func(name string, got, want, tolerance float64) {
		t.Helper()
		checks++
		if !(math.Abs(got-want) <= tolerance*max(1e-6, math.Abs(want))) { // NaN is not near
			t.Errorf("%s: got %.12g, want %.12g", name, got, want)
		}
	}
	// Both sides compute in float64; 1e-9 is what continued fractions and log-gamma leave of it.
	for _, c := range want.McNemar {
		near("mcnemar", mcnemar(c.Up, c.Down), c.P, 1e-9)
	}
	for _, c := range want.Student {
		near("studentTail", studentTail(c.T, c.DF), c.Tail, 1e-9)
		near("studentLimit", studentLimit(level, c.DF), c.Limit, 1e-9)
	}
	// Simpson's rule has 6 digits; solve_power stops at about as many.
	for _, c := range want.Power {
		near("power", power(c.Effect, c.DF, studentLimit(level, c.DF)), c.Power, 1e-6)
		near("detectable", detectable(c.DF), c.Detectable, 1e-5)
	}
	for _, c := range want.Holm {
		for i, p := range holm(c.P) {
			near("holm", p, c.Adjusted[i], 1e-12)
		}
	}
	for _, c := range want.IQM {
		near("interquartileMean", interquartileMean(c.Values), c.Mean, 1e-12)
	}
	for _, c := range want.TwoLevel {
		test, interval := twoLevel(c.D)
		near("se", test.SE, c.SE, 1e-9)
		near("df", test.DF, c.DF, 1e-9)
		near("p", test.P, c.P, 1e-9)
		near("low", interval.Low, c.Low, 1e-8)
		near("high", interval.High, c.High, 1e-8)
	}
	if checks < 150 {
		t.Errorf("only %d numbers in the fixture", checks)
	}
}

// world draws answers of two variants that are equally good on average over all examples and seeds.
type world struct {
	seeds, items int
	seedSD       float64 // of a variant's accuracy from seed to seed
	interaction  float64 // standard deviation, in logits, of what one variant finds easier in an example
}

func (w world) differences(rng *rand.Rand) [][]float64 {
	logistic := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	a, b := make([]float64, w.items), make([]float64, w.items)
	for i := range a {
		ease := 1.5 * rng.NormFloat64()
		a[i] = logistic(ease)
		b[i] = logistic(ease + w.interaction*rng.NormFloat64())
	}
	d := make([][]float64, w.seeds)
	for s := range d {
		d[s] = make([]float64, w.items)
		moveA, moveB := w.seedSD*rng.NormFloat64(), w.seedSD*rng.NormFloat64()
		for i := range d[s] {
			if rng.Float64() < b[i]+moveB {
				d[s][i]++
			}
			if rng.Float64() < a[i]+moveA {
				d[s][i]--
			}
		}
	}
	return d
}

// TestTwoLevelFalsePositives: two equal variants are told apart 5 times in 100, and so 95 of 100 intervals hold the true difference of
// 0. The bounds are where 1,000 draws of a true share of 5 % fall in 999 of 1,000 cases.
func TestTwoLevelFalsePositives(t *testing.T) {
	const rounds = 1000
	for _, w := range []world{
		{3, 60, 0, 0}, {3, 60, 0.02, 0}, {3, 60, 0.07, 0.8}, {3, 60, 0.02, 0.8},
		{5, 60, 0, 0}, {5, 60, 0.02, 0.8}, {5, 60, 0.07, 0}, {5, 300, 0.02, 0.8},
		{10, 60, 0.02, 0.8}, {10, 60, 0.07, 0.8},
	} {
		rng := rand.New(rand.NewPCG(4, uint64(w.seeds)))
		found, held := 0, 0
		for range rounds {
			test, interval := twoLevel(w.differences(rng))
			if test.P < level {
				found++
			}
			if interval.Low <= 0 && 0 <= interval.High {
				held++
			}
		}
		t.Logf("%+v: %.1f %% told apart", w, 100*float64(found)/rounds)
		if found < 29 || found > 74 {
			t.Errorf("%+v: equal variants told apart %d times of %d", w, found, rounds)
		}
		if held+found != rounds {
			t.Errorf("%+v: the interval and the test disagree: %d held 0, %d found a difference", w, held, found)
		}
	}
}

// TestTwoSeedsSayLittle: why a mark takes three seeds.
func TestTwoSeedsSayLittle(t *testing.T) {
	const rounds = 1000
	for _, w := range []world{{2, 60, 0, 0}, {2, 60, 0.07, 0}, {2, 300, 0.02, 0.8}, {2, 500, 0.07, 0}} {
		rng := rand.New(rand.NewPCG(4, uint64(w.seeds)))
		found, half := 0, 0.0
		for range rounds {
			test, interval := twoLevel(w.differences(rng))
			half += (interval.High - interval.Low) / 2 / rounds
			if test.P < level {
				found++
			}
		}
		t.Logf("%+v: %.1f %% told apart, +-%.2f", w, 100*float64(found)/rounds, half)
		if found > 74 || half < 0.25 {
			t.Errorf("%+v: told apart %d times of %d by intervals of +-%.2f: marks on two seeds might be worth it", w, found, rounds, half)
		}
	}
}

// TestTwoLevelPower: the difference that a test calls detectable is found in 80 of 100 cases.
func TestTwoLevelPower(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	const rounds, seeds, items = 1000, 5, 40
	// One seed's mean moves by 0.1, an answer by 1: V = (0.01 + 1/40) / 5, nearly all in T, so 4 degrees of freedom.
	effect := detectable(seeds-1) * math.Sqrt((0.01+1.0/items)/seeds)
	found := 0
	for range rounds {
		d := make([][]float64, seeds)
		for s := range d {
			move := effect + 0.1*rng.NormFloat64()
			for range items {
				d[s] = append(d[s], move+rng.NormFloat64())
			}
		}
		if test, _ := twoLevel(d); test.P < level {
			found++
		}
	}
	// Four standard errors of a share of 0.8 are 5 points; the small noise of examples that is estimated costs up to 3 more.
	if share := float64(found) / rounds; share < 0.72 || share > 0.85 {
		t.Errorf("found in %.3f of the cases, want about 0.8", share)
	}
}

// TestTwoLevelForesees: more seeds find a smaller difference, and where the choice of examples alone hides it, none do.
func TestTwoLevelForesees(t *testing.T) {
	d := [][]float64{{0, 1, 0, 1, 0, 1}, {1, 0, 0, 1, 1, 0}, {0, 0, 1, 0, 1, 0}}
	test, _ := twoLevel(d)
	test.foresee(d)
	if test.SeedsNeeded < 3 || test.SeedsNeeded > 30 || test.Detectable < test.SE {
		t.Errorf("%+v", test)
	}
	alike := [][]float64{{1, -1, 1, -1, 1, -0.9}, {1, -1, 1, -1, 1, -0.8}, {1, -1, 1, -1, 1, -0.7}}
	test, _ = twoLevel(alike)
	if test.foresee(alike); test.SeedsNeeded != 0 {
		t.Errorf("no number of seeds shows it: %+v", test)
	}
}

func TestTwoLevelNoSpread(t *testing.T) {
	for name, d := range map[string][][]float64{
		"nothing": nil, "one seed": {{1, 0, 1}}, "no example": {{}, {}}, "equal": {{1, 1}, {1, 1}, {1, 1}}, "third": {{1. / 3, 1. / 3}, {1. / 3, 1. / 3}},
	} {
		if test, interval := twoLevel(d); test != nil || interval != nil {
			t.Errorf("%s: %+v, %+v", name, test, interval)
		}
	}
	// One example has no spread of examples; the seeds' is there.
	if test, _ := twoLevel([][]float64{{1}, {0}, {1}}); test == nil || test.ItemNoise != 0 || test.DF != 2 {
		t.Errorf("one example: %+v", test)
	}
}

// TestSignificance: no mark on one or two seeds, however small p is.
func TestSignificance(t *testing.T) {
	var none *Test
	for _, c := range []struct {
		test *Test
		want bool
	}{{none, false}, {&Test{Seeds: 2, Holm: 1e-9}, false}, {&Test{Seeds: 3, Holm: 0.049}, true}, {&Test{Seeds: 9, P: 0.01, Holm: 0.06}, false}} {
		if got := c.test.Significant(); got != c.want {
			t.Errorf("%+v: %v", c.test, got)
		}
	}
}

// TestResampleTwoLevels: for a mean, product resampling has the variance that Owen and Eckles derive: with no noise of examples, that
// of resampled seeds, (S-1)/S of the usual one over S.
func TestResampleTwoLevels(t *testing.T) {
	x := [][]float64{{1, 1, 1}, {2, 2, 2}, {4, 4, 4}, {3, 3, 3}, {7, 7, 7}, {5, 5, 5}, {6, 6, 6}, {8, 8, 8}, {9, 9, 9}, {0, 0, 0}}
	mean := func(v []float64) float64 {
		sum := 0.0
		for _, y := range v {
			sum += y / float64(len(v))
		}
		return sum
	}
	got := resampleTwoLevels([][][]float64{x}, mean, "k")
	half := 1.96 * math.Sqrt(8.25/10) // variance of 0 ... 9 over n, for ten of them
	if math.Abs(got.Low-(4.5-half)) > 0.1*half || math.Abs(got.High-(4.5+half)) > 0.1*half {
		t.Errorf("got %+v, want 4.5 +- %g", *got, half)
	}
	if again := resampleTwoLevels([][][]float64{x}, mean, "k"); *again != *got {
		t.Error("equal inputs, other digits")
	}
	if resampleTwoLevels([][][]float64{x[:1]}, mean, "k") != nil || resampleTwoLevels(nil, mean, "k") != nil {
		t.Error("one seed has no interval")
	}
}

// TestBootstrapMany: computed ends are those of drawn ones, to the Monte-Carlo error of 10,000 resamples.
func TestBootstrapMany(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for _, c := range []struct {
		name     string
		up, down float64 // shares
		computed bool
	}{{"dense", 0.25, 0.15, true}, {"lopsided", 0.3, 0, true}, {"few", 0.006, 0.002, false}} {
		values := make([]float64, 800)
		for i := range values {
			switch u := rng.Float64(); {
			case u < c.up:
				values[i] = 1
			case u < c.up+c.down:
				values[i] = -1
			}
		}
		want := middle(resampled(values, keyed("other")))
		got, computed := expansion(values)
		if computed != c.computed {
			t.Errorf("%s: computed is %v", c.name, computed)
		}
		if !computed {
			got = middle(resampledFew(values, keyed("k")))
		}
		// Ends of means of 0 and 1 lie on a grid of 1/n; two steps of it, or 5 % of the half-width.
		tolerance := max(2.0/800, 0.025*(want.High-want.Low))
		if math.Abs(got.Low-want.Low) > tolerance || math.Abs(got.High-want.High) > tolerance {
			t.Errorf("%s: got %+v, drawn %+v", c.name, *got, *want)
		}
		if direct := bootstrap(values, "k"); *direct != *got {
			t.Errorf("%s: bootstrap gives %+v", c.name, *direct)
		}
	}
	if !slices.Equal(resampledFew([]float64{1, 2}, keyed("k")), resampledFew([]float64{1, 2}, keyed("k"))) {
		t.Error("equal inputs, other digits")
	}
}
