package train

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"mixr/runtime/data"
)

// rowsPerUnit is how many examples one gradient run of the sft stage holds, where each has a row of its own. It is part of the numerics
// (padding and the order of sums follow from it), so it is no setting.
const rowsPerUnit = 8

// lesson is one example of the supervised stage.
type lesson struct {
	example data.Example
	prompt  *prompt
	target  []int // tokens to learn, the end-of-turn token included
	place   int   // among the examples of all steps
	row     int   // of its unit
}

// sequence is how it stands in its row.
func (l *lesson) sequence() sequence {
	return sequence{prompt: l.prompt, completions: [][]int{l.target}, row: l.row, place: l.place}
}

// length is how many tokens of a row it takes.
func (l *lesson) length() int { s := l.sequence(); return s.length() }

// sftStep is one update on target completions: loss = mean over the batch's target tokens of -log p. How the batch is cut into units and
// rows does not change it, since every token's weight is 1/(tokens of the whole batch).
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
	units := ownRows(lessons)
	if o.PackTokens > 0 {
		units = sharedRows(lessons, o.PackTokens)
	}
	u, err := r.update(ctx, len(units), step-1, func(l *lane, i int) (*unit, error) { return r.sftUnit(l, units[i], tokens) })
	if err != nil {
		return nil, err
	}
	rec.sft(slices.Concat(units...), u)
	rec.means()
	return rec, nil
}

// ownRows cuts a batch into units of rowsPerUnit examples, each in a row of its own. The longest come first: those of a unit are then of
// about the same length, and little of its rows is padding.
func ownRows(lessons []*lesson) [][]*lesson {
	lessons = slices.SortedStableFunc(slices.Values(lessons), func(a, b *lesson) int { return cmp.Compare(b.length(), a.length()) })
	for i, l := range lessons {
		l.row = i % rowsPerUnit
	}
	return slices.Collect(slices.Chunk(lessons, rowsPerUnit))
}

// sharedRows cuts a batch into units of one row of at most that many tokens. Each example, in order, goes into the first row that has
// room for it. One that is longer has a row for itself.
func sharedRows(lessons []*lesson, tokens int) [][]*lesson {
	var units [][]*lesson
	var room []int
	for _, l := range lessons {
		l.row = 0
		n := l.length()
		i := slices.IndexFunc(room, func(free int) bool { return free >= n })
		if i < 0 {
			i = len(units)
			units, room = append(units, nil), append(room, tokens)
		}
		units[i] = append(units[i], l)
		room[i] -= n
	}
	return units
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
