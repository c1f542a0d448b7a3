package internvl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/chat"
	"mixr/runtime/fixture"
	"mixr/runtime/models"
	"mixr/runtime/token"
)

// tokenizer is that of the nano policy with InternVL's tokens added.
func tokenizer(t *testing.T, added ...string) *token.Tokenizer {
	t.Helper()
	b, err := os.ReadFile("../../../experiments/policies/nano/tokenizer.json")
	fixture.Check(t, err)
	var file map[string]any
	fixture.Check(t, json.Unmarshal(b, &file))
	tokens := file["added_tokens"].([]any)
	next := 0
	for _, x := range tokens {
		next = max(next, int(x.(map[string]any)["id"].(float64))+1)
	}
	for i, text := range added {
		tokens = append(tokens, map[string]any{
			"id": next + i, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
		})
	}
	file["added_tokens"] = tokens
	b, err = json.Marshal(file)
	fixture.Check(t, err)
	dir := t.TempDir()
	fixture.Check(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), b, 0o600))
	tok, err := token.Load(dir)
	fixture.Check(t, err)
	return tok
}

// chatter is a configuration of one token a tile.
func chatter() *Config { return tiler(28, 12) }

func TestPrompt(t *testing.T) {
	c, tok := chatter(), tokenizer(t, imageOpen, imageClose, imageToken)
	image := func(tokens int) *models.Picture { return &models.Picture{Tokens: tokens, Grid: [3]int{1, 1, tokens}} }
	video := &models.Picture{Tokens: 2, Grid: [3]int{2, 1, 1}, Video: true}
	part := func(kind chat.Kind) chat.Part { return chat.Part{Kind: kind} }
	text := func(s string) chat.Part { return chat.Part{Kind: chat.Text, Text: s} }
	for _, test := range []struct {
		messages []chat.Message
		pictures []*models.Picture
		want     string
	}{
		{chat.Ask("", "How many?", 0), nil, "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n"},
		{
			chat.Ask("Be brief.", "Where?", 1), []*models.Picture{image(3)},
			"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<img><IMG_CONTEXT><IMG_CONTEXT><IMG_CONTEXT></img>\nWhere?<|im_end|>\n<|im_start|>assistant\n",
		},
		{
			[]chat.Message{
				{Role: "user", Content: []chat.Part{part(chat.Video), text("And "), part(chat.Image)}},
				{Role: "assistant", Content: []chat.Part{text("Yes")}},
				{Role: "user", Content: []chat.Part{part(chat.Image), text("this?")}},
			},
			[]*models.Picture{video, image(2), image(1)},
			"<|im_start|>user\nFrame1: <img><IMG_CONTEXT></img>\nFrame2: <img><IMG_CONTEXT></img>\nAnd <img><IMG_CONTEXT><IMG_CONTEXT></img>\n<|im_end|>\n" +
				"<|im_start|>assistant\nYes<|im_end|>\n<|im_start|>user\n<img><IMG_CONTEXT></img>\nthis?<|im_end|>\n<|im_start|>assistant\n",
		},
	} {
		rendered, err := c.Render(test.messages)
		fixture.Check(t, err)
		p, err := c.Prompt(tok, rendered, test.pictures)
		fixture.Check(t, err)
		if got := tok.Decode(p.IDs, false); got != test.want {
			t.Errorf("got %q\nwant %q", got, test.want)
		}
		id, _ := tok.ID(imageToken)
		rows := 0
		for i, row := range p.Feature {
			if (row >= 0) != (p.IDs[i] == id) || row >= 0 && row != rows {
				t.Errorf("token %d reads feature %d", i, row)
			}
			if row >= 0 {
				rows++
			}
			for axis := range p.Pos {
				if p.Pos[axis][i] != i {
					t.Errorf("token %d is at %d on axis %d", i, p.Pos[axis][i], axis)
				}
			}
		}
		if p.Next != len(p.IDs) {
			t.Errorf("next is %d after %d tokens", p.Next, len(p.IDs))
		}
	}
	for want, test := range map[string]struct {
		text     string
		pictures []*models.Picture
	}{
		"1 placeholders":         {"x <IMG_CONTEXT>", nil},
		"0 placeholders":         {"x", []*models.Picture{image(1)}},
		"not of that kind":       {"x <video>", []*models.Picture{image(1)}},
		"picture 1 is not":       {"<video> <IMG_CONTEXT>", []*models.Picture{video, video}},
		"have 2 visual tokens":   {"<video>", []*models.Picture{{Tokens: 2, Grid: [3]int{1, 1, 1}, Video: true}}},
		"for 1 pictures":         {"<video><video>", []*models.Picture{video}},
		"kind audio":             {"", nil},
		"the tokenizer has no <": {"no tokenizer", nil},
	} {
		var err error
		switch want {
		case "kind audio":
			_, err = c.Render([]chat.Message{{Role: "user", Content: []chat.Part{part("audio")}}})
		case "the tokenizer has no <":
			_, err = c.Prompt(tokenizer(t), test.text, nil)
		default:
			_, err = c.Prompt(tok, test.text, test.pictures)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

func TestCheckTokenizer(t *testing.T) {
	c, tok := parsed(t, native(nil)), tokenizer(t, imageOpen, imageClose, imageToken)
	end, _ := tok.ID(imEnd)
	image, _ := tok.ID(imageToken)
	c.Text.Vocab, c.StopIDs, c.ImageTokenID = tok.Size(), []int{end}, image
	fixture.Check(t, c.CheckTokenizer(tok))
	c.ImageTokenID = -1 // as in the original layout
	fixture.Check(t, c.CheckTokenizer(tok))
	for want, edit := range map[string]func(c *Config){
		"vocab_size is 100":               func(c *Config) { c.Text.Vocab = 100 },
		"config.json's image_token_id is": func(c *Config) { c.ImageTokenID = 7 },
		"the token that ends a turn is 5": func(c *Config) { c.StopIDs = []int{5} },
	} {
		broken := *c
		text := *c.Text
		broken.Text = &text
		edit(&broken)
		if err := broken.CheckTokenizer(tok); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
	c.Text.Vocab = 1 << 20
	if err := c.CheckTokenizer(tokenizer(t, imageOpen, imageToken)); err == nil || !strings.Contains(err.Error(), "has no </img>") {
		t.Errorf("got error %v", err)
	}
}

// Where the folder's files disagree about the end of a turn, <|im_end|> comes first.
func TestStop(t *testing.T) {
	config, err := json.Marshal(native(nil))
	fixture.Check(t, err)
	const (
		named  = `{"added_tokens_decoder": {"5": {"content": "<|im_start|>"}, "7": {"content": "<|im_end|>"}}}`
		listed = `{"added_tokens": [{"id": 8, "content": "<|im_end|>"}]}`
	)
	for _, test := range []struct {
		files map[string]string
		want  []int
	}{
		{nil, []int{1}},
		{map[string]string{"tokenizer_config.json": named}, []int{7, 1}},
		{map[string]string{"tokenizer.json": listed}, []int{8, 1}},
		{map[string]string{"tokenizer_config.json": named, "tokenizer.json": listed, "generation_config.json": `{"eos_token_id": [2, 1]}`}, []int{7, 1, 2}},
		{map[string]string{"tokenizer_config.json": named, "generation_config.json": `{"eos_token_id": [2, 7]}`}, []int{7, 2}},
	} {
		dir := t.TempDir()
		for name, text := range test.files {
			fixture.Check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		fixture.Check(t, os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600))
		c, err := Load(dir)
		fixture.Check(t, err)
		if !slices.Equal(c.Stop(), test.want) || c.EndOfTurn() != test.want[0] {
			t.Errorf("%v: got %v, want %v", test.files, c.Stop(), test.want)
		}
	}
}
