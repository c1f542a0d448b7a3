package qwen25vl

import (
	"slices"
	"strings"
	"testing"

	"mixr/runtime/chat"
	"mixr/runtime/fixture"
	"mixr/runtime/models"
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

func TestPrompt(t *testing.T) {
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
		text, err := c.Render(chat.Ask(tc.system, tc.user, len(tc.grids)))
		if err != nil {
			t.Fatal(err)
		}
		pictures := stillImages(tc.grids...)
		p, err := c.Prompt(tok, text, pictures)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := tok.Decode(p.IDs, false); got != tc.want {
			t.Errorf("got %q\nwant %q", got, tc.want)
		}
		images := 0
		for i, row := range p.Feature {
			if (row >= 0) != (p.IDs[i] == c.ImageTokenID) || row >= 0 && row != images {
				t.Errorf("token %d reads feature %d", i, row)
			}
			if row >= 0 {
				images++
			}
		}
	}
	p, err := c.Prompt(tok, "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n", nil)
	if want := slices.Concat([]int{1}, tok.Encode("user\nx"), []int{2}, tok.Encode("\n"), []int{1}, tok.Encode("assistant\n")); err != nil || !slices.Equal(p.IDs, want) {
		t.Errorf("got %v, %v, want %v", p, err, want)
	}
	if _, err := c.Prompt(tok, "a picture: <|image_pad|>", nil); err == nil || !strings.Contains(err.Error(), "1 placeholders (<|image_pad|> or <|video_pad|>) for 0 pictures") {
		t.Errorf("got error %v", err)
	}
}

func TestPromptOfVideos(t *testing.T) {
	c, tok := nanoConfig(t), nanoTokenizer(t)
	image, clip := stillImages(Grid{2, 4})[0], video(2, 2, 2, 2)
	ask := func(kinds ...chat.Kind) string {
		messages := chat.Ask("", "What moves?", len(kinds))
		for i, k := range kinds {
			messages[0].Content[i].Kind = k
		}
		text, err := c.Render(messages)
		fixture.Check(t, err)
		return text
	}
	p, err := c.Prompt(tok, ask(chat.Video, chat.Image), []*models.Picture{clip, image})
	fixture.Check(t, err)
	want := "<|im_start|>user\n<|vision_start|><|video_pad|><|video_pad|><|vision_end|><|vision_start|><|image_pad|><|image_pad|><|vision_end|>" +
		"What moves?<|im_end|>\n<|im_start|>assistant\n"
	if got := tok.Decode(p.IDs, false); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	_, err = c.Prompt(tok, ask(chat.Video, chat.Image), []*models.Picture{image, clip})
	if err == nil || !strings.Contains(err.Error(), "placeholder 0 of the prompt is <|video_pad|>, picture 0 has <|image_pad|>") {
		t.Errorf("got error %v", err)
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
