package reward

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"mixr/runtime/data"
)

// truth maps the four words that decide a yes/no answer.
var truth = map[string]bool{"yes": true, "true": true, "no": false, "false": false}

// yesNo is the matching reward of yes/no questions: the first whole word among yes, no, true and false decides.
//
// differs: VLM-R1 looks for the letters anywhere, so "unknown" reads as no, "yesterday" as yes, and two answers
// without either count as equal.
type yesNo struct{}

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

func (yesNo) score(ex data.Example, answer string, _ Frame) (verdict, error) {
	got, ok := firstTruth(answer)
	if !ok {
		return verdict{note: "unparsed: no yes or no"}, nil
	}
	return verdict{value: indicator(got == truth[normalize(ex.Answers[0])]), parsed: true}, nil
}

// firstTruth reads the first deciding word of a text.
func firstTruth(s string) (value, ok bool) {
	words := strings.FieldsFunc(cases.Fold().String(norm.NFKC.String(s)), func(r rune) bool {
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
