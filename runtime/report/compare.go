package report

import (
	"cmp"
	"fmt"
	"slices"

	"mixr/runtime/table"
)

// oneSeed stands beside every comparison of two single runs: where seeds move the accuracy by 2 points, intervals such
// as ours tell two equal variants apart about 13 times in 100 instead of 5 (500 examples; TestOneSeedMisleads).
const oneSeed = "one seed: item noise only; the interval says nothing about other seeds"

// Delta compares the reward of two sides, A and B, over a set of examples. Samples of an example are averaged first.
// A and B are means over the paired examples alone, so Delta = B - A.
type Delta struct {
	Task     string    `json:"task"`   // empty: all tasks
	Source   string    `json:"source"` // empty: all sources of the task
	N        int       `json:"n"`      // paired examples
	Seeds    int       `json:"seeds"`  // paired seeds
	A        float64   `json:"a"`
	B        float64   `json:"b"`
	Delta    float64   `json:"delta"`
	Interval *Interval `json:"interval"`       // of Delta; null where the examples show no spread
	Flips    *Flips    `json:"flips"`          // null unless every pair is right or wrong, with one seed and one sample an example
	Test     *Test     `json:"test,omitempty"` // over seeds and examples; null on one seed, and where nothing varies
}

// Flips counts what became of right and wrong answers from A to B.
type Flips struct {
	Up        int     `json:"up"`   // wrong in A, right in B
	Down      int     `json:"down"` // right in A, wrong in B
	BothRight int     `json:"both_right"`
	BothWrong int     `json:"both_wrong"`
	P         float64 `json:"p"` // exact McNemar, two-sided
}

// Unmatched counts what only one side evaluated. It is in no number. Where several seeds are compared, the counts of examples are
// those of the seed with most.
type Unmatched struct {
	OnlyA   int `json:"only_a"`  // examples
	OnlyB   int `json:"only_b"`  // examples
	Changed int `json:"changed"` // examples with the same id and another task, question, gold answer or image
	Samples int `json:"samples"` // completions of paired examples that the other side did not sample

	Seeds    int `json:"seeds"`     // runs whose seed has no partner on the other side
	SomeSeed int `json:"some_seed"` // examples that have a partner with some seeds and not with all
}

// warnings says so in words, with the names of the sides.
func (u Unmatched) warnings(a, b string) []string {
	var w []string
	if u.OnlyA+u.OnlyB+u.Changed > 0 {
		w = append(w, fmt.Sprintf("left out, having no partner: %d examples only in %s, %d only in %s, %d with the same id and other content",
			u.OnlyA, a, u.OnlyB, b, u.Changed))
	}
	if u.Samples > 0 {
		w = append(w, fmt.Sprintf("left out, having no partner: %d completions, because one side took more samples", u.Samples))
	}
	if u.Seeds > 0 {
		w = append(w, fmt.Sprintf("left out, having no partner: %d runs, because one side has more seeds", u.Seeds))
	}
	if u.SomeSeed > 0 {
		w = append(w, fmt.Sprintf("left out: %d examples that have no partner with some of the seeds", u.SomeSeed))
	}
	return w
}

// pair is one completion of one example on both sides.
type pair struct {
	a, b table.Eval
	seed int // index of the pair of seeds
}

// example is a paired example with all its paired samples, in order of seed and sample.
type example struct {
	source, task, id string
	pairs            []pair
}

// means are the mean rewards of both sides, every seed counting the same.
func (e example) means() (a, b float64) {
	seeds := 0.0
	for i := 0; i < len(e.pairs); {
		var sumA, sumB, n float64
		for seed := e.pairs[i].seed; i < len(e.pairs) && e.pairs[i].seed == seed; i++ {
			sumA += e.pairs[i].a.Reward
			sumB += e.pairs[i].b.Reward
			n++
		}
		a += sumA / n
		b += sumB / n
		seeds++
	}
	return a / seeds, b / seeds
}

// of is the example with the pairs of one seed.
func (e example) of(seed int) example {
	from, _ := slices.BinarySearchFunc(e.pairs, seed, func(p pair, seed int) int { return cmp.Compare(p.seed, seed) })
	to, _ := slices.BinarySearchFunc(e.pairs, seed+1, func(p pair, seed int) int { return cmp.Compare(p.seed, seed) })
	e.pairs = e.pairs[from:to]
	return e
}

// match pairs two evaluations by (source, example id, sample), never by position, and only where the item's content is
// the same. Examples come back sorted by task, source and id.
func match(a, b []table.Eval) ([]example, Unmatched) {
	type key struct{ source, id string }
	group := func(rows []table.Eval) map[key][]table.Eval {
		m := map[key][]table.Eval{}
		for _, r := range rows {
			k := key{r.Source, r.ExampleID}
			m[k] = append(m[k], r)
		}
		return m
	}
	inA, inB := group(a), group(b)
	var examples []example
	var u Unmatched
	for k, rowsA := range inA {
		rowsB, ok := inB[k]
		switch {
		case !ok:
			u.OnlyA++
		case rowsA[0].ItemSHA != rowsB[0].ItemSHA || rowsA[0].Task != rowsB[0].Task:
			u.Changed++
		default:
			e := example{source: k.source, task: rowsA[0].Task, id: k.id, pairs: pairSamples(rowsA, rowsB)}
			u.Samples += len(rowsA) + len(rowsB) - 2*len(e.pairs)
			if len(e.pairs) > 0 {
				examples = append(examples, e)
			}
		}
	}
	for k := range inB {
		if _, ok := inA[k]; !ok {
			u.OnlyB++
		}
	}
	slices.SortFunc(examples, example.order)
	return examples, u
}

// order sorts examples by task, source and id.
func (e example) order(other example) int {
	return cmp.Or(taskOrder(e.task, other.task), cmp.Compare(e.source, other.source), cmp.Compare(e.id, other.id))
}

// matchSeeds pairs the evaluations of several seeds, a[s] with b[s], and keeps the examples that have a partner with all of them.
func matchSeeds(a, b [][]table.Eval) ([]example, Unmatched) {
	examples, u := match(a[0], b[0])
	for s := 1; s < len(a); s++ {
		more, v := match(a[s], b[s])
		u.OnlyA, u.OnlyB, u.Changed = max(u.OnlyA, v.OnlyA), max(u.OnlyB, v.OnlyB), max(u.Changed, v.Changed)
		u.Samples += v.Samples
		both := examples[:0]
		for i, j := 0, 0; i < len(examples) || j < len(more); {
			way := 0
			switch {
			case i == len(examples):
				way = 1
			case j == len(more):
				way = -1
			default:
				way = examples[i].order(more[j])
			}
			if way == 0 && examples[i].pairs[0].a.ItemSHA == more[j].pairs[0].a.ItemSHA {
				for _, p := range more[j].pairs {
					p.seed = s
					examples[i].pairs = append(examples[i].pairs, p)
				}
				both = append(both, examples[i])
			} else {
				u.SomeSeed++
			}
			if way <= 0 {
				i++
			}
			if way >= 0 {
				j++
			}
		}
		examples = both
	}
	return examples, u
}

func pairSamples(a, b []table.Eval) []pair {
	of := map[int32]table.Eval{}
	for _, r := range b {
		of[r.Sample] = r
	}
	var pairs []pair
	for _, r := range a {
		if other, ok := of[r.Sample]; ok {
			pairs = append(pairs, pair{a: r, b: other})
			delete(of, r.Sample) // a sample that stands in a table twice has one partner
		}
	}
	slices.SortFunc(pairs, func(x, y pair) int { return cmp.Compare(x.a.Sample, y.a.Sample) })
	return pairs
}

// deltas compares by task and source, by task where a task has several sources, and over all examples, in this order.
// The key makes the bootstrap reproducible.
func deltas(examples []example, key string) []Delta {
	var out []Delta
	each(examples, func(task, source string, of []example) {
		out = append(out, compare(task, source, of, fmt.Sprintf("%s|%s|%s", key, task, source)))
	})
	var tests []*Test
	for _, d := range out {
		tests = append(tests, d.Test)
	}
	correct(tests)
	return out
}

// correct sets Holm's correction of each test, nil ones left out, over all of them; it returns how many they are.
func correct(tests []*Test) (family int) {
	tests = slices.DeleteFunc(tests, func(t *Test) bool { return t == nil })
	var p []float64
	for _, t := range tests {
		p = append(p, t.P)
	}
	for i, adjusted := range holm(p) {
		tests[i].Holm = adjusted
	}
	return len(tests)
}

// each calls f for the examples, sorted as match sorts them, of every task and source; of every task that has several sources, the
// source then being empty; and, if that was more than one, of all.
func each(examples []example, f func(task, source string, of []example)) {
	calls := 0
	for i := 0; i < len(examples); {
		task := examples[i].task
		end := i
		sources := 0
		for end < len(examples) && examples[end].task == task {
			first := end
			for end < len(examples) && examples[end].task == task && examples[end].source == examples[first].source {
				end++
			}
			f(task, examples[first].source, examples[first:end])
			sources++
		}
		if sources > 1 {
			f(task, "", examples[i:end])
		}
		calls += sources
		i = end
	}
	if calls > 1 {
		f("", "", examples)
	}
}

func compare(task, source string, examples []example, key string) Delta {
	rows := bySeed(examples)
	d := Delta{Task: task, Source: source, N: len(examples), Seeds: len(rows)}
	diffs := make([]float64, len(examples))
	for i, e := range examples {
		a, b := e.means()
		d.A += a
		d.B += b
		diffs[i] = b - a
	}
	n := float64(len(examples))
	d.A, d.B = d.A/n, d.B/n
	d.Delta = d.B - d.A
	if len(rows) > 1 {
		d.Test, d.Interval = twoLevel(rows)
		if d.Test != nil {
			d.Test.foresee(rows)
		}
		return d
	}
	d.Interval = bootstrap(diffs, key)
	d.Flips = countFlips(examples)
	return d
}

// bySeed is the difference of every seed and example, [seed][example].
func bySeed(examples []example) [][]float64 {
	last := examples[0].pairs[len(examples[0].pairs)-1]
	rows := make([][]float64, last.seed+1)
	for s := range rows {
		for _, e := range examples {
			a, b := e.of(s).means()
			rows[s] = append(rows[s], b-a)
		}
	}
	return rows
}

// countFlips returns nil unless every example has one sample that is right or wrong on both sides: several samples of
// one example are not independent, and McNemar's test would count them as if they were.
func countFlips(examples []example) *Flips {
	var f Flips
	for _, e := range examples {
		if len(e.pairs) != 1 {
			return nil
		}
		a, okA := right(e.pairs[0].a)
		b, okB := right(e.pairs[0].b)
		switch {
		case !okA || !okB:
			return nil
		case a && b:
			f.BothRight++
		case a:
			f.Down++
		case b:
			f.Up++
		default:
			f.BothWrong++
		}
	}
	f.P = mcnemar(f.Up, f.Down)
	return &f
}

// right is the row's verdict: the column correct, or else a reward of exactly 0 or 1.
func right(r table.Eval) (is, ok bool) {
	if r.Correct != nil {
		return *r.Correct, true
	}
	return r.Reward == 1, r.Reward == 0 || r.Reward == 1
}

// taskOrder sorts tasks as the glossary lists them, others behind.
func taskOrder(a, b string) int {
	order := []string{"yesno", "mcq", "chart", "grounding", "open"}
	rank := func(t string) int {
		if i := slices.Index(order, t); i >= 0 {
			return i
		}
		return len(order)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}
