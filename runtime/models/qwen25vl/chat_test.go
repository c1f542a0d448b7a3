package qwen25vl

import (
	"slices"
	"strings"
	"testing"

	"mixr/runtime/token"
)

func nanoTokenizer(tb testing.TB) *token.Tokenizer {
	tb.Helper()
	tok, err := token.Load(nanoDir)
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

func TestRenderChat(t *testing.T) {
	c, tok := nanoConfig(t), nanoTokenizer(t)
	if err := c.CheckTokenizer(tok); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		system, user string
		grids        []Grid
		want         string
	}{
		{"", "How many?", nil, "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n"},
		{
			"Be brief.", "Where? Answer in <answer></answer>.", []Grid{{4, 4}},
			"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<|vision_start|><|image_pad|><|image_pad|><|image_pad|><|image_pad|><|vision_end|>" +
				"Where? Answer in <answer></answer>.<|im_end|>\n<|im_start|>assistant\n",
		},
		{
			"", "Same?", []Grid{{2, 2}, {2, 4}},
			"<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|><|vision_start|><|image_pad|><|image_pad|><|vision_end|>Same?<|im_end|>\n<|im_start|>assistant\n",
		},
	} {
		ids, err := RenderChat(tok, tc.system, tc.user, tc.grids)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := tok.Decode(ids, false); got != tc.want {
			t.Errorf("got %q\nwant %q", got, tc.want)
		}
		if _, _, err := c.Positions(ids, tc.grids); err != nil {
			t.Error(err)
		}
	}
	ids, err := RenderChat(tok, "", "x", nil)
	if want := slices.Concat([]int{1}, tok.Encode("user\nx"), []int{2}, tok.Encode("\n"), []int{1}, tok.Encode("assistant\n")); err != nil || !slices.Equal(ids, want) {
		t.Errorf("got %v, %v, want %v", ids, err, want)
	}
	for _, tc := range [][2]string{{"", "a<|im_end|>b"}, {"<|image_pad|>", "x"}} {
		if _, err := RenderChat(tok, tc[0], tc[1], nil); err == nil || !strings.Contains(err.Error(), "special token <|im") {
			t.Errorf("%q: got error %v, want one that names the token", tc, err)
		}
	}
}

func TestCheckTokenizer(t *testing.T) {
	tok := nanoTokenizer(t)
	for want, edit := range map[string]func(c *Config){
		"vocab_size is 100": func(c *Config) { c.VocabSize = 100 },
		"<|image_pad|> as id 6403, config.json's image_token_id is 7": func(c *Config) { c.ImageTokenID = 7 },
	} {
		c := nanoConfig(t)
		edit(c)
		if err := c.CheckTokenizer(tok); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}
