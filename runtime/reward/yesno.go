package reward

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"mixr/runtime/data"
)

// truth maps the four words that decide a yes/no answer.
var truth = map[string]bool{"yes": true, "true": true, "no": false, "false": false}

// yesNo is the matching reward of yes/no questions: the first whole word among yes, no, true and false decides. Read strictly it has to
// be the answer's only word; leniently, a denial counts as no where no such word stands.
//
// differs: VLM-R1 looks for the letters anywhere, so "unknown" reads as no, "yesterday" as yes, and two answers
// without either count as equal.
type yesNo struct{ strictness string }

func (yesNo) checkGold(ex data.Example) error {
	if len(ex.Answers) == 0 {
		return errors.New("no answer; want yes or no")
	}
	first, ok := truth[normalize(ex.Answers[0])]
	for _, a := range ex.Answers {
		if v, known := truth[normalize(a)]; !ok || !known || v != first {
			return fmt.Errorf("answers %q: want yes, no, true or false, all of one meaning", ex.Answers)
		}
	}
	return nil
}

func (y yesNo) score(ex data.Example, answer string, _ moment) (verdict, error) {
	got, ok := y.read(answer)
	if !ok {
		return verdict{note: "unparsed: no yes or no"}, nil
	}
	return verdict{value: indicator(got == truth[normalize(ex.Answers[0])]), parsed: true}, nil
}

func (y yesNo) read(answer string) (value, ok bool) {
	if y.strictness == strictly {
		value, ok = truth[normalize(withoutCue(plain(answer)))]
		return value, ok
	}
	value, ok = firstTruth(answer)
	if !ok && y.strictness == leniently && denial.MatchString(norm.NFKC.String(answer)) {
		return false, true
	}
	return value, ok
}

// denial is a word that says no without the word.
var denial = regexp.MustCompile(`(?i)\b(?:not|none|never|cannot|nobody|nothing)\b|n['\x{2019}]t\b`)

// truthWord is a word that decides.
var truthWord = regexp.MustCompile(`(?i)\b(?:yes|no|true|false)\b`)

func (yesNo) last(text string) (string, bool) { return lastMatch(truthWord, text) }

// lastMatch returns the last match of a pattern in a text.
func lastMatch(pattern *regexp.Regexp, text string) (string, bool) {
	at := pattern.FindAllStringIndex(text, -1)
	if at == nil {
		return "", false
	}
	m := at[len(at)-1]
	return text[m[0]:m[1]], true
}

// firstTruth reads the first deciding word of a text.
func firstTruth(s string) (value, ok bool) {
	if !ascii(s) {
		s = norm.NFKC.String(s)
	}
	words := strings.FieldsFunc(fold(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for _, w := range words {
		if v, known := truth[w]; known {
			return v, true
		}
	}
	return false, false
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
