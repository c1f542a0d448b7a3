package reward

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/data"
)

// letters encodes a text by its letters a..z as ids 0..25; 26 is a special token, written "#".
type letters struct{}

func (letters) Encode(text string) (ids []int) {
	for _, r := range strings.ToLower(text) {
		switch {
		case 'a' <= r && r <= 'z':
			ids = append(ids, int(r-'a'))
		case r == '#':
			ids = append(ids, 26)
		}
	}
	return ids
}

func letterTable(t *testing.T) *Embedding {
	t.Helper()
	const width = 8
	rng := rand.New(rand.NewPCG(5, 6))
	table := make([]float32, 27*width)
	for i := range table {
		table[i] = float32(rng.NormFloat64())
	}
	e, err := NewEmbedding(letters{}, table, width, []int{26})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSimilarity(t *testing.T) {
	// By hand: a = (1,0), b = (0,1), c = (0.6,0.8).
	a, b, c := []float32{1, 0}, []float32{0, 1}, []float32{0.6, 0.8}
	for _, x := range []struct {
		e, f [][]float32
		want float64
	}{
		{[][]float32{a}, [][]float32{a}, 1},
		{[][]float32{a}, [][]float32{b}, 0},
		{[][]float32{a, b}, [][]float32{c}, (0.7 + 0.8) / 2}, // forward (0.6+0.8)/2, backward 0.8
		{[][]float32{c}, [][]float32{a, b}, (0.8 + 0.7) / 2},
		{[][]float32{a, a, a}, [][]float32{a, b}, (1 + 0.5) / 2},
		{[][]float32{a}, [][]float32{{-1, 0}}, 0}, // clipped
		{nil, [][]float32{a}, 0},
		{[][]float32{a}, nil, 0},
	} {
		if got := Similarity(x.e, x.f); math.Abs(got-x.want) > 1e-7 {
			t.Errorf("%v, %v: got %v, want %v", x.e, x.f, got, x.want)
		}
	}
}

func TestSimilarityProperties(t *testing.T) {
	e := letterTable(t)
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		var x, y [][]float32
		for range 1 + rng.IntN(6) {
			x = append(x, unitRow(e.table[rng.IntN(26)*8:][:8]))
		}
		for range 1 + rng.IntN(6) {
			y = append(y, unitRow(e.table[rng.IntN(26)*8:][:8]))
		}
		s := Similarity(x, y)
		if s < 0 || s > 1 {
			t.Fatalf("got %v, want a value in [0, 1]", s)
		}
		if r := Similarity(y, x); math.Abs(r-s) > 1e-12 {
			t.Fatalf("not symmetric: %v and %v", s, r)
		}
		permuted := slices.Clone(x)
		rng.Shuffle(len(permuted), func(i, j int) { permuted[i], permuted[j] = permuted[j], permuted[i] })
		if r := Similarity(permuted, y); math.Abs(r-s) > 1e-12 {
			t.Fatalf("order matters: %v and %v", s, r)
		}
		if r := Similarity(x, x); math.Abs(r-1) > 1e-6 {
			t.Fatalf("a text against itself: %v", r)
		}
	}
}

func TestSimilarityScore(t *testing.T) {
	judge := similarity{embedder: letterTable(t)}
	ex := data.Example{Answers: []string{"abc", "xyz"}}
	for answer, want := range map[string]float64{"cab": 1, "xyz": 1, "abc#": 1, "##": 0, "...": 0} {
		v, err := judge.score(ex, answer, moment{})
		if err != nil || math.Abs(v.value-want) > 1e-6 || v.parsed != strings.ContainsAny(answer, "abcxyz") {
			t.Errorf("%q: got %+v, %v, want %v", answer, v, err, want)
		}
	}
	for _, gold := range [][]string{nil, {"###"}, {"abc", ""}} {
		if judge.checkGold(data.Example{Answers: gold}) == nil {
			t.Errorf("gold %q was accepted", gold)
		}
	}
}

func TestEmbedding(t *testing.T) {
	table := []float32{3, 4, 0, 0}
	e, err := NewEmbedding(letters{}, table, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := e.Embed("ab")
	if err != nil || len(rows) != 2 || rows[0][0] != 0.6 || rows[0][1] != 0.8 || rows[1][0] != 0 {
		t.Errorf("got %v, %v", rows, err)
	}
	if table[0] != 3 {
		t.Error("the table was changed")
	}
	if _, err := e.Embed("c"); err == nil {
		t.Error("an id outside the table was accepted")
	}
	if _, err := NewEmbedding(letters{}, table, 3, nil); err == nil {
		t.Error("a table of broken rows was accepted")
	}
}
