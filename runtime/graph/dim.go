package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Dim is the size of one dimension: a monomial, that is a coefficient times symbols ("N", "N*T", "2*N", 192).
// The size of a concatenation of unlike dims, "(C+S)", counts as one symbol. Two Dims are equal (==) exactly when
// their canonical text is equal; symbols are never assumed to be equal, or to be 1. The zero Dim is the constant 0.
type Dim struct {
	n    int    // coefficient, >= 0
	syms string // factors other than the coefficient, sorted and joined by "*"; "" for a constant
}

var one = Dim{n: 1}

const maxSize = 1 << 31 // of numbers in a dim's text: far above any tensor, and products of two do not overflow

// Const returns the dim of a known size.
func Const(n int) Dim { return Dim{n: n} }

// ParseDim reads the text form of a dim: "192", "N", "2*N*T", "C+S", "N*(C+S)".
func ParseDim(s string) (Dim, error) {
	p := dimParser{rest: strings.ReplaceAll(s, " ", "")}
	d, ok := p.sum()
	if !ok || p.rest != "" {
		return Dim{}, fmt.Errorf("dim %q: want names and numbers, multiplied and added, such as N, 2*N*T or C+S", s)
	}
	return d, nil
}

// Int returns the size and true if the dim is a constant.
func (d Dim) Int() (int, bool) { return d.n, d.syms == "" }

func (d Dim) String() string {
	switch {
	case d.syms == "":
		return strconv.Itoa(d.n)
	case d.n == 1:
		return d.syms
	}
	return strconv.Itoa(d.n) + "*" + d.syms
}

// Times returns the product of two dims.
func (d Dim) Times(e Dim) Dim {
	if d.n*e.n == 0 {
		return Dim{}
	}
	f := append(d.factors(), e.factors()...)
	slices.Sort(f)
	return Dim{d.n * e.n, strings.Join(f, "*")}
}

// Plus returns the sum of two dims: like terms are added, unlike ones become a sum that counts as one symbol.
func (d Dim) Plus(e Dim) Dim {
	coef := map[string]int{}
	for _, t := range append(d.terms(), e.terms()...) {
		coef[t.syms] += t.n
	}
	var sum []string
	var last Dim
	for syms, n := range coef {
		if n != 0 {
			last = Dim{n, syms}
			sum = append(sum, last.String())
		}
	}
	if len(sum) < 2 {
		return last
	}
	slices.Sort(sum)
	return Dim{1, "(" + strings.Join(sum, "+") + ")"}
}

// over returns d/e if e divides d without knowing any symbol.
func (d Dim) over(e Dim) (Dim, bool) {
	if e.n == 0 || d.n%e.n != 0 {
		return Dim{}, false
	}
	f := d.factors()
	for _, s := range e.factors() {
		i := slices.Index(f, s)
		if i < 0 {
			return Dim{}, false
		}
		f = slices.Delete(f, i, i+1)
	}
	return Dim{d.n / e.n, strings.Join(f, "*")}, true
}

// factors lists the symbols of d, repeated ones repeated.
func (d Dim) factors() []string { return splitTop(d.syms, '*') }

// terms lists the summands of d; there is one unless d is a sum.
func (d Dim) terms() []Dim {
	if d.n != 1 || !isSum(d.syms) {
		return []Dim{d}
	}
	var terms []Dim
	for _, s := range splitTop(d.syms[1:len(d.syms)-1], '+') {
		t, err := ParseDim(s)
		if err != nil {
			panic("graph: dim " + d.syms + " is not in canonical form")
		}
		terms = append(terms, t)
	}
	return terms
}

func isSum(symbol string) bool {
	return strings.HasPrefix(symbol, "(") && len(splitTop(symbol, '*')) == 1
}

// splitTop splits s at separators that are outside parentheses.
func splitTop(s string, sep byte) []string {
	if s == "" {
		return nil
	}
	var parts []string
	depth, start := 0, 0
	for i := range len(s) {
		switch {
		case s[i] == '(':
			depth++
		case s[i] == ')':
			depth--
		case s[i] == sep && depth == 0:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// dimParser is a recursive-descent parser: sum = product {"+" product}, product = factor {"*" factor}.
type dimParser struct{ rest string }

func (p *dimParser) eat(c string) bool {
	rest, ok := strings.CutPrefix(p.rest, c)
	p.rest = rest
	return ok
}

func (p *dimParser) sum() (Dim, bool) {
	d, ok := p.product()
	for ok && p.eat("+") {
		var e Dim
		e, ok = p.product()
		d = d.Plus(e)
		ok = ok && d.n <= maxSize
	}
	return d, ok
}

func (p *dimParser) product() (Dim, bool) {
	d, ok := p.factor()
	for ok && p.eat("*") {
		var e Dim
		e, ok = p.factor()
		d = d.Times(e)
		ok = ok && d.n <= maxSize
	}
	return d, ok
}

func (p *dimParser) factor() (Dim, bool) {
	if p.eat("(") {
		d, ok := p.sum()
		return d, ok && p.eat(")")
	}
	n := strings.IndexFunc(p.rest, func(r rune) bool {
		return r != '_' && !('0' <= r && r <= '9') && !('a' <= r && r <= 'z') && !('A' <= r && r <= 'Z')
	})
	if n < 0 {
		n = len(p.rest)
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	if word == "" {
		return Dim{}, false
	}
	if word[0] < '0' || word[0] > '9' {
		return Dim{1, word}, true
	}
	v, err := strconv.Atoi(word)
	return Dim{n: v}, err == nil && v <= maxSize
}
