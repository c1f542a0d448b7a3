package reward

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// plainCosines is S computed one product after the other.
func plainCosines(e, f [][]float32) [][]float64 {
	s := matrix(len(e), len(f))
	for i, a := range e {
		for j, b := range f {
			for k := range a {
				s[i][j] += float64(a[k]) * float64(b[k])
			}
		}
	}
	return s
}

// TestCosines: blocks and repeated rows change no bit.
func TestCosines(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for range 200 {
		width := 1 + rng.IntN(40)
		side := func() (rows [][]float32) {
			for range 1 + rng.IntN(11) {
				if len(rows) > 0 && rng.IntN(3) == 0 {
					rows = append(rows, rows[rng.IntN(len(rows))])
					continue
				}
				x := make([]float32, width)
				for k := range x {
					x[k] = float32(rng.NormFloat64())
				}
				rows = append(rows, unitRow(x))
			}
			return rows
		}
		e, f := side(), side()
		got, want := cosines(e, f), plainCosines(e, f)
		for i := range want {
			for j := range want[i] {
				if got[i][j] != want[i][j] {
					t.Fatalf("%d by %d of %d: got %v, want %v", len(e), len(f), width, got[i][j], want[i][j])
				}
			}
		}
	}
}

// scoreOf scores texts of letters by options.
func scoreOf(t *testing.T, r spec.BMAS, o Options, answer string, references ...string) float64 {
	t.Helper()
	j, err := newSimilarity(&r, o)
	if err != nil {
		t.Fatal(err)
	}
	v, err := j.score(data.Example{Answers: references}, answer, moment{})
	if err != nil {
		t.Fatal(err)
	}
	return v.value
}

// axes is a table of 26 letters of width 3: a, b, c are the axes, d = (0.6, 0.8, 0), the others 0 but z = (-1, 0, 0).
func axes(t *testing.T) *Embedding {
	t.Helper()
	table := make([]float32, 27*3)
	table[0], table[3+1], table[6+2], table[9], table[10], table[75] = 1, 1, 1, 0.6, 0.8, -1
	e, err := NewEmbedding(letters{}, table, 3, []int{26})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSimilarityOptions(t *testing.T) {
	o := Options{Embedder: axes(t), References: []string{"ab", "a", "ac", "a"}}
	// "ab" against "d": cosines 0.6 and 0.8, so P = 0.7 and R = 0.8. "aab" against "a": P = 2/3, R = 1.
	for _, c := range []struct {
		name      string
		options   spec.BMAS
		answer    string
		reference string
		want      float64
	}{
		{"mean", spec.BMAS{}, "ab", "d", 0.75},
		{"mean by name", spec.BMAS{Combine: "mean", Pairing: "best", Frequency: "equal", Punctuation: "keep", StopWords: "keep"}, "ab", "d", 0.75},
		{"sum", spec.BMAS{Combine: "sum"}, "ab", "d", 1.5},
		{"f1", spec.BMAS{Combine: "f1"}, "ab", "d", 2 * 0.7 * 0.8 / 1.5},
		{"f1 of nothing", spec.BMAS{Combine: "f1"}, "z", "a", 0},
		{"min", spec.BMAS{Combine: "min"}, "ab", "d", 0.7},
		{"floor", spec.BMAS{Floor: 0.5}, "ab", "d", 0.5},
		{"below the floor", spec.BMAS{Floor: 0.8}, "ab", "d", 0},
		{"one to one", spec.BMAS{Pairing: "one_to_one"}, "ab", "d", 0.4},
		{"one to one, repeated", spec.BMAS{Pairing: "one_to_one"}, "aab", "a", 1. / 3},
		{"one to one, unlike", spec.BMAS{Pairing: "one_to_one"}, "z", "a", 0},
		// idf: all four references have a, which weighs ln(5/5) = 0; b weighs ln(5/2). "ab" against "bc": P = 1 of b alone, R = (1 + 0)/2.
		{"idf", spec.BMAS{Frequency: "idf"}, "ab", "bc", 0.75},
		{"idf of nothing but common tokens", spec.BMAS{Frequency: "idf"}, "aa", "a", 1},
	} {
		if got := scoreOf(t, c.options, o, c.answer, c.reference); math.Abs(got-c.want) > 1e-7 { // rows are float32
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	for _, r := range []spec.BMAS{{Pairing: "x"}, {Combine: "x"}, {Punctuation: "x"}, {StopWords: "x"}, {Frequency: "x"}} {
		if _, err := newSimilarity(&r, o); err == nil {
			t.Errorf("%+v was accepted", r)
		}
	}
	if _, err := newSimilarity(&spec.BMAS{Frequency: "idf"}, Options{Embedder: axes(t)}); err == nil || !strings.Contains(err.Error(), "reference texts") {
		t.Errorf("idf without references: %v", err)
	}
	if _, err := newSimilarity(&spec.BMAS{Centre: true}, Options{Embedder: other{}}); err == nil || !strings.Contains(err.Error(), "embedding table") {
		t.Errorf("centring without a table: %v", err)
	}
}

// other is an embedder without a table.
type other struct{}

func (other) Embed(string) ([][]float32, error) { return nil, nil }

// TestCentred: the mean row is subtracted before rows are scaled.
func TestCentred(t *testing.T) {
	e, err := NewEmbedding(letters{}, []float32{3, 1, 1, 3}, 2, nil) // mean (2, 2): rows become (1, -1) and (-1, 1)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := e.centred().Embed("ab")
	if err != nil || math.Abs(float64(rows[0][0])-math.Sqrt2/2) > 1e-7 || rows[0][0] != -rows[0][1] || rows[1][0] != rows[0][1] {
		t.Errorf("got %v, %v", rows, err)
	}
	if plain, _ := e.Embed("a"); plain[0][0] <= plain[0][1] {
		t.Errorf("the table itself was changed: %v", plain)
	}
	o := Options{Embedder: e}
	if got := scoreOf(t, spec.BMAS{}, o, "a", "b"); math.Abs(got-0.6) > 1e-7 {
		t.Errorf("plain: %v", got)
	}
	if got := scoreOf(t, spec.BMAS{Centre: true}, o, "a", "b"); got != 0 {
		t.Errorf("centred: %v", got)
	}
}

func TestReduce(t *testing.T) {
	for _, c := range []struct {
		s          similarity
		text, want string
	}{
		{similarity{}, "The cat, it is!", "The cat, it is!"},
		{similarity{dropPunctuation: true}, "The cat, it is! 5% (a+b)", "The cat it is 5 a b"},
		{similarity{dropStopWords: true}, "The cat, it is on THE mat.", "cat, mat."},
		{similarity{dropStopWords: true, dropPunctuation: true}, "The cat, it is not on the mat.", "cat not mat"},
		{similarity{dropStopWords: true}, "it is", "it is"}, {similarity{dropPunctuation: true}, "!!", "!!"}, {similarity{dropStopWords: true}, "", ""},
	} {
		if got := c.s.reduce(c.text); got != c.want {
			t.Errorf("%+v: %q: got %q, want %q", c.s, c.text, got, c.want)
		}
	}
}

// TestSimilarityOptionsProperties: bounded, symmetric, 1 for a text with itself, whatever the options.
func TestSimilarityOptionsProperties(t *testing.T) {
	o := Options{Embedder: letterTable(t), References: []string{"abc", "bcd", "xyz"}}
	rng := rand.New(rand.NewPCG(11, 12))
	word := func() string {
		b := make([]byte, 1+rng.IntN(9))
		for i := range b {
			b[i] = byte('b' + rng.IntN(20)) // no "a", "i": a lone letter may be a stop word
		}
		return string(b)
	}
	for _, r := range []spec.BMAS{
		{}, {Combine: "f1"}, {Combine: "min"}, {Pairing: "one_to_one"}, {Frequency: "idf"}, {Centre: true}, {Floor: 0.3}, {Punctuation: "drop", StopWords: "drop"},
		{Combine: "f1", Frequency: "idf", Centre: true, Floor: 0.2, Punctuation: "drop", StopWords: "drop"}, {Combine: "sum"},
	} {
		most := 1.0
		if r.Combine == "sum" {
			most = 2
		}
		for range 60 {
			a, b := word(), word()
			x, y := scoreOf(t, r, o, a, b), scoreOf(t, r, o, b, a)
			if !(x >= 0 && x <= most) || math.Abs(x-y) > 1e-9 {
				t.Fatalf("%+v: %q, %q: %v and %v", r, a, b, x, y)
			}
			if x := scoreOf(t, r, o, a, a); math.Abs(x-most) > 1e-5 {
				t.Fatalf("%+v: %q with itself: %v", r, a, x)
			}
			if z := scoreOf(t, r, o, " "+a+"\n", b); z != x {
				t.Fatalf("%+v: white space around %q changes %v", r, a, z)
			}
		}
	}
}
