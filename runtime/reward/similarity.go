package reward

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// similarity is the bmas reward: BMAS, bidirectional max-average similarity, or what the experiment makes of it, against the best of
// the reference texts.
//
// The zero value of the fields below embedder is plain BMAS (Similarity).
type similarity struct {
	embedder        Embedder
	oneToOne        bool   // bipartite matching in place of BMAS
	combine         string // "" or mean, sum, f1, min
	dropPunctuation bool
	dropStopWords   bool
	idf             *frequencies // nil = tokens weigh the same
	floor           float64
}

// newSimilarity reads the options of the reward.
func newSimilarity(r *spec.BMAS, o Options) (judge, error) {
	if o.Embedder == nil {
		return nil, errors.New("rewards.bmas needs the frozen embedding table of the initial policy")
	}
	for _, o := range []struct {
		name, value string
		want        []string
	}{
		{"pairing", r.Pairing, []string{"best", "one_to_one"}},
		{"combine", r.Combine, []string{"mean", "sum", "f1", "min"}},
		{"punctuation", r.Punctuation, []string{"keep", "drop"}},
		{"stop_words", r.StopWords, []string{"keep", "drop"}},
		{"frequency", r.Frequency, []string{"equal", "idf"}},
	} {
		if o.value != "" && !slices.Contains(o.want, o.value) {
			return nil, fmt.Errorf("rewards.bmas.%s: unknown value %q, want one of %s", o.name, o.value, strings.Join(o.want, ", "))
		}
	}
	s := similarity{
		embedder: o.Embedder, oneToOne: r.Pairing == "one_to_one", combine: r.Combine,
		dropPunctuation: r.Punctuation == "drop", dropStopWords: r.StopWords == "drop", floor: r.Floor,
	}
	if !r.Centre && r.Frequency != "idf" {
		return s, nil
	}
	table, ok := o.Embedder.(*Embedding)
	if !ok {
		return nil, fmt.Errorf("rewards.bmas: centre and frequency need an embedding table, not %T", o.Embedder)
	}
	if r.Centre {
		table = table.centred()
		s.embedder = table
	}
	if r.Frequency == "idf" {
		if len(o.References) == 0 {
			return nil, errors.New("rewards.bmas.frequency: idf needs the reference texts of training examples of open tasks, and there are none")
		}
		s.idf = newFrequencies(table, o.References, s.reduce)
	}
	return s, nil
}

func (s similarity) checkGold(ex data.Example) error {
	if len(ex.Answers) == 0 {
		return errors.New("no reference text")
	}
	for i, text := range ex.Answers {
		rows, _, err := s.embed(text)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fmt.Errorf("reference text %d has no tokens", i)
		}
	}
	return nil
}

func (s similarity) score(ex data.Example, answer string, _ moment) (verdict, error) {
	rows, weights, err := s.embed(answer)
	if err != nil {
		return verdict{}, err
	}
	if len(rows) == 0 {
		return verdict{note: "unparsed: answer without tokens"}, nil
	}
	v := verdict{parsed: true}
	for _, text := range ex.Answers {
		ref, refWeights, err := s.embed(text)
		if err != nil {
			return verdict{}, err
		}
		if len(ref) > 0 {
			v.value = max(v.value, s.value(cosines(rows, ref), weights, refWeights))
		}
	}
	return v, nil
}

// last knows no such thing: an open answer has no form.
func (similarity) last(string) (string, bool) { return "", false }

// value is the score of a matrix of cosines, with the weights of its rows and columns.
func (s similarity) value(cos [][]float64, u, v []float64) float64 {
	if s.oneToOne {
		return s.above(bipartite(cos))
	}
	forward, backward := directions(cos, u, v)
	switch s.combine {
	case "sum": // each direction bounded, as the sum of two similarities in [0, 1]
		return s.above(forward) + s.above(backward)
	case "f1":
		if forward <= 0 || backward <= 0 {
			return 0
		}
		return s.above(2 * forward * backward / (forward + backward))
	case "min":
		return s.above(min(forward, backward))
	}
	return s.above((forward + backward) / 2)
}

// above maps floor to 0 and 1 to 1, clipped to [0, 1].
func (s similarity) above(x float64) float64 {
	if s.floor > 0 {
		x = (x - s.floor) / (1 - s.floor)
	}
	return min(1, max(0, x))
}

// bipartite is the largest sum of cosines over one-to-one pairings, divided by the longer side; a pair that is less than unrelated adds 0.
func bipartite(cos [][]float64) float64 {
	gain := make([][]float64, len(cos))
	for i, row := range cos {
		gain[i] = make([]float64, len(row))
		for j, x := range row {
			gain[i][j] = max(0, x)
		}
	}
	return assign(gain) / float64(max(len(cos), len(cos[0])))
}

// embed returns the rows of what a text has to compare, and their weights (nil = equal).
func (s similarity) embed(text string) (rows [][]float32, weights []float64, err error) {
	text = s.reduce(text)
	if s.idf == nil {
		rows, err = s.embedder.Embed(text)
		return rows, nil, err
	}
	ids, rows, err := s.idf.table.tokens(text)
	for _, id := range ids {
		weights = append(weights, s.idf.weight(id))
	}
	return rows, weights, err
}

// reduce leaves out punctuation and stop words, as the experiment says. A text of nothing else stays whole: "it is" still answers.
func (s similarity) reduce(text string) string {
	reduced := text
	if s.dropStopWords {
		reduced = withoutStopWords(reduced)
	}
	if s.dropPunctuation {
		reduced = strings.Join(strings.FieldsFunc(reduced, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r)
		}), " ")
	}
	if strings.TrimSpace(reduced) == "" {
		return text
	}
	return reduced
}

// frequencies say in how many reference texts a token stands.
type frequencies struct {
	table *Embedding
	texts int
	count map[int]int
}

func newFrequencies(table *Embedding, references []string, reduce func(string) string) *frequencies {
	f := &frequencies{table, len(references), map[int]int{}}
	for _, text := range references {
		seen := map[int]bool{}
		for _, id := range table.encoder.Encode(reduce(text)) {
			if !seen[id] {
				seen[id] = true
				f.count[id]++
			}
		}
	}
	return f
}

// weight is ln((N + 1) / (n + 1)), which BERTScore calls the plus-one-smoothed idf (arXiv 1904.09675, section 3): 0 for a token that every
// text has.
func (f *frequencies) weight(id int) float64 {
	return math.Log(float64(f.texts+1) / float64(f.count[id]+1))
}
