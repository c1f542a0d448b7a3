package reward

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"mixr/runtime/data"
)

// chart is the training reward of charts and documents: relaxed accuracy (arXiv 2203.10244) on cleaned numbers.
//
// Against a numeric gold the answer counts iff |pred - gold|/|gold| <= tolerance, after currency signs, thousands
// separators, percent signs, scale words and units are read as what they are (readQuantity, readings); a gold of 0 needs
// |pred| <= 1e-9, and a gold year (a bare integer from 1900 to 2100) needs the very year: under the plain rule every
// year within 101 of 2020 earns the full reward. Two fractions must be equal (25/12 may be a date). Against a textual gold the normalised texts must be equal. Several
// golds: the best. ChartQA is the metric without any of this.
type chart struct{ tolerance float64 }

// zeroGold is the largest magnitude that equals a gold of 0.
const zeroGold = 1e-9

func (chart) checkGold(ex data.Example) error {
	if len(ex.Answers) == 0 {
		return errors.New("no answer")
	}
	for _, a := range ex.Answers {
		if strings.TrimSpace(a) == "" {
			return fmt.Errorf("answers %q: one is blank", ex.Answers)
		}
	}
	return nil
}

func (c chart) score(ex data.Example, answer string, _ Frame) (verdict, error) {
	ok := slices.ContainsFunc(ex.Answers, func(gold string) bool { return c.matches(answer, gold) })
	if !ok && slices.ContainsFunc(ex.Answers, isQuantity) && !isQuantity(answer) {
		return verdict{note: "unparsed: not a number"}, nil
	}
	return verdict{value: indicator(ok), parsed: true}, nil
}

func isQuantity(s string) bool {
	_, ok := readQuantity(s)
	return ok
}

func (c chart) matches(answer, gold string) bool {
	p, ok := readQuantity(answer)
	g, numeric := readQuantity(gold)
	if !ok || !numeric {
		return sameText(answer, gold)
	}
	if g.year || p.ratio && g.ratio {
		return slices.Contains(p.readings(g), g.value)
	}
	for _, x := range p.readings(g) {
		for _, y := range g.readings(p) {
			if closeTo(x, y, c.tolerance) {
				return true
			}
		}
	}
	return false
}

// closeTo is the relaxed comparison, in the order of operations of the published rule: float64 makes 0.95 against 1 a
// difference of 0.05 + 4e-17, which is too much.
func closeTo(pred, gold, tolerance float64) bool {
	if gold == 0 {
		return math.Abs(pred) <= zeroGold
	}
	return math.Abs(pred-gold)/math.Abs(gold) <= tolerance
}
