package reward

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
	"mixr/runtime/token"
	"mixr/runtime/weights"
)

type pairRow struct {
	TextA string `json:"text_a"`
	TextB string `json:"text_b"`
	Score float64
	Meta  struct{ Subset string }
}

// sharedTable is the input-embedding table of a model kept beside the repository.
func sharedTable(t *testing.T, model, tensor string) *Embedding {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "models", model)
	store, err := weights.Open(dir)
	if err != nil {
		t.Skipf("%s is not beside the repository", model)
	}
	defer store.Close()
	shape := store.Shape(tensor)
	table := make([]float32, shape[0]*shape[1])
	if err := store.Float32(tensor, table); err != nil {
		t.Fatal(err)
	}
	tok, err := token.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var special []int
	for _, id := range tok.SpecialTokens() {
		special = append(special, id)
	}
	e, err := NewEmbedding(tok, table, shape[1], special)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// ranks are the ranks of values, ties sharing their mean.
func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	out := make([]float64, len(x))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && x[order[j]] == x[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			out[k] = float64(i+j-1) / 2
		}
		i = j
	}
	return out
}

// spearman is the correlation of the ranks.
func spearman(x, y []float64) float64 {
	a, b := ranks(x), ranks(y)
	mean := float64(len(a)-1) / 2
	var ab, aa, bb float64
	for i := range a {
		ab += (a[i] - mean) * (b[i] - mean)
		aa += (a[i] - mean) * (a[i] - mean)
		bb += (b[i] - mean) * (b[i] - mean)
	}
	return ab / math.Sqrt(aa*bb)
}

// bootstrap is the middle 95 % of spearman over resampled pairs.
func bootstrap(x, y []float64, resamples int) (low, high float64) {
	rng := rand.New(rand.NewPCG(1, 1))
	a, b, all := make([]float64, len(x)), make([]float64, len(x)), make([]float64, resamples)
	for r := range all {
		for i := range a {
			k := rng.IntN(len(x))
			a[i], b[i] = x[k], y[k]
		}
		all[r] = spearman(a, b)
	}
	slices.Sort(all)
	return all[resamples*25/1000], all[resamples*975/1000]
}

// TestSpearman checks the statistic itself: scipy.stats.spearmanr of these.
func TestSpearman(t *testing.T) {
	if got := spearman([]float64{1, 2, 2, 4, 5, 0}, []float64{3, 1, 4, 1, 5, 2}); math.Abs(got-0.22058823529411764) > exact {
		t.Errorf("got %v", got)
	}
}

// TestAgainstPeople: Spearman correlation of the open rewards with similarity as people scored it. Embedding rows of all-MiniLM-L6-v2 on
// the captions of STS 2014 were measured elsewhere: 0.685. With -v: all sets, both tables, with bootstrap intervals; that takes minutes.
func TestAgainstPeople(t *testing.T) {
	minilm := sharedTable(t, "all-MiniLM-L6-v2", "embeddings.word_embeddings.weight")
	sets := map[string][]pairRow{}
	for _, r := range sharedRows[pairRow](t, "similarity", "sts.jsonl.gz") {
		sets["sts "+r.Meta.Subset] = append(sets["sts "+r.Meta.Subset], r)
	}
	tables := map[string]*Embedding{"minilm": minilm}
	if testing.Verbose() {
		tables["minimind"] = sharedTable(t, "minimind2-small", "model.embed_tokens.weight")
		sets["cxc"] = sharedRows[pairRow](t, "similarity", "cxc.jsonl.gz")
		sets["sick"] = sharedRows[pairRow](t, "similarity", "sick.jsonl.gz")
	} else {
		for name := range sets {
			if name != "sts 2014.images" {
				delete(sets, name)
			}
		}
	}
	variants := []struct {
		name string
		bmas *spec.BMAS
		text string
	}{
		{"bmas", &spec.BMAS{}, ""},
		{"bmas f1", &spec.BMAS{Combine: "f1"}, ""},
		{"bmas min", &spec.BMAS{Combine: "min"}, ""},
		{"bmas centred", &spec.BMAS{Centre: true}, ""},
		{"bmas without punctuation", &spec.BMAS{Punctuation: "drop"}, ""},
		{"bmas without stop words and punctuation", &spec.BMAS{Punctuation: "drop", StopWords: "drop"}, ""},
		{"bmas idf", &spec.BMAS{Frequency: "idf"}, ""},
		{"bmas idf, centred, without punctuation", &spec.BMAS{Frequency: "idf", Centre: true, Punctuation: "drop"}, ""},
		{"bipartite", &spec.BMAS{Pairing: "one_to_one"}, ""},
		{"bipartite centred", &spec.BMAS{Pairing: "one_to_one", Centre: true}, ""},
		{"rouge_l", nil, "rouge_l"}, {"bleu", nil, "bleu"}, {"ngram_f", nil, "ngram_f"},
	}
	if !testing.Verbose() {
		variants = variants[:1] // the one that is compared
	}
	for set, rows := range sets {
		var human []float64
		var references []string
		for _, r := range rows {
			human, references = append(human, r.Score), append(references, r.TextB)
		}
		for table, embedding := range tables {
			for _, v := range variants {
				if v.bmas == nil && table != "minilm" {
					continue // it reads no table
				}
				j, err := newOverlap(&spec.Text{Measure: v.text})
				if v.bmas != nil {
					j, err = newSimilarity(v.bmas, Options{Embedder: embedding, References: references})
				}
				if err != nil {
					t.Fatal(err)
				}
				var ours []float64
				for _, r := range rows {
					got, err := j.score(data.Example{Answers: []string{r.TextB}}, r.TextA, moment{})
					if err != nil {
						t.Fatal(err)
					}
					ours = append(ours, got.value)
				}
				rho := spearman(ours, human)
				interval := ""
				if testing.Verbose() {
					low, high := bootstrap(ours, human, 400)
					interval = fmt.Sprintf(" [%.3f, %.3f]", low, high)
				}
				t.Logf("%s | %s | %s | %d | %.3f%s", set, v.name, table, len(rows), rho, interval)
				if set == "sts 2014.images" && table == "minilm" && v.name == "bmas" && math.Abs(rho-0.685) > 0.005 {
					t.Errorf("bmas: got %.3f, want 0.685", rho)
				}
			}
		}
	}
}
