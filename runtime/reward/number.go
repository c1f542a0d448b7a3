package reward

import (
	"regexp"
	"strconv"
	"strings"
)

// quantity is a number as people write it in an answer.
type quantity struct {
	value   float64 // of the digits, without percent and scale word
	percent bool    // "%" or "percent" follows
	scale   float64 // 1e3, 1e6, 1e9, 1e12 by a scale word; 1 without
	ratio   bool    // written as a fraction, "3/4"
	bare    bool    // nothing but digits stood there, with neither sign nor separator
	year    bool    // bare, four digits, from 1900 to 2100

	computed bool // the value of an expression, inexact in its last digits
}

var (
	// number: sign and currency in either order, digits with well-formed thousands separators, an exponent, then a rest
	// without digits (unit words; "km2" may end in its power).
	number = regexp.MustCompile(`^([-+]?) ?(?:[A-Za-z]{0,3}[$\x{20ac}\x{a3}\x{a5}\x{20b9}]|(?i:USD|EUR|GBP|RM|Rs\.?) ?)? ?([-+]?)` +
		`(\d{1,3}(?:\.\d+)?/\d{1,3}(?:\.\d+)?|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)((?:[eE][-+]?\d+)?)(?: ?(\D*|\D*\p{L}[23]))$`)

	unit = regexp.MustCompile(`^[\p{L}\p{Sc}\x{b0}%'./() -]*[23]?$`)

	// symbol is a rest that makes a product of the number, not a unit: "9 pi", "2x".
	symbol = regexp.MustCompile(`^(?:\x{3c0}|(?i:pi)(?:$|\P{L})|[xyzn](?:$|\P{L}))`)

	// fraction is LaTeX for a quotient.
	fraction = regexp.MustCompile(`\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}`)

	// hedge is what may stand before a number without changing it.
	hedge = regexp.MustCompile(`(?i)^(?:about |around |approximately |approx\.? |roughly |nearly |almost |exactly |~ ?|\x{2248} ?|= ?|[a-z] = ?)+`)

	percentWord = regexp.MustCompile(`(?i)^(?:%|per ?cent\b|pct\b|percentage points?\b)`)
	scaleWord   = regexp.MustCompile(`^(?:(?i:(thousand|million|billion|trillion|mn|bn)s?\b)|([kKMBT])(?:$|[^\p{L}]))`)

	latex = strings.NewReplacer(`\%`, "%", `\$`, "$", `\,`, "", `\;`, " ", `^\circ`, "", `^{\circ}`, "", `\circ`, "", "\u2212", "-", "\u2013", "-")
)

var scales = map[string]float64{"thousand": 1e3, "k": 1e3, "million": 1e6, "mn": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9, "b": 1e9, "trillion": 1e12, "t": 1e12}

// readQuantity reads a text that is one number, with currency signs, thousands separators, a percent sign, a scale word
// and unit words around it. A quotient of two numbers below 1000 is one, too. Text with another number, a date or words
// before the number is not.
func readQuantity(s string) (quantity, bool) {
	s = withoutCue(plain(latex.Replace(fraction.ReplaceAllString(s, "$1/$2"))))
	s = strings.TrimSpace(hedge.ReplaceAllString(s, ""))
	m := number.FindStringSubmatch(s)
	if m == nil || m[1] != "" && m[2] != "" || !unit.MatchString(m[5]) || symbol.MatchString(m[5]) || len(strings.Fields(m[5])) > maxUnitWords {
		return quantity{}, false
	}
	digits := strings.NewReplacer(",", "", " ", "").Replace(m[3])
	numerator, denominator, ratio := strings.Cut(digits, "/")
	value, err := strconv.ParseFloat(m[1]+m[2]+numerator+m[4], 64)
	if err != nil {
		return quantity{}, false // out of range
	}
	if ratio {
		d, err := strconv.ParseFloat(denominator, 64)
		if err != nil || d == 0 {
			return quantity{}, false
		}
		value /= d
	}
	q := quantity{value: value, scale: 1, ratio: ratio, bare: s == m[3] && !strings.ContainsAny(s, "., /")}
	q.readUnit(m[5])
	q.year = q.bare && len(s) == 4 && 1900 <= value && value <= 2100
	return q, true
}

// readUnit reads a scale word and a percent sign at the start of what follows the number.
func (q *quantity) readUnit(rest string) {
	if w := scaleWord.FindStringSubmatch(rest); w != nil {
		q.scale = scales[strings.ToLower(w[1]+w[2])]
		rest = strings.TrimSpace(rest[len(w[1]+w[2]):])
	}
	q.percent = percentWord.MatchString(rest)
}

// maxUnitWords bounds what still counts as a unit ("square metres per person"), so that a sentence is not a number.
const maxUnitWords = 4

// readings returns the values a quantity may stand for beside another one: a percent sign or scale word that only one
// side writes may be the unit that the chart's axis or the question already states, so then both readings count; what
// both sides write must agree.
func (q quantity) readings(other quantity) []float64 {
	values := []float64{q.value}
	if q.percent {
		values = append(values, q.value/100)
		if other.percent {
			values = values[1:]
		}
	}
	if q.scale == 1 {
		return values
	}
	scaled := make([]float64, len(values))
	for i, v := range values {
		scaled[i] = v * q.scale
	}
	if other.scale != 1 {
		return scaled
	}
	return append(values, scaled...)
}
