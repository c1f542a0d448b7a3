package reward

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// wrappers are pairs that people and models put around an answer without changing it.
var wrappers = [][2]string{
	{"**", "**"}, {"$", "$"}, {`\(`, `\)`}, {`\text{`, "}"}, {`\boxed{`, "}"},
	{`"`, `"`}, {"'", "'"}, {"`", "`"}, {"\u201c", "\u201d"}, {"\u2018", "\u2019"},
}

// plain strips what does not belong to an answer: NFKC, spaces trimmed and collapsed, wrappers taken off and one final
// period dropped. Case is kept.
func plain(s string) string {
	if !ascii(s) { // which NFKC leaves as it is
		s = norm.NFKC.String(markPowers(s))
	}
	s = strings.Join(strings.Fields(s), " ")
	period := false
	for {
		t := strings.TrimSpace(s)
		if u, ok := strings.CutSuffix(t, "."); ok && !period {
			t, period = strings.TrimSpace(u), true
		}
		for _, w := range wrappers {
			inner, ok := strings.CutPrefix(t, w[0])
			if !ok {
				continue
			}
			if inner, ok = strings.CutSuffix(inner, w[1]); ok && !strings.Contains(inner, w[0]) && !strings.Contains(inner, w[1]) {
				t = inner
			}
		}
		if t == s {
			return s
		}
		s = t
	}
}

// raised holds the superscript digits.
const raised = "\u00b9\u00b2\u00b3\u2070\u2074\u2075\u2076\u2077\u2078\u2079"

// markPowers writes a superscript digit behind a digit with a caret: NFKC alone turns ten to the fifth into 105.
func markPowers(s string) string {
	var out strings.Builder
	last := ' '
	for _, r := range s {
		if unicode.IsDigit(last) && strings.ContainsRune(raised, r) {
			out.WriteByte('^')
		}
		out.WriteRune(r)
		last = r
	}
	return out.String()
}

// normalize is plain with case folded: the form in which texts are compared.
func normalize(s string) string { return fold(plain(s)) }

// fold removes the difference of case.
func fold(s string) string {
	if ascii(s) {
		return strings.ToLower(s) // what folding comes to, for a tenth of the time
	}
	return cases.Fold().String(s)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// cue is the usual way to announce an answer.
var cue = regexp.MustCompile(`(?i)^(?:so |thus |therefore |hence )?,? ?(?:the )?(?:final |correct |right )?answer(?: is| would be| should be| must be)? ?:? `)

// withoutCue drops a leading announcement from a plain text.
func withoutCue(s string) string {
	if m := cue.FindString(s + " "); m != "" && len(m) < len(s) {
		return plain(s[len(m):])
	}
	return s
}

// sameText compares two texts after normalisation, with and without an announcement before the first.
func sameText(answer, gold string) bool { return newComparison(answer).with(gold) }

// comparison is an answer prepared to be compared with several texts.
type comparison struct{ whole, behindCue string }

func newComparison(answer string) comparison {
	p := plain(answer)
	return comparison{fold(p), normalize(withoutCue(p))}
}

func (c comparison) with(gold string) bool {
	g := normalize(gold)
	return c.whole == g || c.behindCue == g
}
