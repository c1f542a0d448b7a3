package reward

import "testing"

func TestWellFormed(t *testing.T) {
	for _, c := range []struct {
		text string
		want bool
	}{
		{"<think>a</think><answer>b</answer>", true},
		{" \n<think>a</think>\n <answer>b</answer>\n", true}, // a trailing newline and a leading blank are no fault
		{"<think></think><answer>b</answer>", true},
		{"<think>x < y, a<b></think><answer>b</answer>", true}, // only the four tags are tags
		{"<think>a\nb</think><answer>b\nc</answer>", true},
		{"<think>a</think><answer> \n</answer>", false},
		{"<think>a</think><answer></answer>", false},
		{"<think>a</think><answer>b</answer> so b", false},
		{"well <think>a</think><answer>b</answer>", false},
		{"<think>a</think> so <answer>b</answer>", false},
		{"<think>a</think><answer>b</answer><answer>c</answer>", false}, // accepted by the usual lazy pattern
		{"<think>a<think>b</think></think><answer>c</answer>", false},
		{"<think>a</think><think>b</think><answer>c</answer>", false},
		{"<think>a<answer>b</answer></think>", false},
		{"<answer>b</answer><think>a</think>", false},
		{"<think>a<answer>b</think></answer>", false},
		{"<answer>b</answer>", false},
		{"<think>a</think>", false},
		{"<think>a<answer>b</answer>", false},
		{"<Think>a</Think><Answer>b</Answer>", false},
		{"<think>a", false}, // truncated
		{"", false},
	} {
		if got := wellFormed(c.text); got != c.want {
			t.Errorf("%q: got %t, want %t", c.text, got, c.want)
		}
	}
}

func TestLastAnswer(t *testing.T) {
	for _, c := range []struct {
		text, want string
		ok         bool
	}{
		{"<think>a</think><answer> b </answer>", "b", true},
		{"<answer>a</answer> no, <answer>b</answer>", "b", true},
		{"<answer>a</answer><answer>b", "a", true}, // the last closed one
		{"<answer>a<answer>b</answer>", "b", true},
		{"<answer>a</answer>b</answer>", "a", true},
		{"<answer></answer>", "", true},
		{"a", "", false},
		{"<answer>a", "", false},
		{"a</answer>", "", false},
		{"</answer><answer>", "", false},
	} {
		if got, ok := lastAnswer(c.text); got != c.want || ok != c.ok {
			t.Errorf("%q: got %q, %t, want %q, %t", c.text, got, ok, c.want, c.ok)
		}
	}
}

func TestTrimEndOfTurn(t *testing.T) {
	for in, want := range map[string]string{
		"a<|im_end|>":                 "a",
		"a<|im_end|>\n<|endoftext|> ": "a",
		"a <|im_end|> b":              "a <|im_end|> b",
		"<|endoftext|><|endoftext|>":  "",
	} {
		if got := trimEndOfTurn(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzGrammar(f *testing.F) {
	f.Add("<think>a</think><answer>b</answer>")
	f.Add("<answer></answer></answer>")
	f.Fuzz(func(t *testing.T, s string) {
		body, ok := lastAnswer(s)
		if wellFormed(s) && (!ok || body == "") {
			t.Errorf("%q is well-formed but has no answer", s)
		}
	})
}
