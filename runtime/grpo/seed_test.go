package grpo

import (
	"fmt"
	"math"
	"testing"
)

// TestSeedLawGolden pins the law: these bits are part of every run's identity.
func TestSeedLawGolden(t *testing.T) {
	for _, c := range []struct {
		seed                 uint64
		id                   string
		completion, position int
		want                 float32
	}{
		{0, "", 0, 0, 12159323. / (1 << 24)},
		{1, "", 0, 0, 6807915. / (1 << 24)},
		{0, "nlvr-dev-1572-0/count-3", 0, 0, 1699001. / (1 << 24)},
		{0, "nlvr-dev-1572-0/count-3", 0, 1, 11115317. / (1 << 24)},
		{0, "nlvr-dev-1572-0/count-3", 7, 1023, 15288791. / (1 << 24)},
		{math.MaxUint64, "12345678", 1, 1, 3105063. / (1 << 24)},
	} {
		if got := Uniform(c.seed, c.id, c.completion, c.position); got != c.want {
			t.Errorf("Uniform(%d, %q, %d, %d): got %.9g, want %.9g", c.seed, c.id, c.completion, c.position, got, c.want)
		}
	}
}

// TestSeedLawUniform: values lie in (0, 1), and 64 equal bins are filled evenly (chi-squared with 63 degrees of freedom,
// mean 63, std 11.2) along each argument alone.
func TestSeedLawUniform(t *testing.T) {
	const n, bins = 1 << 17, 64
	for _, along := range []struct {
		name string
		at   func(i int) float32
	}{
		{"position", func(i int) float32 { return Uniform(1, "a", 0, i) }},
		{"completion", func(i int) float32 { return Uniform(1, "a", i, 0) }},
		{"seed", func(i int) float32 { return Uniform(uint64(i), "a", 0, 0) }},
		{"example", func(i int) float32 { return Uniform(1, fmt.Sprint("row-", i), 0, 0) }},
	} {
		var count [bins]int
		var sum, lag, last float64
		for i := range n {
			u := along.at(i)
			if u <= 0 || u >= 1 || u != float32(math.Floor(float64(u)*(1<<24)))/(1<<24) {
				t.Fatalf("%s %d: %v is not a multiple of 2^-24 in (0, 1)", along.name, i, u)
			}
			count[int(u*bins)]++
			x := float64(u) - 0.5
			sum += x
			lag += x * last
			last = x
		}
		chi := 0.0
		for _, c := range count {
			d := float64(c) - n/bins
			chi += d * d / (n / bins)
		}
		if chi < 20 || chi > 120 {
			t.Errorf("%s: chi-squared %v, want about 63", along.name, chi)
		}
		if m := math.Abs(sum) / n; m > 5/math.Sqrt(12*n) {
			t.Errorf("%s: mean is off by %v", along.name, m)
		}
		if r := math.Abs(lag) / n * 12; r > 5/math.Sqrt(n) {
			t.Errorf("%s: neighbours correlate with %v", along.name, r)
		}
	}
}

// TestSeedLawStreamsDiffer guards against shared noise (verl #6857, verl-omni #561): no two streams have one key, and
// arguments do not run into each other.
func TestSeedLawStreamsDiffer(t *testing.T) {
	seen := map[Stream]string{}
	add := func(seed uint64, id string, completion int) {
		name := fmt.Sprintf("%d/%q/%d", seed, id, completion)
		s := NewStream(seed, id, completion)
		if other, ok := seen[s]; ok {
			t.Fatalf("%s and %s share a stream", name, other)
		}
		seen[s] = name
	}
	for seed := range uint64(20) {
		for _, id := range []string{"", "a", "b", "ab", "a\x00", "\x00", "12345678", "123456789", "1234567812345678", "row-1", "row-11"} {
			for completion := range 64 {
				add(seed, id, completion)
			}
		}
	}
	for i := range 20000 {
		add(99, fmt.Sprintf("example-%d", i), 0)
	}
	// Streams whose keys differ by the counter's increment would overlap; with hashed keys the chance is 2^-64 a pair.
	a, b := NewStream(1, "a", 0), NewStream(1, "a", 1)
	same := 0
	for p := range 4096 {
		for shift := range 3 {
			if a.Uniform(p) == b.Uniform(p+shift) {
				same++
			}
		}
	}
	if same > 5 {
		t.Errorf("two streams agree at %d places", same)
	}
}
