package token

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nfc normalises to NFC. x/text does it, but keeps to the stream-safe format: it puts U+034F into a run of more than 30
// marks. Texts with such a run take composed, which has no bound.
func nfc(s string) string {
	if norm.NFC.IsNormalString(s) {
		return s
	}
	const joiner = "\u034f"
	if out := norm.NFC.String(s); strings.Count(out, joiner) == strings.Count(s, joiner) {
		return out
	}
	return composed(s)
}

// composed is the definition of NFC (Unicode, section 3.11) without tables of its own: full decomposition, canonical
// order, and composition of each mark with the last starter that nothing of its class or a higher one separates from it.
func composed(s string) string {
	type mark struct {
		text  string
		class uint8
	}
	var runes []mark
	for i, n := 0, 0; i < len(s); i += n {
		_, n = utf8.DecodeRuneInString(s[i:])
		d := norm.NFD.String(s[i : i+n])
		for k, n := 0, 0; k < len(d); k += n {
			_, n = utf8.DecodeRuneInString(d[k:])
			runes = append(runes, mark{d[k : k+n], norm.NFD.PropertiesString(d[k : k+n]).CCC()})
		}
	}
	for i := 0; i < len(runes); {
		end := i + 1
		for end < len(runes) && runes[end].class != 0 {
			end++
		}
		if runes[i].class == 0 {
			i++
		}
		slices.SortStableFunc(runes[i:end], func(a, b mark) int { return int(a.class) - int(b.class) })
		i = end
	}
	out := runes[:0]
	starter := -1
	for _, r := range runes {
		if starter >= 0 {
			before := out[len(out)-1]
			free := starter == len(out)-1 || before.class != 0 && before.class < r.class
			if one := norm.NFC.String(out[starter].text + r.text); free && utf8.RuneCountInString(one) == 1 {
				out[starter].text = one
				continue
			}
		}
		out = append(out, r)
		if r.class == 0 {
			starter = len(out) - 1
		}
	}
	var b strings.Builder
	for _, r := range out {
		b.WriteString(r.text)
	}
	return b.String()
}
