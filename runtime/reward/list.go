package reward

import (
	"regexp"
	"strings"
)

// between separates items: a semicolon, which a line break becomes, "and", or a comma before a blank or an item that is no digit ("1,000" is one).
var between = regexp.MustCompile(`\s*(?:;|,\s+and\s|,\s|\sand\s|,(\D))\s*`)

// items splits a text into what it lists. In brackets every comma separates.
func items(s string) []string {
	s = plain(strings.ReplaceAll(strings.TrimSpace(s), "\n", " ; "))
	var parts []string
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		parts = strings.Split(strings.TrimSuffix(inner, "]"), ",")
	} else {
		start := 0
		for _, at := range between.FindAllStringSubmatchIndex(s, -1) {
			parts = append(parts, s[start:at[0]])
			if start = at[1]; at[2] >= 0 {
				start = at[2] // the character behind the comma is the item's
			}
		}
		parts = append(parts, s[start:])
	}
	var out []string
	for _, p := range parts {
		if p = plain(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// isCode reports a gold that names something with digits and counts nothing: digits alone that begin with a 0, or ten and more of them.
func isCode(gold string) bool {
	s := plain(gold)
	if len(s) < 2 || strings.Trim(s, "0123456789") != "" {
		return false
	}
	return s[0] == '0' || len(s) >= 10
}
