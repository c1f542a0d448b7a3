package reward

import "strings"

// overlong is DAPO's soft over-long punishment (arXiv 2503.14476, equation 13) of a completion of n tokens: 0 up to limit - buffer,
// ((limit - buffer) - n) / buffer up to limit, -1 beyond.
func overlong(n, limit, buffer int) float64 {
	return min(0, max(-1, float64(limit-buffer-n)/float64(buffer)))
}

// repetition is distinct/all - 1 over the n-grams of a text's words (runs without white space, lower case): 0 if none stands twice,
// towards -1 for a loop. A text of fewer than n words has none.
//
// Source: open-r1's repetition penalty, with a largest penalty of -1.
func repetition(text string, n int) float64 {
	words := strings.Fields(strings.ToLower(text))
	all := len(words) - n + 1
	if all < 1 {
		return 0
	}
	distinct := map[string]bool{}
	for i := range all {
		distinct[strings.Join(words[i:i+n], " ")] = true
	}
	return float64(len(distinct))/float64(all) - 1
}
