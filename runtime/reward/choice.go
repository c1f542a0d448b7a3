package reward

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mixr/runtime/data"
)

// choice is the matching reward of multiple-choice questions: the option that the answer names, by letter or by text,
// is the gold one.
//
// Read as a letter: B, (B), B), B., "B: text", any of them bold or boxed, "option B", "the answer is B". Read as text:
// exactly one option's text after normalisation. Two different options named as answers, or a letter outside the
// options, are worth nothing. A letter in running text names nothing ("A man", "vitamin C"). Read strictly, only a lone letter or an
// option's text is read. Read leniently, an answer that names nothing this way names the one option whose text stands in it as words, or
// else the option of its last capital letter.
//
// differs: VLM-R1 knows a letter only before punctuation or at the end, so "(B)" and "option B is right" score 0 and a
// final word "a" counts as A; MMMU's parser draws a random option when nothing parses.
type choice struct {
	strictness     string
	letters, texts bool // what names an option
}

func (choice) checkGold(ex data.Example) error {
	if len(ex.Choices) == 0 {
		return errors.New("no choices")
	}
	if len(ex.Choices) > 26 {
		return fmt.Errorf("%d choices, want at most 26", len(ex.Choices))
	}
	if len(ex.Answers) == 0 {
		return errors.New("no answer; want the letter")
	}
	i, ok := goldLetter(ex)
	if !ok {
		return fmt.Errorf("answer %q: want a letter from A to %c", ex.Answers[0], 'A'+len(ex.Choices)-1)
	}
	if len(ex.Answers) > 1 && normalize(ex.Answers[1]) != normalize(ex.Choices[i]) {
		return fmt.Errorf("answer %q with text %q, but that option is %q", ex.Answers[0], ex.Answers[1], ex.Choices[i])
	}
	return nil
}

func goldLetter(ex data.Example) (int, bool) {
	a := strings.TrimSpace(ex.Answers[0])
	if len(a) != 1 {
		return 0, false
	}
	i := int(a[0]) - 'A'
	return i, 0 <= i && i < len(ex.Choices)
}

func (c choice) score(ex data.Example, answer string, _ moment) (verdict, error) {
	got, note := c.read(answer, ex.Choices)
	if note != "" {
		return verdict{note: note}, nil
	}
	gold, _ := goldLetter(ex)
	return verdict{value: indicator(got == gold), parsed: true}, nil
}

// read returns the index of the option that an answer names, or a note that says why there is none.
func (c choice) read(answer string, choices []string) (index int, note string) {
	bare := plain(answer)
	if c.letters {
		m := loneLetter.FindStringSubmatch(bare)
		if m == nil && c.strictness == strictly {
			m = loneLetter.FindStringSubmatch(plain(withoutCue(bare)))
		}
		if m != nil {
			return only([]int{int(strings.ToUpper(m[1])[0]) - 'A'}, choices)
		}
	}
	if c.texts {
		if named := optionsWithText(answer, choices); len(named) > 0 {
			return only(named, choices)
		}
	}
	if c.letters && c.strictness != strictly {
		if named := namedLetters(answer, choices); len(named) > 0 {
			return only(named, choices)
		}
	}
	if c.strictness == leniently {
		return c.readInside(bare, choices)
	}
	return only(nil, choices)
}

// readInside is the lenient reading of running text.
func (c choice) readInside(text string, choices []string) (int, string) {
	if c.texts {
		if named := optionsInside(text, choices); len(named) > 0 {
			return only(named, choices)
		}
	}
	if c.letters {
		if letter, ok := c.last(text); ok && int(letter[0]-'A') < len(choices) {
			return int(letter[0] - 'A'), ""
		}
	}
	return only(nil, choices)
}

// last returns the last capital letter that is a word. An A or I before another word is an article or a pronoun.
func (choice) last(text string) (string, bool) {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] < 'A' || text[i] > 'Z' || i > 0 && wordByte(text[i-1]) {
			continue
		}
		rest := text[i+1:]
		if rest != "" && wordByte(rest[0]) || (text[i] == 'A' || text[i] == 'I') && pronoun.MatchString(rest) {
			continue
		}
		return text[i : i+1], true
	}
	return "", false
}

// wordByte reports a byte that goes on with a word: a letter, a digit, an apostrophe, or part of a letter outside ASCII.
func wordByte(b byte) bool {
	return b >= 0x80 || b == '_' || b == '\'' || '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'z'
}

// optionsInside returns the options whose text stands in an answer as whole words, less those that stand inside another such one.
func optionsInside(text string, choices []string) []int {
	words := " " + strings.Join(wordsOf(text), " ") + " "
	inside := make([]string, len(choices))
	for i, c := range choices {
		if w := wordsOf(c); len(w) > 0 && strings.Contains(words, " "+strings.Join(w, " ")+" ") {
			inside[i] = " " + strings.Join(w, " ") + " "
		}
	}
	var named []int
	for i, a := range inside {
		part := a == "" || slices.ContainsFunc(inside, func(b string) bool { return len(b) > len(a) && strings.Contains(b, a) })
		if !part {
			named = append(named, i)
		}
	}
	return named
}

// only returns the one option of a list of named ones.
func only(named []int, choices []string) (int, string) {
	if len(named) == 0 {
		return 0, "unparsed: no option named"
	}
	for _, i := range named {
		if i != named[0] {
			return 0, "unparsed: several options named"
		}
	}
	if named[0] >= len(choices) {
		return 0, fmt.Sprintf("unparsed: no option %c", 'A'+named[0])
	}
	return named[0], ""
}

// optionsWithText returns the options whose whole text the answer is.
func optionsWithText(answer string, choices []string) []int {
	var named []int
	c := newComparison(answer)
	for i, text := range choices {
		if c.with(text) {
			named = append(named, i)
		}
	}
	return named
}

// copula may stand between "answer" or "option" and the letter.
const copula = `(?i:(?: (?:is|are|was|would be|should be|must be))? ?[:=]? ?(?:(?:option|choice) )?)`

var (
	// loneLetter is an answer that is nothing but a letter, in either case.
	loneLetter = regexp.MustCompile(`^[(\[]?([A-Za-z])[)\]]?[.:,;]?$`)

	// undress removes markup that may stand between a cue and a letter; braces become brackets.
	undress = strings.NewReplacer("**", "", "__", "", "$", "", "`", "", `\boxed`, "", `\text`, "", `\mathrm`, "", "{", "(", "}", ")", "\n", " ; ", "\"", "", "'", "")

	// A letter named as an answer, in group 1: at the start before a delimiter, in brackets, or after a cue. The lower
	// case is trusted only in brackets at the start and after a cue at the end of a clause ("a" is an article).
	namedForms = []*regexp.Regexp{
		regexp.MustCompile(`^[(\[]([A-Za-z])[)\]]`),
		regexp.MustCompile(`^([A-Za-z])[)\]]`),
		regexp.MustCompile(`^([A-Z])(?: ?[.:,;/&]|$| - | (?:is|because|since|as|and|or)\b)`),
		regexp.MustCompile(`(?:^|\W)[(\[]([A-Z])[)\]]`),
		regexp.MustCompile(`(?i:\b(?:option|choice)s?\b)` + copula + `[(\[]?([A-Z])\b`),
	}

	// announced is what outranks all of these: "the answer is B" decides, whatever other options were discussed.
	announced = []*regexp.Regexp{
		regexp.MustCompile(`(?i:\banswers?\b)` + copula + `[(\[]?([A-Z])\b`),
		regexp.MustCompile(`(?i:\b(?:answer|option|choice)\b)` + copula + `([a-z])(?:[.,;:)]|$)`),
	}

	// pronoun follows the I of "the answer I think".
	pronoun = regexp.MustCompile(`^ [a-z]`)

	// joined continues a list of letters: ", B", "or B", "and (B)", in group 1.
	joined = regexp.MustCompile(`^[)\]]? ?(?:[,;/&]|and\b|or\b)(?: ?(?:and\b|or\b))? ?[(\[]?([A-Z])(?:[)\].,;:/&]|$| and\b| or\b)`)

	// labelled is a letter with the text of its option: "B) 12 cm", "B: 12 cm", "B 12 cm".
	labelled = regexp.MustCompile(`^[(\[]?([A-Z])[)\]]?(?: ?[.:]| -)? ?(.+)$`)
)

// namedLetters returns every letter that running text names as the answer, as indices that may lie outside the options.
func namedLetters(answer string, choices []string) []int {
	s := plain(undress.Replace(strings.TrimSpace(answer)))
	if named := lettersIn(s, announced); len(named) > 0 {
		return named
	}
	named := lettersIn(s, namedForms)
	// The text behind a label may confirm the letter where the form alone would not do ("B 12 cm"), or contradict it.
	if m := labelled.FindStringSubmatch(s); m != nil {
		letter := int(m[1][0]) - 'A'
		texts := optionsWithText(m[2], choices)
		if len(texts) == 1 && (texts[0] == letter || len(named) > 0) {
			named = append(named, letter, texts[0])
		}
	}
	return named
}

// lettersIn returns the letters that the forms find, and those that a list joins to them.
func lettersIn(s string, forms []*regexp.Regexp) []int {
	var named []int
	for _, form := range forms {
		for _, m := range form.FindAllStringSubmatchIndex(s, -1) {
			if s[m[2]:m[3]] == "I" && pronoun.MatchString(s[m[3]:]) {
				continue
			}
			named = append(named, int(strings.ToUpper(s[m[2]:m[3]])[0])-'A')
			for rest := s[m[3]:]; ; {
				j := joined.FindStringSubmatchIndex(rest)
				if j == nil {
					break
				}
				named = append(named, int(rest[j[2]])-'A')
				rest = rest[j[3]:]
			}
		}
	}
	return named
}
