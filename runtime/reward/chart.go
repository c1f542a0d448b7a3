package reward

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// chart is the training reward of charts and documents: relaxed accuracy (arXiv 2203.10244) on cleaned numbers.
//
// Against a numeric gold the answer counts iff |pred - gold|/|gold| <= tolerance, after currency signs, thousands
// separators, percent signs, scale words and units are read as what they are (readQuantity, readings); a gold of 0 needs
// |pred| <= 1e-9, and a gold year (a bare integer from 1900 to 2100) needs the very year: under the plain rule every
// year within 101 of 2020 earns the full reward. Two fractions must be equal (25/12 may be a date). Against a textual gold the
// normalised texts must be equal. Several golds: the best. ChartQA is the metric without any of this.
//
// The zero value of the other fields is this rule; they read more, or compare more strictly, where the experiment says so.
type chart struct {
	tolerance float64
	math      bool   // read expressions as well (expression.go)
	years     string // "" or gold, wide, none
	codes     bool   // golds that are codes are compared as texts
	dates     dateOrder
	lists     string // "" or text, ordered, any_order
	anls      bool   // texts by edit distance
}

// newChart reads the options of the reward.
func newChart(c *spec.Chart) (judge, error) {
	for _, o := range []struct {
		name, value string
		want        []string
	}{
		{"numbers", c.Numbers, []string{"plain", "math"}},
		{"years", c.Years, []string{"gold", "wide", "none"}},
		{"dates", c.Dates, []string{"text", string(dayFirst), string(monthFirst)}},
		{"lists", c.Lists, []string{"text", "ordered", "any_order"}},
		{"text", c.Text, []string{"exact", "anls"}},
	} {
		if o.value != "" && !slices.Contains(o.want, o.value) {
			return nil, fmt.Errorf("rewards.chart.%s: unknown value %q, want one of %s", o.name, o.value, strings.Join(o.want, ", "))
		}
	}
	out := chart{tolerance: c.Tolerance, math: c.Numbers == "math", years: c.Years, codes: c.Codes, lists: c.Lists, anls: c.Text == "anls"}
	if c.Dates != "text" {
		out.dates = dateOrder(c.Dates)
	}
	return out, nil
}

// zeroGold is the largest magnitude that equals a gold of 0.
const zeroGold = 1e-9

// roundOff is the relative error that evaluating an expression may make: some operations of 1e-16 each.
const roundOff = 1e-12

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

func (c chart) score(ex data.Example, answer string, _ moment) (verdict, error) {
	best := 0.0
	for _, gold := range ex.Answers {
		if best = max(best, c.value(answer, gold)); best == 1 {
			break
		}
	}
	if best == 0 && !c.isNumber(answer) && slices.ContainsFunc(ex.Answers, c.isNumber) {
		return verdict{note: "unparsed: not a number"}, nil
	}
	return verdict{value: best, parsed: true}, nil
}

func (c chart) isNumber(s string) bool {
	_, ok := c.read(s)
	return ok
}

// read reads a number in the forms that the experiment knows.
func (c chart) read(s string) (quantity, bool) {
	if !c.math {
		return readQuantity(s)
	}
	return readMath(s)
}

// value scores an answer against one gold, 0 to 1; between them only with lists and anls.
func (c chart) value(answer, gold string) float64 {
	if c.lists == "ordered" || c.lists == "any_order" {
		if golds := items(gold); len(golds) > 1 && !c.isNumber(gold) && !c.isDate(gold) {
			return c.itemwise(items(answer), golds)
		}
	}
	return c.item(answer, gold)
}

// itemwise is the share of items that match, over the longer list.
func (c chart) itemwise(answers, golds []string) float64 {
	gain := make([][]float64, len(golds))
	sum := 0.0
	for i, gold := range golds {
		gain[i] = make([]float64, len(answers))
		for j, answer := range answers {
			if c.lists == "any_order" || i == j {
				gain[i][j] = c.item(answer, gold)
			}
		}
		if i < len(answers) {
			sum += gain[i][i]
		}
	}
	if c.lists == "any_order" {
		sum = assign(gain)
	}
	return sum / float64(max(len(golds), len(answers)))
}

// item scores an answer against a gold that is no list.
func (c chart) item(answer, gold string) float64 {
	switch {
	case c.codes && isCode(gold):
		return indicator(sameText(answer, gold))
	case c.isDate(gold):
		return indicator(sameText(answer, gold) || c.dates.same(answer, gold))
	}
	if c.matches(answer, gold) {
		return 1
	}
	if c.anls && !c.isNumber(gold) {
		return anls(normalize(withoutCue(plain(answer))), normalize(gold))
	}
	return 0
}

func (c chart) isDate(gold string) bool {
	if c.dates == "" {
		return false
	}
	_, ok := c.dates.read(gold)
	return ok
}

// matches compares two numbers, or two texts where one of them is none.
func (c chart) matches(answer, gold string) bool {
	p, ok := c.read(answer)
	g, numeric := c.read(gold)
	if !ok || !numeric {
		return sameText(answer, gold)
	}
	if c.exact(p, g) || p.ratio && g.ratio {
		return slices.Contains(p.readings(g), g.value)
	}
	tolerance := c.tolerance
	if p.computed || g.computed {
		tolerance = max(tolerance, roundOff)
	}
	for _, x := range p.readings(g) {
		for _, y := range g.readings(p) {
			if closeTo(x, y, tolerance) {
				return true
			}
		}
	}
	return false
}

// exact reports numbers that must be equal because one is a year.
func (c chart) exact(p, g quantity) bool {
	wide := func(q quantity) bool {
		return q.bare && q.value == math.Trunc(q.value) && 1000 <= q.value && q.value <= 3000
	}
	switch c.years {
	case "none":
		return false
	case "wide":
		return wide(p) || wide(g)
	}
	return g.year
}

// closeTo is the relaxed comparison, in the order of operations of the published rule: float64 makes 0.95 against 1 a
// difference of 0.05 + 4e-17, which is too much.
func closeTo(pred, gold, tolerance float64) bool {
	if gold == 0 {
		return math.Abs(pred) <= zeroGold
	}
	return math.Abs(pred-gold)/math.Abs(gold) <= tolerance
}

// anls is the normalised Levenshtein similarity 1 - d/max(length) in characters, 0 below one half (arXiv 1905.13648).
func anls(a, b string) float64 {
	shorter, longer := len([]rune(a)), len([]rune(b))
	if shorter > longer {
		shorter, longer = longer, shorter
	}
	switch {
	case longer == 0:
		return 1
	case 2*shorter < longer: // the distance is at least the difference
		return 0
	}
	s := 1 - float64(levenshtein.ComputeDistance(a, b))/float64(longer)
	if s < 0.5 {
		return 0
	}
	return s
}

func (c chart) last(text string) (string, bool) { return lastNumber(text) }
