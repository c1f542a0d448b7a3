package data

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// toys returns size examples for each source.
func toys(sizes map[string]int) map[string][]Example {
	out := map[string][]Example{}
	for name, size := range sizes {
		for i := range size {
			out[name] = append(out[name], Example{ID: fmt.Sprintf("%s%d", name, i), Source: name})
		}
	}
	return out
}

func newMix(t *testing.T, sizes map[string]int, weights map[string]float64, seed uint64) *Mix {
	t.Helper()
	m, err := NewMix(toys(sizes), weights, seed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ids(batch []Example) string {
	var words []string
	for _, ex := range batch {
		words = append(words, ex.ID)
	}
	return strings.Join(words, " ")
}

// The first batches are frozen: a change here changes every run. Sources of 3, 5 and 4 with weights 2, 1, 1.
func TestMixFirstBatches(t *testing.T) {
	m := newMix(t, map[string]int{"a": 3, "b": 5, "c": 4}, map[string]float64{"a": 2, "b": 1, "c": 1}, 7)
	for step, want := range []string{
		"a1 b0 c1 a2 a0 b1 c0 a2",
		"a1 b4 c3 a0 a2 b2 c2 a0",
		"a1 b3 c1 a1 a0 b3 c2 a2",
		"a1 b0 c0 a2 a0 b4 c3 a2",
	} {
		if got := ids(m.Batch(step, 8)); got != want {
			t.Errorf("step %d: got %s, want %s", step, got, want)
		}
	}
}

// Every prefix of the stream holds each source in its share to within one example, whatever the weights.
func TestMixShares(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		sizes, weights, total := map[string]int{}, map[string]float64{}, 0.0
		for i := range 1 + rng.IntN(7) {
			name := string(rune('a' + i))
			sizes[name] = 1 + rng.IntN(9)
			weights[name] = math.Exp(4 * rng.NormFloat64())
			if rng.IntN(2) == 0 {
				weights[name] = float64(1 + rng.IntN(5))
			}
			total += weights[name]
		}
		counts := map[string]int{}
		for k, ex := range newMix(t, sizes, weights, rng.Uint64()).Batch(0, 400) {
			counts[ex.Source]++
			for name, w := range weights {
				if ideal := w / total * float64(k+1); math.Abs(float64(counts[name])-ideal) >= 1 {
					t.Fatalf("weights %v: after %d examples %q has %d, ideal %.3f", weights, k+1, name, counts[name], ideal)
				}
			}
		}
	}
}

// Where share times batch is whole, every batch holds exactly that many.
func TestMixExactBatches(t *testing.T) {
	weights := map[string]float64{"a": 0.5, "b": 0.25, "c": 0.125, "d": 0.125}
	m := newMix(t, map[string]int{"a": 3, "b": 5, "c": 4, "d": 9}, weights, 3)
	for step := range 50 {
		counts := map[string]float64{}
		for _, ex := range m.Batch(step, 16) {
			counts[ex.Source]++
		}
		for name, w := range weights {
			if counts[name] != 16*w {
				t.Fatalf("step %d: source %q has %v of 16, want %v", step, name, counts[name], 16*w)
			}
		}
	}
}

// Each epoch of a source gives every example once, in an order of its own.
func TestMixEpochs(t *testing.T) {
	for _, size := range []int{1, 2, 3, 16, 17, 1000} {
		m := newMix(t, map[string]int{"a": size}, map[string]float64{"a": 1}, 11)
		var orders []string
		for epoch := range 3 {
			batch := m.Batch(epoch, size)
			orders = append(orders, ids(batch))
			seen := map[string]bool{}
			for _, ex := range batch {
				seen[ex.ID] = true
			}
			if len(seen) != size {
				t.Errorf("size %d epoch %d: %d distinct examples", size, epoch, len(seen))
			}
		}
		if size > 3 && (orders[0] == orders[1] || orders[1] == orders[2]) {
			t.Errorf("size %d: two epochs have the same order", size)
		}
	}
}

// A batch does not depend on what was drawn before, on the batch size of other steps, or on who draws.
func TestMixPure(t *testing.T) {
	sizes, weights := map[string]int{"a": 7, "b": 50, "c": 4}, map[string]float64{"a": 1, "b": 3, "c": 0.7}
	m := newMix(t, sizes, weights, 5)
	stream := m.Batch(0, 240)
	got := make([]string, 10)
	var wg sync.WaitGroup
	for step := range got {
		wg.Go(func() { got[step] = ids(m.Batch(step, 24)) })
	}
	wg.Wait()
	if want := ids(stream); strings.Join(got, " ") != want {
		t.Errorf("ten batches of 24 differ from one of 240:\n%s\n%s", got, want)
	}
	if again := ids(newMix(t, sizes, weights, 5).Batch(9, 24)); again != got[9] {
		t.Errorf("a restarted mix gives another step 9:\n%s\n%s", again, got[9])
	}
	if other := ids(newMix(t, sizes, weights, 6).Batch(9, 24)); other == got[9] {
		t.Error("two seeds give the same batch")
	}
}

// The walk of one source does not change when another joins the mix.
func TestMixIndependentSources(t *testing.T) {
	walk := func(m *Mix) string {
		return ids(slices.DeleteFunc(m.Batch(0, 40), func(ex Example) bool { return ex.Source != "a" })[:15])
	}
	alone := newMix(t, map[string]int{"a": 9}, map[string]float64{"a": 1}, 5)
	joined := newMix(t, map[string]int{"a": 9, "b": 5}, map[string]float64{"a": 1, "b": 1}, 5)
	if walk(alone) != walk(joined) {
		t.Errorf("got %s, want %s", walk(joined), walk(alone))
	}
}

// Every order of a small source comes up about equally often over seeds.
func TestPermutationUniform(t *testing.T) {
	const seeds = 24000
	counts := map[string]int{}
	for seed := range uint64(seeds) {
		p := newPermutation(seed, "a", 0, 4)
		counts[fmt.Sprint(p.at(0), p.at(1), p.at(2), p.at(3))]++
	}
	chi2 := 0.0
	for _, n := range counts {
		chi2 += math.Pow(float64(n)-seeds/24, 2) / (seeds / 24)
	}
	// 23 degrees of freedom: 0.1 % of fair draws exceed 49.7.
	if len(counts) != 24 || chi2 > 49.7 {
		t.Errorf("%d of 24 orders, chi-square %.1f: %v", len(counts), chi2, counts)
	}
}

func TestMixMistakes(t *testing.T) {
	one := toys(map[string]int{"a": 1})
	for want, try := range map[string]func() (*Mix, error){
		"mix: no sources": func() (*Mix, error) { return NewMix(nil, nil, 0) },
		`mix: source "a": got weight 0, want a finite number > 0`:    func() (*Mix, error) { return NewMix(one, nil, 0) },
		`mix: source "a": got weight NaN, want a finite number > 0`:  func() (*Mix, error) { return NewMix(one, map[string]float64{"a": math.NaN()}, 0) },
		`mix: source "a": got weight +Inf, want a finite number > 0`: func() (*Mix, error) { return NewMix(one, map[string]float64{"a": math.Inf(1)}, 0) },
		`mix: source "b" has a weight but no examples`:               func() (*Mix, error) { return NewMix(one, map[string]float64{"a": 1, "b": 1}, 0) },
		`mix: source "a" has no training examples`:                   func() (*Mix, error) { return NewMix(map[string][]Example{"a": nil}, map[string]float64{"a": 1}, 0) },
	} {
		if _, err := try(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if names := slices.Collect(maps.Keys(one)); len(names) != 1 {
		t.Error("NewMix changed its argument")
	}
}

func BenchmarkBatch(b *testing.B) {
	m, err := NewMix(toys(map[string]int{"a": 9, "b": 9, "c": 9, "d": 9, "e": 9}), map[string]float64{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.Batch(1000, 50)
	}
}
