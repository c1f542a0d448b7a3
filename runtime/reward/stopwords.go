package reward

import (
	"strings"
	"unicode"
)

// stopWords are English words that carry structure rather than content: articles, pronouns, prepositions, conjunctions, auxiliaries.
// Negations are not among them: "no dog" and "a dog" differ in that word alone.
var stopWords = setOf(`a about above after again against all am an and any are as at be because been before being below between both but by
	can could did do does doing down during each few for from further had has have having he her here hers herself him himself his how i if
	in into is it its itself just me more most my myself of off on once only or other our ours ourselves out over own same she should so
	some such than that the their theirs them themselves then there these they this those through to too under until up very was we were
	what when where which while who whom why will with would you your yours yourself yourselves`)

func setOf(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// withoutStopWords drops the stop words of a text, whatever punctuation hangs on them.
func withoutStopWords(text string) string {
	var kept []string
	for _, word := range strings.Fields(text) {
		bare := strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if !stopWords[strings.ToLower(bare)] {
			kept = append(kept, word)
		}
	}
	return strings.Join(kept, " ")
}
