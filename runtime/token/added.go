package token

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// added is a token that is looked for in the text before it is split into words.
type added struct {
	text           string
	id             int
	singleWord     bool // only where no letter, digit or mark touches it
	lstrip, rstrip bool // takes the white space before or after it along
}

// addedSet finds added tokens. They are listed by their first byte, longest first.
type addedSet struct {
	byFirst [256][]added
	size    int
}

func (set *addedSet) add(a added) {
	list := append(set.byFirst[a.text[0]], a)
	slices.SortStableFunc(list, func(a, b added) int { return len(b.text) - len(a.text) })
	set.byFirst[a.text[0]] = list
	set.size++
}

// cut walks over s and calls text for what lies between added tokens, with where it starts, and token for each of
// them: leftmost first, and the longest of those that start at one place. Empty texts are left out.
func (set *addedSet) cut(s string, text func(s string, at int), token func(id int)) {
	start := 0
	for i := 0; i < len(s) && set.size > 0; {
		a := set.at(s, i)
		if a == nil {
			i++
			continue
		}
		from, to := i, i+len(a.text)
		i = to // a token that strips may take white space that belongs to the next one as well, as in the reference
		if a.singleWord && (wordEnds(s[:from]) || wordStarts(s[to:])) {
			continue
		}
		if a.lstrip {
			from = max(len(strings.TrimRightFunc(s[:from], unicode.IsSpace)), start)
		}
		if a.rstrip {
			to = len(s) - len(strings.TrimLeftFunc(s[to:], unicode.IsSpace))
		}
		if start < from {
			text(s[start:from], start)
		}
		token(a.id)
		start = to
	}
	if start < len(s) {
		text(s[start:], start)
	}
}

func (set *addedSet) at(s string, i int) *added {
	list := set.byFirst[s[i]]
	for k := range list {
		if strings.HasPrefix(s[i:], list[k].text) {
			return &list[k]
		}
	}
	return nil
}

func wordStarts(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return isWordRune(r)
}

func wordEnds(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return isWordRune(r)
}

// isWordRune is \w as Unicode's technical standard 18 has it; utf8.RuneError, which no text at all gives, is none.
func isWordRune(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc) ||
		r == nonJoiner || r == joiner
}

// setAdded enters the added tokens. It comes after setPipeline and setVocab.
func (t *tables) setAdded(f *file) error {
	t.added, t.special = make(map[string]int, len(f.AddedTokens)), map[int]bool{}
	specials := map[string]bool{}
	for _, a := range f.AddedTokens {
		if a.Content == "" {
			return fmt.Errorf("added_tokens: id %d: empty content", a.ID)
		}
		if _, twice := t.added[a.Content]; twice {
			return fmt.Errorf("added_tokens: %q: listed twice", a.Content)
		}
		t.added[a.Content] = a.ID
		if a.Special {
			specials[a.Content] = true
		}
	}
	stand := byteAlphabet()
	for _, a := range f.AddedTokens {
		set, text := &t.raw, a.Content
		if a.Normalized {
			set = &t.folded
			if t.normalize != nil {
				text = t.normalize(text)
			}
		}
		if text == "" {
			return fmt.Errorf("added_tokens: %q: the normalizer leaves nothing of it", a.Content)
		}
		set.add(added{text, a.ID, a.SingleWord, a.LStrip, a.RStrip})
		t.texts[a.ID], t.special[a.ID] = text, specials[text]
		if raw, ok := unstand(text, stand); ok && t.byteLevel {
			t.texts[a.ID] = raw
		}
	}
	return nil
}
