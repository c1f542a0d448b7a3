package token

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// bert is BERT's normalizer, in the order of its fields. strip_accents left out is what lowercase is.
type bert struct {
	Type         string
	CleanText    bool  `json:"clean_text"`
	Chinese      bool  `json:"handle_chinese_chars"`
	StripAccents *bool `json:"strip_accents"`
	Lowercase    bool
}

func newBert(c *component) (func(s string) string, error) {
	b := &bert{CleanText: true, Chinese: true, Lowercase: true}
	if err := c.into(b); err != nil {
		return nil, err
	}
	return b.normalize, nil
}

func (b *bert) normalize(s string) string {
	var out strings.Builder
	out.Grow(len(s) + 8)
	for _, r := range s {
		switch {
		case b.CleanText && (r == 0 || r == utf8.RuneError || isControl(r)):
		case b.CleanText && isSpace(r):
			out.WriteByte(' ')
		case b.Chinese && isChinese(r):
			out.WriteByte(' ')
			out.WriteRune(r)
			out.WriteByte(' ')
		case r < utf8.RuneSelf && b.Lowercase:
			out.WriteByte(byte(unicode.ToLower(r)))
		default:
			out.WriteRune(r)
		}
	}
	s = out.String()
	if isASCII(s) {
		return s
	}
	if strip := b.Lowercase; b.StripAccents == nil && strip || b.StripAccents != nil && *b.StripAccents {
		s = strings.Map(func(r rune) rune {
			if isMark(r) {
				return -1
			}
			return r
		}, norm.NFD.String(s))
	}
	if b.Lowercase {
		s = lower(s)
	}
	return s
}

// lower is Unicode's full mapping of each rune on its own, without the rule for a final sigma.
func lower(s string) string {
	return strings.ReplaceAll(strings.Map(toLower, strings.ReplaceAll(s, "\u0130", "i\u0307")), "\u0130", "i\u0307")
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isChinese tells the blocks of CJK ideographs that BERT splits into single characters.
func isChinese(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF || r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}

// bertWord returns the end of the word that starts at i: white space, which WordPiece drops; one punctuation mark; or
// all up to the next of them.
func bertWord(s string, i int) int {
	r, n := utf8.DecodeRuneInString(s[i:])
	if isPunctuation(r) {
		return i + n
	}
	blank := isSpace(r)
	for i += n; i < len(s); i += n {
		r, n = utf8.DecodeRuneInString(s[i:])
		if isSpace(r) != blank || isPunctuation(r) {
			break
		}
	}
	return i
}
