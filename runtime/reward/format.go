package reward

import "strings"

// The tags of the completion grammar.
const (
	thinkOpen, thinkClose   = "<think>", "</think>"
	answerOpen, answerClose = "<answer>", "</answer>"
)

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

// wellFormed is the format reward: white space, one think block, white space, one answer block, white space. Each of
// the four tags stands exactly once, so bodies are free of tags, and the answer's body is not blank.
//
// differs: the lazy patterns of open-r1, R1-V and VLM-R1 accept a second answer block, nested think tags and an empty
// answer, and refuse a trailing newline.
func wellFormed(s string) bool {
	for _, tag := range []string{thinkOpen, thinkClose, answerOpen, answerClose} {
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
