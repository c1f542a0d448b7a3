package train

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"mixr/runtime/data"
)

// examplesPerUnit is how many examples one gradient run of the sft stage holds where pack_tokens does not say. It is part of the numerics
// (the order of sums follows from it), so it is no setting.
const examplesPerUnit = 8

// lesson is one example of the supervised stage.
type lesson struct {
	example data.Example
	prompt  *prompt
	target  []int // tokens to learn, the end-of-turn token included
	place   int   // among the examples of all steps
	window  int   // of its unit: attention sees the examples of a window at once, each by itself
}

// sequence is how it stands in its unit.
func (l *lesson) sequence() sequence {
	return sequence{prompt: l.prompt, completions: [][]int{l.target}, row: l.window, place: l.place}
}

// length is how many tokens it feeds.
func (l *lesson) length() int { s := l.sequence(); return s.length() }

// sftStep is one update on target completions: loss = mean over the batch's target tokens of -log p. How the batch is cut into units
// does not change it, since every token's weight is 1/(tokens of the whole batch).
func (r *runner) sftStep(ctx context.Context, step int) (*record, error) {
	o := r.exp.SFT
	batch := r.mix.Batch(step-1, o.BatchSize)
	rec := newRecord(step)

	lessons := make([]*lesson, len(batch))
	err := ordered(ctx, len(batch), len(r.lanes), len(batch), func(lane, i int) (struct{}, error) {
		render := r.lanes[lane].prompter
		p, err := render.render(batch[i])
		target := append(render.tok.Encode(batch[i].Target), r.in.Policy.Model.EndOfTurn())
		lessons[i] = &lesson{example: batch[i], prompt: p, target: target, place: (step-1)*len(batch) + i}
		return struct{}{}, err
	}, func(int, struct{}) error { return nil }, nil)
	if err != nil {
		return nil, err
	}
	tokens := 0
	for _, l := range lessons {
		tokens += len(l.target)
	}
	units := ofEqualLength(lessons)
	if o.PackTokens > 0 {
		units = packed(lessons, o.PackTokens)
	}
	u, err := r.update(ctx, len(units), step-1, func(l *lane, i int) (*unit, error) { return r.sftUnit(l, units[i], tokens) })
	if err != nil {
		return nil, err
	}
	rec.sft(slices.Concat(units...), u)
	rec.means()
	return rec, nil
}

// ofEqualLength cuts a batch into units of examplesPerUnit examples, each in a window of its own. The longest come first: those of a
// unit are then of about the same length, and little of its windows is left over.
func ofEqualLength(lessons []*lesson) [][]*lesson {
	lessons = slices.SortedStableFunc(slices.Values(lessons), func(a, b *lesson) int { return cmp.Compare(b.length(), a.length()) })
	for i, l := range lessons {
		l.window = i % examplesPerUnit
	}
	return slices.Collect(slices.Chunk(lessons, examplesPerUnit))
}

// packed cuts a batch into units of at most that many tokens. Each example, in order, goes into the first unit that has room for it; one
// that is longer is a unit. The windows of a unit are as long as its longest example, and filled in the same way.
func packed(lessons []*lesson, tokens int) [][]*lesson {
	units := firstFit(lessons, tokens)
	for _, unit := range units {
		longest := slices.MaxFunc(unit, func(a, b *lesson) int { return cmp.Compare(a.length(), b.length()) }).length()
		for i, window := range firstFit(unit, longest) {
			for _, l := range window {
				l.window = i
			}
		}
	}
	return units
}

// firstFit puts each of the lessons, in order, into the first bin with room for its tokens, or into a new one.
func firstFit(lessons []*lesson, room int) (bins [][]*lesson) {
	var used []int
	for _, l := range lessons {
		i := slices.IndexFunc(used, func(n int) bool { return n+l.length() <= room })
		if i < 0 {
			i = len(bins)
			bins, used = append(bins, nil), append(used, 0)
		}
		bins[i] = append(bins[i], l)
		used[i] += l.length()
	}
	return bins
}

// sftUnit computes loss and gradients of some examples. tokens is the number of target tokens of the whole batch.
func (r *runner) sftUnit(l *lane, lessons []*lesson, tokens int) (*unit, error) {
	var sequences []sequence
	var weight []float32
	first := 0
	for _, x := range lessons {
		s := x.sequence()
		s.firstImage = first
		for _, picture := range x.prompt.pictures {
			first += picture.Tokens
		}
		sequences = append(sequences, s)
		weight = append(weight, slices.Repeat([]float32{float32(1 / float64(tokens))}, len(x.target))...)
	}
	u, err := r.gradient(l, sequences, nil, map[string][]float32{"weight": weight}, 1)
	if err != nil {
		return nil, fmt.Errorf("examples %s: %w", ids(lessons), err)
	}
	return u, nil
}

func ids(lessons []*lesson) string {
	var out []string
	for _, l := range lessons {
		out = append(out, l.example.ID)
	}
	return strings.Join(out, ", ")
}
