package report

import (
	"cmp"
	"math"
	"slices"
)

// Flip is one example whose reward moved, with the completion of either side.
type Flip struct {
	Task        string  `json:"task"`
	Source      string  `json:"source"`
	ExampleID   string  `json:"example_id"`
	Sample      int     `json:"sample"` // of the example's completions, the one that shows the move best
	Image       string  `json:"image,omitempty"`
	Question    string  `json:"question,omitempty"`
	Gold        string  `json:"gold,omitempty"`
	RewardA     float64 `json:"reward_a"`
	RewardB     float64 `json:"reward_b"`
	CompletionA string  `json:"completion_a"`
	CompletionB string  `json:"completion_b"`
}

const defaultFlips = 5

// flips returns the examples whose mean reward moved most, largest first. Where gains and losses are equally large, as
// they all are with rewards of 0 and 1, they alternate: a page of losses alone would mislead. Ties beyond that stand in
// order of task, source and id.
func flips(examples []example, o DiffOptions) []Flip {
	var up, down []example
	for _, e := range examples {
		switch a, b := e.means(); {
		case b > a:
			up = append(up, e)
		case b < a:
			down = append(down, e)
		}
	}
	for _, side := range [][]example{up, down} {
		slices.SortStableFunc(side, func(x, y example) int { return cmp.Compare(y.moved(), x.moved()) })
	}
	out := []Flip{}
	gains := 0
	for keep := cmp.Or(o.Flips, defaultFlips); len(out) < keep && len(up)+len(down) > 0; {
		gain := len(down) == 0
		if len(up) > 0 && len(down) > 0 {
			losses := len(out) - gains
			gain = cmp.Or(cmp.Compare(up[0].moved(), down[0].moved()), cmp.Compare(losses, gains)) >= 0
		}
		if gain {
			out, up, gains = append(out, up[0].flip()), up[1:], gains+1
		} else {
			out, down = append(out, down[0].flip()), down[1:]
		}
	}
	return out
}

func (e example) moved() float64 {
	a, b := e.means()
	return math.Abs(b - a)
}

// flip shows the example by the sample that moved most the way the example did.
func (e example) flip() Flip {
	meanA, meanB := e.means()
	way := math.Copysign(1, meanB-meanA)
	var most Flip
	for i, p := range e.pairs {
		f := Flip{
			Task: e.task, Source: e.source, ExampleID: e.id, Sample: int(p.a.Sample),
			Image: text(p.a.Image), Question: text(p.a.Question), Gold: text(p.a.Gold),
			RewardA: p.a.Reward, RewardB: p.b.Reward, CompletionA: p.a.Completion, CompletionB: p.b.Completion,
		}
		if i == 0 || way*(f.RewardB-f.RewardA) > way*(most.RewardB-most.RewardA) {
			most = f
		}
	}
	return most
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
