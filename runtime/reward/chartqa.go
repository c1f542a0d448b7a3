package reward

import (
	"math"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// ChartQA is the published evaluation metric, relaxed accuracy at 5 %, bit for bit (arXiv 2203.10244; VLMEvalKit,
// lmms-eval): 1 if the prediction matches any gold.
//
// Both strings are parsed as Python's float would, after trailing percent signs divide by 100. If both are numbers and
// gold is not 0, |pred - gold|/|gold| <= 0.05 decides; else equality of the raw strings in lower case. Nothing is trimmed
// or cleaned: "1,000" is not a number, "12%" against "12" is wrong. VLMEvalKit trims the prediction first; callers that
// compare with it do so, too.
//
// No run computes it yet: training and evaluation score with the chart reward. It waits here, held to the reference's
// outputs by the tests, for a table of benchmark metrics.
func ChartQA(pred string, golds []string) float64 {
	for _, gold := range golds {
		p, ok := chartFloat(pred)
		g, numeric := chartFloat(gold)
		// g != 0 is the rule's truth test, which NaN passes.
		if ok && numeric && g != 0 {
			if math.Abs(p-g)/math.Abs(g) <= 0.05 {
				return 1
			}
			continue
		}
		lower := cases.Lower(language.Und) // full Unicode mapping with final sigma, as Python's lower
		if lower.String(pred) == lower.String(gold) {
			return 1
		}
	}
	return 0
}

func chartFloat(s string) (float64, bool) {
	if !strings.HasSuffix(s, "%") {
		return pythonFloat(s)
	}
	f, ok := pythonFloat(strings.TrimRight(s, "%"))
	return f / 100, ok
}

// pythonFloat parses as Python's float(str) does. strconv.ParseFloat differs: it refuses surrounding blanks and
// non-ASCII digits, accepts hexadecimal floats, and reports an error beside the infinity of an overflow.
func pythonFloat(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	var ascii strings.Builder
	for _, r := range s {
		switch {
		case r <= unicode.MaxASCII:
			ascii.WriteRune(r)
		case unicode.Is(unicode.Nd, r):
			ascii.WriteByte('0' + digitValue(r))
		default:
			return 0, false
		}
	}
	s = ascii.String()
	if strings.ContainsAny(s, "xXpP") || strings.Contains(s, "_") && !underscoresBetweenDigits(s) {
		return 0, false
	}
	if strings.EqualFold(strings.TrimLeft(s, "+-"), "nan") && len(s) <= len("+nan") {
		return math.NaN(), true // ParseFloat refuses a signed one
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// digitValue relies on Unicode's decimal digits coming in runs of ten that start at a zero.
func digitValue(r rune) byte {
	zero := r
	for unicode.Is(unicode.Nd, zero-1) {
		zero--
	}
	return byte((r - zero) % 10)
}

func underscoresBetweenDigits(s string) bool {
	digit := func(i int) bool { return 0 <= i && i < len(s) && '0' <= s[i] && s[i] <= '9' }
	for i := range len(s) {
		if s[i] == '_' && !(digit(i-1) && digit(i+1)) {
			return false
		}
	}
	return true
}
