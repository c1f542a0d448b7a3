package token

import (
	"strings"
	"unicode/utf8"
)

// The scanners below are hand-written forms of the regular expressions: each alternative is a few lines, there is no
// backtracking, and ASCII takes one table look-up a byte. Bytes that are no UTF-8 are class other, one at a time.

type class uint8

const (
	other   class = iota
	letter        // \p{L}
	number        // \p{N}
	space         // \s but CR and LF; \s is Unicode's White_Space
	newline       // CR or LF
)

// ascii holds the classes of the first 128 runes.
var ascii = func() (t [utf8.RuneSelf]class) {
	for i := range t {
		t[i] = classOf(rune(i))
	}
	return
}()

func classOf(r rune) class {
	switch {
	case r == '\r' || r == '\n':
		return newline
	case isLetter(r):
		return letter
	case isNumber(r):
		return number
	case isSpace(r):
		return space
	}
	return other
}

// at returns class and length of the rune at i, and length 0 at the end of s.
func at(s string, i int) (class, int) {
	if i >= len(s) {
		return other, 0
	}
	if s[i] < utf8.RuneSelf {
		return ascii[s[i]], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	if r == utf8.RuneError && n == 1 {
		return other, 1
	}
	return classOf(r), n
}

// run returns the end of the run of runes of one class that starts at i.
func run(s string, i int, want class) int {
	for {
		c, n := at(s, i)
		if n == 0 || c != want {
			return i
		}
		i += n
	}
}

// splits are the regular expressions of Split that are known, and what implements them. They are compared as text: a
// pattern that differs in one character is another tokenizer.
var splits = map[string]func(s string, i int) int{
	splitPattern(`\p{N}`):      splitWord(1), // Qwen2, Qwen2.5
	splitPattern(`\p{N}{1,2}`): splitWord(2),
	splitPattern(`\p{N}{1,3}`): splitWord(3), // Llama 3
}

func splitPattern(numbers string) string {
	return `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|` + numbers + `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
}

// splitWord returns a function that gives the end of the word that starts at i. Its alternatives, in the order in which
// the pattern tries them: a contraction in any case; letters with at most one leading rune that is no letter, number or
// line break; up to so many numbers; others with an optional leading blank and all line breaks that follow; white space
// up to its last line break; white space but its last rune, which belongs to what follows; white space.
func splitWord(numbers int) func(s string, i int) int {
	return func(s string, i int) int {
		if end := foldedContraction(s, i); end > i {
			return end
		}
		c, n := at(s, i)
		switch c {
		case letter:
			return run(s, i+n, letter)
		case number:
			for left := numbers; c == number && left > 0; left-- {
				i += n
				c, n = at(s, i)
			}
			return i
		case space, other:
			if end := run(s, i+n, letter); end > i+n {
				return end
			}
		}
		if end := others(s, i); end > i {
			return run(s, end, newline)
		}
		end, last, afterBreak := spaces(s, i)
		if afterBreak > 0 {
			return afterBreak
		}
		return leaveOne(s, i, last, end)
	}
}

// gpt2Word returns the end of the word that starts at i. The pattern is
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// lower-case contractions; then letters, numbers or others, each with an optional leading blank; white space but its
// last rune; white space. Line breaks are white space like any other here.
func gpt2Word(s string, i int) int {
	if end := contraction(s, i); end > i {
		return end
	}
	from := i
	if s[i] == ' ' {
		from++
	}
	if c, n := at(s, from); n > 0 && (c == letter || c == number || c == other) {
		return run(s, from+n, c)
	}
	end, last, _ := spaces(s, i)
	return leaveOne(s, i, last, end)
}

// others returns the end of a run of others at i that may start with one blank, and i if there is none.
func others(s string, i int) int {
	from := i
	if s[i] == ' ' {
		from++
	}
	if end := run(s, from, other); end > from {
		return end
	}
	return i
}

// spaces returns the end of the white space at i, the start of its last rune, and the end of its last line break (0
// if it has none).
func spaces(s string, i int) (end, last, afterBreak int) {
	end, last = i, i
	for {
		c, n := at(s, end)
		if n == 0 || c != space && c != newline {
			return end, last, afterBreak
		}
		last = end
		if end += n; c == newline {
			afterBreak = end
		}
	}
}

// leaveOne is \s+(?!\S)|\s+ on white space from i to end: all of it at the end of the text or if it is one rune, else
// all but its last rune.
func leaveOne(s string, i, last, end int) int {
	if end < len(s) && last > i {
		return last
	}
	return end
}

// contraction returns the end of 's 't 're 've 'm 'll 'd at i, and i if there is none.
func contraction(s string, i int) int {
	if s[i] != '\'' {
		return i
	}
	for _, c := range [...]string{"s", "t", "re", "ve", "m", "ll", "d"} {
		if strings.HasPrefix(s[i+1:], c) {
			return i + 1 + len(c)
		}
	}
	return i
}

// foldedContraction is contraction in any case. U+017F, the long s, folds to s.
func foldedContraction(s string, i int) int {
	if s[i] != '\'' {
		return i
	}
	for _, c := range [...]string{"s", "t", "re", "ve", "m", "ll", "d", "\u017f"} {
		if end := i + 1 + len(c); end <= len(s) && strings.EqualFold(s[i+1:end], c) {
			return end
		}
	}
	return i
}

// upToNumber returns the end of the first piece of s as Digits splits it: a number, or all up to the next number.
func upToNumber(s string) int {
	for i, r := range s {
		if isNumeric(r) {
			if i == 0 {
				return utf8.RuneLen(r)
			}
			return i
		}
	}
	return len(s)
}

// blankSign stands for a blank in sentencepiece's vocabularies.
const blankSign = "\u2581"

// wholeText is no split: a text is one word.
func wholeText(s string, _ int) int { return len(s) }

// metaspaceWord returns the start of the next blankSign after i.
func metaspaceWord(s string, i int) int {
	_, n := utf8.DecodeRuneInString(s[i:])
	if k := strings.Index(s[i+n:], blankSign); k >= 0 {
		return i + n + k
	}
	return len(s)
}

// blankRunWord returns the start of the next run of blankSigns after the one that may stand at i.
func blankRunWord(s string, i int) int {
	for strings.HasPrefix(s[i:], blankSign) {
		i += len(blankSign)
	}
	if k := strings.Index(s[i:], blankSign); k >= 0 {
		return i + k
	}
	return len(s)
}
