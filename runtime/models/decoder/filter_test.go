package decoder

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// filterCase is one of bench/sampling_fixture.py.
type filterCase struct {
	Temperature       *float64
	RepetitionPenalty *float64 `json:"repetition_penalty"`
	TopK              int      `json:"top_k"`
	TopP              *float64 `json:"top_p"`
	MinP              float64  `json:"min_p"`
	Seen              []int
	Logits            []float32
	Kept              []int
	Logp              []float64
}

func (c *filterCase) filter() Filter {
	or1 := func(x *float64) float64 {
		if x == nil {
			return 1
		}
		return *x
	}
	return Filter{RepetitionPenalty: or1(c.RepetitionPenalty), Temperature: or1(c.Temperature), TopK: c.TopK, TopP: or1(c.TopP), MinP: c.MinP}
}

func (c *filterCase) seen() []bool {
	seen := make([]bool, len(c.Logits))
	for _, v := range c.Seen {
		seen[v] = true
	}
	return seen
}

func filterCases(t *testing.T) []filterCase {
	t.Helper()
	text, err := os.ReadFile("testdata/sampling.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Cases []filterCase }
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Cases) < 10 {
		t.Fatalf("%d cases", len(f.Cases))
	}
	return f.Cases
}

// kept lists the tokens that the last Pick could have drawn, in order.
func kept(k *Picker) (tokens []int) {
	for v, w := range k.weight {
		if w > 0 {
			tokens = append(tokens, v)
		}
	}
	return tokens
}

// The tokens that stay and their probabilities are those that transformers' processors leave, and own is the tempered softmax of the
// logits as they came. Theirs is float32: 1e-5 is a hundred roundings of a logit of 3.
func TestFilterAgreesWithTransformers(t *testing.T) {
	for i, c := range filterCases(t) {
		f := c.filter()
		k, plain := NewPicker(f, len(c.Logits)), tempered(c.Logits, f.Temperature)
		found := map[int]float64{}
		const grid = 4001
		for j := range grid {
			token, logp, own := k.Pick(c.Logits, c.seen(), (float64(j)+0.5)/grid)
			found[token] = logp
			if d := math.Abs(own - math.Log(plain[token])); !(d < 1e-9) {
				t.Fatalf("case %d: own log-probability of token %d is %g, want %g", i, token, own, math.Log(plain[token]))
			}
		}
		if !slices.Equal(kept(k), c.Kept) {
			t.Errorf("case %d: keeps\n     %v\nwant %v", i, kept(k), c.Kept)
			continue
		}
		for j, v := range c.Kept {
			got, drawn := found[v]
			if !drawn && c.Logp[j] > math.Log(2.0/grid) {
				t.Errorf("case %d: token %d of probability %g is never drawn", i, v, math.Exp(c.Logp[j]))
			}
			if drawn && !(math.Abs(got-c.Logp[j]) < 1e-5) {
				t.Errorf("case %d: log-probability of token %d is %g, want %g", i, v, got, c.Logp[j])
			}
		}
	}
}

// Draws come as often as the distribution says. chi-square of 20000 draws against its 0.999 quantile: 14 cases of a right sampler fail
// together once in 70 seeds, and this seed is fixed.
func TestFilterFrequencies(t *testing.T) {
	const n = 20000
	rng := rand.New(rand.NewPCG(7, 1))
	for i, c := range filterCases(t) {
		k, count := NewPicker(c.filter(), len(c.Logits)), map[int]int{}
		for range n {
			token, _, _ := k.Pick(c.Logits, c.seen(), rng.Float64())
			count[token]++
		}
		chi, cells, rest, expected := 0.0, 0, n, float64(n)
		for j, v := range c.Kept {
			want := n * math.Exp(c.Logp[j])
			if want < 5 {
				continue // rare ones make one cell together
			}
			d := float64(count[v]) - want
			chi, cells, rest, expected = chi+d*d/want, cells+1, rest-count[v], expected-want
		}
		if expected >= 5 {
			d := float64(rest) - expected
			chi, cells = chi+d*d/expected, cells+1
		}
		if bound := chiSquare999(cells - 1); chi > bound {
			t.Errorf("case %d: chi-square %g of %d cells, want at most %g", i, chi, cells, bound)
		}
		for v := range count {
			if !slices.Contains(c.Kept, v) {
				t.Errorf("case %d: token %d is drawn, which was filtered out", i, v)
			}
		}
	}
}

// chiSquare999 is the 0.999 quantile, by Wilson and Hilferty's approximation.
func chiSquare999(df int) float64 {
	if df < 1 {
		return 1e-9 // one token: the expected count is exact
	}
	d := 2 / (9 * float64(df))
	return float64(df) * math.Pow(1-d+3.0902*math.Sqrt(d), 3)
}

// A vocabulary of real size, against a plain sort of it.
func TestFilterLargeVocabulary(t *testing.T) {
	const vocab = 20000
	rng := rand.New(rand.NewPCG(3, 3))
	logits := make([]float32, vocab)
	for _, spread := range []float64{0.01, 2, 30} {
		for i := range logits {
			logits[i] = float32(spread * rng.NormFloat64())
		}
		p := tempered(logits, 1)
		order := make([]int, vocab)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			if p[a] != p[b] {
				return map[bool]int{true: -1, false: 1}[p[a] > p[b]]
			}
			return b - a
		})
		for _, f := range []Filter{{TopP: 0.95}, {TopP: 0.5, TopK: 300}, {TopP: 1, TopK: 7}, {TopP: 0.999999}} {
			f.RepetitionPenalty, f.Temperature = 1, 1
			k := NewPicker(f, vocab)
			k.Pick(logits, nil, 0.5)
			within := order
			if f.TopK > 0 {
				within = order[:f.TopK]
			}
			mass, before := 0.0, 0.0
			for _, v := range within {
				mass += p[v]
			}
			n := 0
			for n < len(within) && before < f.TopP*mass {
				before += p[within[n]]
				n++
			}
			// The last tokens may differ by the order in which masses are summed.
			if got := len(kept(k)); got < n-1 || got > n+1 {
				t.Errorf("spread %g, %+v: keeps %d tokens, want %d", spread, f, got, n)
			}
		}
	}
}

func TestFilterEnds(t *testing.T) {
	inf := float32(math.Inf(1))
	k := NewPicker(Filter{RepetitionPenalty: 1, Temperature: 1, TopP: 0.5}, 4)
	greedy := NewPicker(Filter{RepetitionPenalty: 2, TopP: 1}, 4)
	for name, logits := range map[string][]float32{"NaN": {0, float32(math.NaN()), 1, 2}, "+Inf": {0, inf, 1, 2}, "-Inf": {-inf, -inf, -inf, -inf}} {
		for _, k := range []*Picker{k, greedy} {
			if _, logp, own := k.Pick(logits, nil, 0.5); !math.IsNaN(logp) || !math.IsNaN(own) {
				t.Errorf("%s at temperature %g: log-probability %g, own %g", name, k.filter.Temperature, logp, own)
			}
		}
	}
	for _, u := range []float64{0x1p-24, 1 - 0x1p-24} { // what cannot come is never drawn
		if token, logp, _ := k.Pick([]float32{-inf, 3, -inf, -inf}, nil, u); token != 1 || logp != 0 {
			t.Errorf("u = %g: token %d with %g", u, token, logp)
		}
	}
	for _, c := range []struct {
		logits []float32
		seen   []bool
		want   int
	}{
		{[]float32{1, 3, 3, 2}, nil, 1}, {[]float32{1, 3, 3, 2}, []bool{false, true, false, false}, 2},
		{[]float32{-3, -1, -4, -4}, []bool{false, true, false, false}, 1}, {[]float32{-1.5, -1, -4, -4}, []bool{false, true, false, false}, 0},
	} {
		if token, _, _ := greedy.Pick(c.logits, c.seen, 0.5); token != c.want {
			t.Errorf("greedy of %v, seen %v: %d, want %d", c.logits, c.seen, token, c.want)
		}
	}
	for f, want := range map[Filter]bool{
		{RepetitionPenalty: 1, Temperature: 1, TopP: 1}: false, {RepetitionPenalty: 1, TopP: 0.5}: false, {RepetitionPenalty: 1.1, TopP: 1}: true,
		{RepetitionPenalty: 1, Temperature: 1, TopP: 0.9}: true, {RepetitionPenalty: 1, Temperature: 1, TopP: 1, TopK: 1}: true,
		{RepetitionPenalty: 1, Temperature: 1, TopP: 1, MinP: 0.1}: true,
	} {
		if f.Narrows() != want {
			t.Errorf("%+v narrows: %v", f, f.Narrows())
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, vocab := range []int{6400, 151936} {
		rng := rand.New(rand.NewPCG(1, 1))
		logits := make([]float32, vocab)
		for i := range logits {
			logits[i] = float32(3 * rng.NormFloat64())
		}
		for name, f := range map[string]Filter{"top_p": {TopP: 0.95}, "top_k": {TopP: 1, TopK: 50}} {
			f.RepetitionPenalty, f.Temperature = 1, 1
			b.Run(fmt.Sprintf("%s/V=%d", name, vocab), func(b *testing.B) {
				k := NewPicker(f, vocab)
				for b.Loop() {
					k.Pick(logits, nil, 0.3)
				}
			})
		}
	}
}
