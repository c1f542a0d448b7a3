package train

import (
	"strings"

	"mixr/runtime/token"
)

// stopTexts are the texts that end a completion where they first stand in it, special tokens read as their text.
type stopTexts struct {
	texts  []string
	tok    *token.Tokenizer
	window int // tokens within which a text that has just been completed lies
}

// newStopTexts returns nil for no texts, which never end anything.
func newStopTexts(texts []string, tok *token.Tokenizer) *stopTexts {
	if len(texts) == 0 {
		return nil
	}
	s := &stopTexts{texts: texts, tok: tok}
	for _, t := range texts {
		// A token is at least one byte, but the first ones of a window may lose some: a blank that a decoder strips at the start of a
		// text, bytes that are no character without those before.
		const lost = 8
		s.window = max(s.window, len(t)+lost)
	}
	return s
}

// ends reports whether a text stands in the completion, whose tokens were all asked about as they came.
func (s *stopTexts) ends(tokens []int) bool {
	if s == nil {
		return false
	}
	text := s.tok.Decode(tokens[max(0, len(tokens)-s.window):], false)
	for _, t := range s.texts {
		if strings.Contains(text, t) {
			return true
		}
	}
	return false
}
