package internvl

import (
	"fmt"
	"regexp"
	"strings"

	"mixr/runtime/chat"
	"mixr/runtime/models"
	"mixr/runtime/token"
)

// Tokens of the chat format, as texts. A picture's placeholder is one of imageToken or videoMark; the latter is text that never
// reaches the tokenizer.
const (
	imStart    = "<|im_start|>"
	imEnd      = "<|im_end|>"
	imageOpen  = "<img>"
	imageToken = "<IMG_CONTEXT>"
	imageClose = "</img>"
	videoMark  = "<video>"
)

var placeholder = regexp.MustCompile(regexp.QuoteMeta(imageToken) + "|" + regexp.QuoteMeta(videoMark))

// Render writes a conversation in ChatML, each image or video as its placeholder on a line of its own, as both layouts' templates do.
//
// differs: the original chat function adds a system message of its own where there is none.
func (c *Config) Render(messages []chat.Message) (string, error) {
	marked := make([]chat.Message, len(messages))
	for i, m := range messages {
		marked[i].Role = m.Role
		for _, part := range m.Content {
			if part.Kind == chat.Video {
				part = chat.Part{Kind: chat.Text, Text: videoMark + "\n"}
			}
			marked[i].Content = append(marked[i].Content, part)
		}
	}
	return chat.ChatML(marked, imageToken+"\n")
}

// Prompt turns rendered text into tokens at positions 0, 1, 2 and so on. An image's placeholder becomes <img>, as many <IMG_CONTEXT> as
// it has merged visual tokens, and </img>; a video's becomes a line of that kind for each frame, with its number before it.
func (c *Config) Prompt(tok *token.Tokenizer, text string, pictures []*models.Picture) (*models.Prompt, error) {
	image, ok := tok.ID(imageToken)
	if !ok {
		return nil, fmt.Errorf("internvl: the tokenizer has no %s", imageToken)
	}
	text, err := c.expand(text, pictures)
	if err != nil {
		return nil, err
	}
	// The reference tokenizes with special tokens, so a tokenizer that opens a text with <s> (InternLM2) does so here.
	return place(tok.EncodeWithSpecial(text), image, pictures)
}

// expand writes what stands for each picture in the place of its placeholder (Hugging Face: InternVLProcessor).
func (c *Config) expand(text string, pictures []*models.Picture) (string, error) {
	found := placeholder.FindAllStringIndex(text, -1)
	if len(found) != len(pictures) {
		return "", fmt.Errorf("internvl: the prompt has %d placeholders, %s or %s, for %d pictures", len(found), imageToken, videoMark, len(pictures))
	}
	var b strings.Builder
	at := 0
	for i, p := range pictures {
		from, to := found[i][0], found[i][1]
		if video := text[from:to] == videoMark; video != p.Video {
			return "", fmt.Errorf("internvl: placeholder %d of the prompt is %s, and picture %d is not of that kind", i, text[from:to], i)
		}
		b.WriteString(text[at:from])
		at = to
		if !p.Video {
			b.WriteString(shown(p.Tokens))
			continue
		}
		for frame := range p.Grid[0] {
			if frame > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "Frame%d: %s", frame+1, shown(c.tileTokens()))
		}
	}
	b.WriteString(text[at:])
	return b.String(), nil
}

func shown(tokens int) string { return imageOpen + strings.Repeat(imageToken, tokens) + imageClose }

// Place finds positions and features of token ids in which every merged visual token has its <IMG_CONTEXT>, ImageTokenID.
func (c *Config) Place(ids []int, pictures []*models.Picture) (*models.Prompt, error) {
	return place(ids, c.ImageTokenID, pictures)
}

func place(ids []int, image int, pictures []*models.Picture) (*models.Prompt, error) {
	want := 0
	for _, p := range pictures {
		want += p.Tokens
	}
	prompt, rows := models.TextPrompt(ids), 0
	for i, id := range ids {
		if id == image {
			prompt.Feature[i] = rows
			rows++
		}
	}
	if rows != want {
		return nil, fmt.Errorf("internvl: the prompt has %d %s, and its pictures have %d visual tokens", rows, imageToken, want)
	}
	return prompt, nil
}

// CheckTokenizer compares the tokenizer with the configuration: the tokens of the chat format must exist, with the ids that the
// configuration gives them, and every id must have a row in the embedding.
func (c *Config) CheckTokenizer(tok *token.Tokenizer) error {
	if err := models.CheckVocabulary(tok, c.Text.Vocab); err != nil {
		return fmt.Errorf("internvl: %w", err)
	}
	for _, t := range [...]struct {
		text string
		want int // -1: any
		what string
	}{
		{imStart, -1, ""},
		{imEnd, c.StopIDs[0], "the token that ends a turn"},
		{imageOpen, -1, ""},
		{imageToken, c.ImageTokenID, "config.json's image_token_id"},
		{imageClose, -1, ""},
	} {
		id, ok := tok.ID(t.text)
		if !ok {
			return fmt.Errorf("internvl: the tokenizer has no %s", t.text)
		}
		if t.want >= 0 && id != t.want {
			return fmt.Errorf("internvl: the tokenizer has %s as id %d, %s is %d", t.text, id, t.what, t.want)
		}
	}
	return nil
}
