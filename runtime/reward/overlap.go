package reward

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// wordOverlap is the text reward: what the words of an answer and of the reference texts have in common. It needs no model, and is what
// BMAS is compared with.
type wordOverlap struct {
	measure func(answer []string, references [][]string) float64
}

// newOverlap reads the options of the reward.
func newOverlap(r *spec.Text) (judge, error) {
	switch r.Measure {
	case "", "rouge_l":
		return wordOverlap{best(rougeL)}, nil
	case "bleu":
		return wordOverlap{bleu}, nil
	case "ngram_f":
		return wordOverlap{best(ngramF)}, nil
	}
	return nil, fmt.Errorf("rewards.text.measure: unknown measure %q, want rouge_l, bleu or ngram_f", r.Measure)
}

// best takes the best of the references.
func best(pair func(a, b []string) float64) func([]string, [][]string) float64 {
	return func(answer []string, references [][]string) float64 {
		x := 0.0
		for _, r := range references {
			x = max(x, pair(answer, r))
		}
		return x
	}
}

func (wordOverlap) checkGold(ex data.Example) error {
	if len(ex.Answers) == 0 {
		return errors.New("no reference text")
	}
	for i, text := range ex.Answers {
		if len(wordsOf(text)) == 0 {
			return fmt.Errorf("reference text %d has no words", i)
		}
	}
	return nil
}

func (w wordOverlap) score(ex data.Example, answer string, _ moment) (verdict, error) {
	words := wordsOf(answer)
	if len(words) == 0 {
		return verdict{note: "unparsed: answer without words"}, nil
	}
	var references [][]string
	for _, text := range ex.Answers {
		references = append(references, wordsOf(text))
	}
	return verdict{value: w.measure(words, references), parsed: true}, nil
}

// last knows no such thing: an open answer has no form.
func (wordOverlap) last(string) (string, bool) { return "", false }

// rougeL is ROUGE-L (Lin 2004) with beta = 1: 2 L / (m + n) for the length L of the longest common subsequence of m and n words.
// It is symmetric, and sees the order of words.
func rougeL(a, b []string) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	if len(a) > len(b) {
		a, b = b, a // the row kept is the shorter one's
	}
	row := make([]int, len(a)+1)
	for _, w := range b {
		diagonal := 0
		for i, x := range a {
			above := row[i+1]
			if x == w {
				row[i+1] = diagonal + 1
			} else {
				row[i+1] = max(row[i], above)
			}
			diagonal = above
		}
	}
	return 2 * float64(row[len(a)]) / float64(len(a)+len(b))
}

// maxNGram is the longest n-gram of BLEU and of ngram_f.
const maxNGram = 4

// ngrams counts the n-grams of a text's words.
func ngrams(words []string, n int) map[string]int {
	out := map[string]int{}
	for i := 0; i+n <= len(words); i++ {
		out[strings.Join(words[i:i+n], " ")]++
	}
	return out
}

// bleu is BLEU-4 (Papineni et al. 2002) of one sentence, with one added to matches and totals above unigrams (Lin and Och 2004): without
// it most short answers score 0. Matches are clipped to the largest count in any reference; the brevity penalty exp(1 - r/c) takes the
// reference length r nearest to the answer's c, the shorter of two.
//
// An n above the answer's length counts as 1/1, so that a short answer equal to its reference scores 1.
func bleu(answer []string, references [][]string) float64 {
	if len(answer) == 0 || len(references) == 0 {
		return 0
	}
	sum := 0.0
	for n := 1; n <= maxNGram; n++ {
		clip := map[string]int{}
		for _, r := range references {
			for g, k := range ngrams(r, n) {
				clip[g] = max(clip[g], k)
			}
		}
		matches, total := 0, max(0, len(answer)-n+1)
		for g, k := range ngrams(answer, n) {
			matches += min(k, clip[g])
		}
		if n > 1 {
			matches, total = matches+1, total+1
		}
		if matches == 0 {
			return 0
		}
		sum += math.Log(float64(matches) / float64(total))
	}
	c, r := len(answer), len(references[0])
	for _, ref := range references[1:] {
		if d, e := abs(len(ref)-c), abs(r-c); d < e || d == e && len(ref) < r {
			r = len(ref)
		}
	}
	brevity := min(0, 1-float64(r)/float64(c))
	return math.Exp(sum/maxNGram + brevity)
}

func abs(n int) int { return max(n, -n) }

// ngramF is the mean over n = 1 to 4 of F1 = 2 matches / (all of a + all of b) over n-grams, matches clipped to the smaller count. Lengths
// of n that neither text has are left out; one that only one has counts as 0. It is symmetric.
//
// differs: CIDEr (arXiv 1411.5726) takes the cosine of tf-idf vectors, stems words and multiplies by 10.
func ngramF(a, b []string) float64 {
	sum, lengths := 0.0, 0
	for n := 1; n <= maxNGram; n++ {
		all := max(0, len(a)-n+1) + max(0, len(b)-n+1)
		if all == 0 {
			break
		}
		matches, other := 0, ngrams(b, n)
		for g, k := range ngrams(a, n) {
			matches += min(k, other[g])
		}
		sum += 2 * float64(matches) / float64(all)
		lengths++
	}
	if lengths == 0 {
		return 0
	}
	return sum / float64(lengths)
}
