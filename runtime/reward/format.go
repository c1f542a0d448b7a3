package reward

import (
	"fmt"
	"regexp"
	"strings"
)

// The tags of the completion grammar.
const (
	thinkOpen, thinkClose   = "<think>", "</think>"
	answerOpen, answerClose = "<answer>", "</answer>"
)

// tags are all four.
var tags = []string{thinkOpen, thinkClose, answerOpen, answerClose}

// endOfTurn lists the tokens that may close a completion when it was decoded with special tokens kept.
// <|im_end|> and <|endoftext|>: Qwen2.5-VL tokenizer.
var endOfTurn = []string{"<|im_end|>", "<|endoftext|>"}

// trimEndOfTurn removes white space and end-of-turn tokens from the end.
func trimEndOfTurn(s string) string {
	for {
		t := strings.TrimSpace(s)
		for _, e := range endOfTurn {
			t = strings.TrimSuffix(t, e)
		}
		if t == s {
			return s
		}
		s = t
	}
}

// newForm is the rule that rewards.format.require names: how far a trimmed completion has the form, 0 to 1.
func newForm(require string) (func(string) float64, error) {
	binary := func(has func(string) bool) func(string) float64 {
		return func(s string) float64 { return indicator(has(s)) }
	}
	switch require {
	case "", "think_answer":
		return binary(wellFormed), nil
	case "open_r1":
		return binary(openR1.MatchString), nil
	case "tags":
		return tagShare, nil
	case "answer":
		return binary(oneAnswer), nil
	case "boxed":
		return binary(oneBoxed), nil
	}
	return nil, fmt.Errorf("rewards.format.require: unknown form %q, want think_answer, open_r1, tags, answer or boxed", require)
}

// wellFormed is the form think_answer: white space, one think block, white space, one answer block, white space. Each of
// the four tags stands exactly once, so bodies are free of tags, and the answer's body is not blank.
//
// differs: the lazy patterns of open-r1, R1-V and VLM-R1 accept a second answer block, nested think tags and an empty
// answer, and refuse a trailing newline.
func wellFormed(s string) bool {
	for _, tag := range tags {
		if strings.Count(s, tag) != 1 {
			return false
		}
	}
	s = strings.TrimSpace(s)
	s, ok := strings.CutPrefix(s, thinkOpen)
	if !ok {
		return false
	}
	_, s, ok = strings.Cut(s, thinkClose)
	if !ok {
		return false
	}
	body, ok := strings.CutPrefix(strings.TrimSpace(s), answerOpen)
	if !ok {
		return false
	}
	body, ok = strings.CutSuffix(body, answerClose)
	return ok && strings.TrimSpace(body) != ""
}

// openR1 is the full-match pattern of open-r1, R1-V and VLM-R1: <think>.*?</think>\s*<answer>.*?</answer>, dots matching newlines.
//
// differs: the completion was trimmed before, so a trailing newline does not fail it.
var openR1 = regexp.MustCompile(`(?s)^<think>.*?</think>\s*<answer>.*?</answer>$`)

// tagShare is a quarter for each of the four tags that stands exactly once.
//
// differs: open-r1 and V-Triune count a tag only with the newlines of their prompt around it.
func tagShare(s string) float64 {
	n := 0
	for _, tag := range tags {
		if strings.Count(s, tag) == 1 {
			n++
		}
	}
	return float64(n) / float64(len(tags))
}

// oneAnswer reports a single answer block with something in it.
func oneAnswer(s string) bool {
	body, ok := lastAnswer(s)
	return ok && body != "" && strings.Count(s, answerOpen) == 1 && strings.Count(s, answerClose) == 1
}

// oneBoxed reports a single \boxed{} with something in it.
func oneBoxed(s string) bool {
	body, ok := lastBoxed(s)
	return ok && body != "" && strings.Count(s, boxedOpen) == 1
}
