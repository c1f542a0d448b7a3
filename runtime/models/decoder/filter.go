package decoder

import (
	"cmp"
	"math"
	"slices"
)

// Filter narrows the distribution that tokens are drawn from. Its parts work in this order, which is that of transformers' logits
// processors, and mean what they mean there:
//
//	repetition_penalty   logits of tokens seen are divided by it where positive, multiplied where negative (arXiv 1909.05858)
//	temperature          logits are divided by it
//	top_k                what lies below the k-th largest logit leaves; equals of it stay
//	top_p                of the rest, what is not among the likeliest whose mass reaches p leaves (arXiv 1904.09751): a token stays where the
//	                     mass of those before it is below p. Of equals, the later in the vocabulary come first
//	min_p                what is left and less likely than p times the likeliest leaves (arXiv 2407.01082)
//
// The likeliest token always stays.
type Filter struct {
	RepetitionPenalty float64 // 1 = off
	Temperature       float64 // 0 = greedy: the largest logit after the penalty, the first of equals
	TopK              int     // 0 = off
	TopP              float64 // 1 = off
	MinP              float64 // 0 = off
}

// Narrows reports whether the filter draws from another distribution than the softmax of the tempered logits, and so needs a Picker.
func (f Filter) Narrows() bool {
	return f.RepetitionPenalty != 1 || f.Temperature > 0 && (f.TopK > 0 || f.TopP < 1 || f.MinP > 0)
}

// Picker draws tokens of a filtered distribution on the host, in float64. It keeps room for a vocabulary; one goroutine uses it.
type Picker struct {
	filter Filter
	weight []float64 // e^(z - max z) of what has not left; 0 where a token has
	order  []int     // tokens by weight
	sorted []float64 // their weights, or topK's heap
}

// NewPicker returns a picker of tokens 0 to vocab-1.
func NewPicker(f Filter, vocab int) *Picker {
	return &Picker{filter: f, weight: make([]float64, vocab), sorted: make([]float64, vocab)}
}

// Pick draws by inverse CDF in the order of the vocabulary: the first token whose cumulative probability reaches u. logits [V]; seen [V]
// says which tokens the penalty is for, nil for none. logp is the token's natural-log probability under the distribution drawn from, own
// under the softmax of logits / temperature, which a trainer scores by; both 0 of a greedy token. Logits that are not all finite
// numbers or -Inf, or all -Inf, give a NaN.
func (k *Picker) Pick(logits []float32, seen []bool, u float64) (token int, logp, own float64) {
	f := k.filter
	if f.Temperature == 0 {
		return k.largest(logits, seen)
	}
	w, top := k.weight, math.Inf(-1)
	for v, x := range logits {
		w[v] = k.penalised(x, seen, v) / f.Temperature
		top = max(top, w[v])
	}
	total := 0.0
	for v, z := range w {
		w[v] = math.Exp(z - top)
		total += w[v]
	}
	plain := top + math.Log(total) // log sum e^z of the logits as they came
	if seen != nil {
		plain = logSumExp(logits, f.Temperature)
	}
	k.topK()
	k.topP()
	total = 0
	for v, x := range w {
		if x < f.MinP { // the likeliest has weight 1
			w[v] = 0
		}
		total += w[v]
	}
	token, before, target := -1, 0.0, u*total
	for v, x := range w {
		if x == 0 {
			continue
		}
		token, before = v, before+x
		if before >= target {
			break
		}
	}
	if token < 0 || math.IsNaN(total) {
		return 0, math.NaN(), math.NaN()
	}
	return token, math.Log(w[token] / total), float64(logits[token])/f.Temperature - plain
}

// logSumExp is log sum e^(x / temperature) over the logits.
func logSumExp(logits []float32, temperature float64) float64 {
	top, mass := math.Inf(-1), 0.0
	for _, x := range logits {
		top = max(top, float64(x)/temperature)
	}
	for _, x := range logits {
		mass += math.Exp(float64(x)/temperature - top)
	}
	return top + math.Log(mass)
}

// penalised is the logit of token v after the repetition penalty.
func (k *Picker) penalised(logit float32, seen []bool, v int) float64 {
	x, p := float64(logit), k.filter.RepetitionPenalty
	switch {
	case seen == nil || !seen[v]:
		return x
	case x < 0:
		return x * p
	}
	return x / p
}

// largest is Pick without a draw: the first of the largest logits.
func (k *Picker) largest(logits []float32, seen []bool) (token int, logp, own float64) {
	best, at := math.Inf(-1), -1
	for v, x := range logits {
		y := k.penalised(x, seen, v)
		if math.IsNaN(y) || math.IsInf(y, 1) {
			return 0, math.NaN(), math.NaN()
		}
		if y > best {
			best, at = y, v
		}
	}
	if at < 0 {
		return 0, math.NaN(), math.NaN()
	}
	return at, 0, 0
}

// topK sets weights below the k-th largest to 0.
func (k *Picker) topK() {
	n := k.filter.TopK
	if n == 0 || n >= len(k.weight) {
		return
	}
	heap := k.sorted[:n] // the n largest so far, the least of them at the root
	copy(heap, k.weight)
	for i := n/2 - 1; i >= 0; i-- {
		sink(heap, i)
	}
	for _, x := range k.weight[n:] {
		if x > heap[0] {
			heap[0] = x
			sink(heap, 0)
		}
	}
	for v, x := range k.weight {
		if x < heap[0] {
			k.weight[v] = 0
		}
	}
}

// sink lets element i of a heap fall to its place.
func sink(heap []float64, i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heap); child++ {
			if heap[child] < heap[least] {
				least = child
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}

// topP sets the weights to 0 that the likeliest tokens leave out. Only those are sorted that may be among them: a vocabulary has a
// hundred thousand others.
func (k *Picker) topP() {
	p := k.filter.TopP
	if p >= 1 {
		return
	}
	total := 0.0
	for _, w := range k.weight {
		total += w
	}
	for floor := 0.1; ; floor *= 0.01 {
		if floor < 1e-12 {
			floor = 0
		}
		k.order = k.order[:0]
		mass := 0.0
		for v, w := range k.weight {
			if w > floor {
				k.order = append(k.order, v)
				mass += w
			}
		}
		if mass >= p*total || floor == 0 {
			break
		}
	}
	slices.SortFunc(k.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(k.weight[b], k.weight[a]), cmp.Compare(b, a))
	})
	before, kept := 0.0, k.sorted[:0]
	for _, v := range k.order {
		if before >= p*total && len(kept) > 0 {
			break
		}
		before += k.weight[v]
		kept = append(kept, k.weight[v])
	}
	k.order = k.order[:len(kept)]
	clear(k.weight)
	for i, v := range k.order {
		k.weight[v] = kept[i]
	}
}
