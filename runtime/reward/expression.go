package reward

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readMath reads what readQuantity reads, and more: roots, pi, powers, products, quotients and sums of them, mixed fractions, and
// amounts in brackets, which bookkeepers write for negative ones. Of an equation it reads the last side. A sum or quotient of bare
// numbers alone stays unread: 10-15 is a range and 12/2018 a date.
func readMath(s string) (quantity, bool) {
	s = withoutCue(plain(vulgar.Replace(latex.Replace(s))))
	if i := strings.LastIndexAny(s, "=\u2248"); i >= 0 {
		_, size := utf8.DecodeRuneInString(s[i:])
		s = plain(s[i+size:])
	} else if i := strings.LastIndex(s, `\approx`); i >= 0 {
		s = plain(s[i+len(`\approx`):])
	}
	if m := owed.FindStringSubmatch(s); m != nil {
		q, ok := readQuantity(m[1])
		q.value = -q.value
		q.bare, q.year = false, false
		return q, ok && m[1] != "" && q.value <= 0
	}
	if !mixed.MatchString(s) {
		if q, ok := readQuantity(s); ok {
			return q, true
		}
	}
	p := expression{text: piWord.ReplaceAllString(signs.Replace(hedge.ReplaceAllString(s, "")), "\u03c0$1")}
	value, ok := p.sum(0)
	rest := strings.TrimSpace(power.Replace(p.text[p.at:]))
	switch {
	case !ok, !p.symbolic, math.IsInf(value, 0), math.IsNaN(value):
		return quantity{}, false
	case !unit.MatchString(rest), symbol.MatchString(rest), len(strings.Fields(rest)) > maxUnitWords:
		return quantity{}, false
	}
	q := quantity{value: value, scale: 1, computed: true}
	q.readUnit(rest)
	return q, true
}

var (
	// owed is an amount in brackets with a currency sign inside or before them.
	owed = regexp.MustCompile(`^\(([$\x{20ac}\x{a3}\x{a5}\x{20b9}] ?[\d,.]+(?: ?[A-Za-z]+)?)\)$`)

	// mixed is an integer before a fraction: 1 1/2, 1\frac{1}{2}. Taken out of its LaTeX without care it would be 11/2.
	mixed = regexp.MustCompile(`\d *\\[dt]?frac|\d +\d+/\d`)

	// vulgar parts fractions of one character from an integer before them: NFKC alone makes 31/2 of three and a half.
	vulgar = strings.NewReplacer("\u00bd", " 1/2", "\u00bc", " 1/4", "\u00be", " 3/4", "\u2153", " 1/3", "\u2154", " 2/3", "\u2155", " 1/5", "\u215b", " 1/8")

	// signs writes each operation in one way.
	signs = strings.NewReplacer(`\times`, "*", `\cdot`, "*", "\u00d7", "*", "\u22c5", "*", "\u00b7", "*", `\div`, "/", "\u00f7", "/", "\u2044", "/",
		`\left`, "", `\right`, "", `\sqrt`, "\u221a", "sqrt", "\u221a", `\pi`, "\u03c0", `\dfrac`, `\frac`, `\tfrac`, `\frac`,
		" x 10^", "*10^", "x10^", "*10^", `\text`, "", `\mathrm`, "", `\!`, "", "~", " ")

	// piWord is pi as a word, which may hang on a number: 9pi.
	piWord = regexp.MustCompile(`(?i)\bpi\b|pi(?:$|(\P{L}))`)

	// power takes the markup off a unit's power: cm^{2}.
	power = strings.NewReplacer("^", "", "{", "", "}", "", `\`, "")
)

// expression is a parser of arithmetic by recursive descent. After a failure at is where the text could still be read to.
type expression struct {
	text     string
	at       int
	symbolic bool // it has more than bare numbers with signs between them
}

// maxNesting bounds the recursion.
const maxNesting = 24

func (p *expression) blanks() {
	for p.at < len(p.text) && p.text[p.at] == ' ' {
		p.at++
	}
}

// take reads a word of the notation, blanks before it skipped; it reads nothing where another text stands.
func (p *expression) take(word string) bool {
	start := p.at
	p.blanks()
	if strings.HasPrefix(p.text[p.at:], word) {
		p.at += len(word)
		return true
	}
	p.at = start
	return false
}

// sum reads [sign] product {sign product}.
func (p *expression) sum(depth int) (float64, bool) {
	negative := p.take("-")
	if !negative {
		p.take("+")
	}
	x, ok := p.product(depth)
	if !ok {
		return 0, false
	}
	if negative {
		x = -x
	}
	for {
		start := p.at
		sign := 1.0
		switch {
		case p.take("+"):
		case p.take("-"):
			sign = -1
		default:
			return x, true
		}
		y, ok := p.product(depth)
		if !ok {
			p.at = start
			return x, true
		}
		x += sign * y
	}
}

// product reads factor {[* or /] factor}; without a sign only a root, pi, bracket or fraction may follow.
func (p *expression) product(depth int) (float64, bool) {
	x, ok := p.factor(depth)
	for ok {
		start := p.at
		divide := false
		switch {
		case p.take("*"):
			p.symbolic = true
		case p.take("/"):
			divide = true
		case p.begins("\u221a", "\u03c0", "(", `\frac`):
		default:
			return x, true
		}
		y, good := p.factor(depth)
		if !good || divide && y == 0 {
			p.at = start
			return x, true
		}
		if divide {
			x /= y
		} else {
			x *= y
		}
	}
	return x, ok
}

func (p *expression) begins(words ...string) bool {
	start := p.at
	defer func() { p.at = start }()
	for _, w := range words {
		if p.take(w) {
			return true
		}
	}
	return false
}

// factor reads base [^ exponent].
func (p *expression) factor(depth int) (float64, bool) {
	x, ok := p.base(depth)
	if !ok {
		return 0, false
	}
	start := p.at
	if !p.take("^") {
		return x, true
	}
	negative := p.take("-")
	y, ok := p.argument(depth)
	if !ok {
		p.at = start
		return x, true
	}
	if negative {
		y = -y
	}
	p.symbolic = true
	return math.Pow(x, y), true
}

// base reads a number, a root, pi, a quotient, or an expression in brackets.
func (p *expression) base(depth int) (float64, bool) {
	if depth > maxNesting {
		return 0, false
	}
	switch {
	case p.take("\u03c0"):
		p.symbolic = true
		return math.Pi, true
	case p.take("\u221a"):
		p.symbolic = true
		x, ok := p.argument(depth)
		return math.Sqrt(x), ok && x >= 0
	case p.take(`\frac`):
		p.symbolic = true
		x, ok := p.argument(depth)
		if !ok {
			return 0, false
		}
		y, ok := p.argument(depth)
		return x / y, ok && y != 0
	case p.begins("(", "{"):
		return p.argument(depth)
	}
	return p.number()
}

// argument reads an expression in brackets or braces, or a bare number or pi.
func (p *expression) argument(depth int) (float64, bool) {
	for _, pair := range [][2]string{{"{", "}"}, {"(", ")"}} {
		if !p.take(pair[0]) {
			continue
		}
		if depth > maxNesting {
			return 0, false
		}
		x, ok := p.sum(depth + 1)
		return x, ok && p.take(pair[1])
	}
	if p.take("\u03c0") {
		p.symbolic = true
		return math.Pi, true
	}
	return p.number()
}

// numeral is a decimal number, with well-formed thousands separators.
var numeral = regexp.MustCompile(`^(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)`)

// part is the fraction of a mixed number.
var part = regexp.MustCompile(`^(?: +(\d+)/(\d+)| *\\frac ?\{(\d+)\} ?\{(\d+)\})`)

// number reads a decimal number, or an integer with a fraction behind it.
func (p *expression) number() (float64, bool) {
	start := p.at
	p.blanks()
	digits := numeral.FindString(p.text[p.at:])
	x, err := strconv.ParseFloat(strings.ReplaceAll(digits, ",", ""), 64)
	if digits == "" || err != nil {
		p.at = start
		return 0, false
	}
	p.at += len(digits)
	m := part.FindStringSubmatch(p.text[p.at:])
	if m == nil || strings.Contains(digits, ".") {
		return x, true
	}
	numerator, err1 := strconv.ParseFloat(m[1]+m[3], 64)
	denominator, err2 := strconv.ParseFloat(m[2]+m[4], 64)
	if err1 != nil || err2 != nil || denominator == 0 || numerator >= denominator {
		return x, true // \frac{3}{2} behind an integer is a factor
	}
	p.at += len(m[0])
	p.symbolic = true
	return x + numerator/denominator, true
}

// loneNumber is a number in running text: sign, currency, digits, a fraction or percent sign.
var loneNumber = regexp.MustCompile(`[-\x{2212}]?[$\x{20ac}\x{a3}\x{a5}\x{20b9}]?(?:\\[dt]?frac\{\d+\}\{\d+\}|\d[\d,]*(?:\.\d+)?(?:/\d+)?)(?: ?\\?%)?`)

// lastNumber returns the last number of a text.
func lastNumber(text string) (string, bool) {
	s, ok := lastMatch(loneNumber, text)
	return strings.TrimRight(s, ","), ok
}
