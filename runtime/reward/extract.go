package reward

import (
	"fmt"
	"regexp"
	"strings"
)

// Places where an answer may stand, the values of rewards.extract.
const (
	inAnswer   = "answer"   // the last closed answer block
	inUnclosed = "unclosed" // behind an answer tag that is never closed
	inBoxed    = "boxed"    // the last \boxed{}
	behindCue  = "cue"      // behind the last announcement, to the end of its line
	lastOfKind = "last"     // the last thing of the task's kind
	inWhole    = "whole"    // everything behind the thinking
)

// extractor finds the answer in a completion. Its zero value looks into the answer block alone.
type extractor []string

func newExtractor(places []string) (extractor, error) {
	for _, p := range places {
		switch p {
		case inAnswer, inUnclosed, inBoxed, behindCue, lastOfKind, inWhole:
		default:
			return nil, fmt.Errorf("rewards.extract: unknown place %q, want answer, unclosed, boxed, cue, last or whole", p)
		}
	}
	if len(places) == 1 && places[0] == inAnswer {
		return nil, nil
	}
	return places, nil
}

// find returns the trimmed text of the first place that the completion has. Whether it can be read is not asked: trying place after
// place until one reads well would be guessing.
func (e extractor) find(completion string, j judge) (string, bool) {
	if len(e) == 0 {
		return lastAnswer(completion)
	}
	for _, place := range e {
		var text string
		ok := true
		switch place {
		case inAnswer:
			text, ok = lastAnswer(completion)
		case inUnclosed:
			text, ok = unclosedAnswer(completion)
		case inBoxed:
			text, ok = lastBoxed(completion)
		case behindCue:
			text, ok = lastCue(unthought(completion))
		case lastOfKind:
			text, ok = j.last(unthought(completion))
		case inWhole:
			text = strings.TrimSpace(unthought(completion))
		}
		if ok {
			return text, true
		}
	}
	return "", false
}

// lastAnswer returns the trimmed body of the last closed answer block.
//
// differs: R1-V and Visual-RFT score the first block, VLM-R1 the first or the last by task.
func lastAnswer(s string) (string, bool) {
	end := strings.LastIndex(s, answerClose)
	if end < 0 {
		return "", false
	}
	start := strings.LastIndex(s[:end], answerOpen)
	if start < 0 {
		return "", false
	}
	// Several closing tags after one opening tag: the block ends at the first of them.
	body, _, _ := strings.Cut(s[start+len(answerOpen):end], answerClose)
	return strings.TrimSpace(body), true
}

// unclosedAnswer returns what follows the last opening tag, if no closing one does.
func unclosedAnswer(s string) (string, bool) {
	start := strings.LastIndex(s, answerOpen)
	if start < 0 || strings.Contains(s[start:], answerClose) {
		return "", false
	}
	return strings.TrimSpace(s[start+len(answerOpen):]), true
}

// boxedOpen opens LaTeX's box around a final answer.
const boxedOpen = `\boxed{`

// lastBoxed returns the content of the last complete \boxed{}, braces inside matched.
func lastBoxed(s string) (string, bool) {
	for end := len(s); ; {
		start := strings.LastIndex(s[:end], boxedOpen)
		if start < 0 {
			return "", false
		}
		if body, ok := braced(s[start+len(boxedOpen):]); ok {
			return strings.TrimSpace(body), true
		}
		end = start
	}
}

// braced returns what stands before the brace that closes a group opened just before s; ok is false without one.
func braced(s string) (body string, ok bool) {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++ // an escaped brace
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[:i], true
			}
		}
	}
	return "", false
}

// unthought returns what follows the last closed think block, the whole text without one.
func unthought(s string) string {
	if i := strings.LastIndex(s, thinkClose); i >= 0 {
		return s[i+len(thinkClose):]
	}
	return s
}

// announcement is a cue inside running text; the answer follows it.
var announcement = regexp.MustCompile(`(?i)\banswer(?:\*\*)?(?: (?:is|would be|should be|must be)(?: that)?|(?:\*\*)?:)(?:\*\*)?:? *`)

// lastCue returns what follows the last announcement, to the end of its line.
func lastCue(s string) (string, bool) {
	at := announcement.FindAllStringIndex(s, -1)
	if at == nil {
		return "", false
	}
	line, _, _ := strings.Cut(strings.TrimSpace(s[at[len(at)-1][1]:]), "\n")
	return strings.TrimSpace(line), true
}
