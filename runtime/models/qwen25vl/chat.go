package qwen25vl

import (
	"fmt"
	"strings"

	"mixr/runtime/chat"
	"mixr/runtime/models"
	"mixr/runtime/token"
)

// Tokens of the chat format, as texts; their ids are in the tokenizer and in Config.
const (
	imStart     = "<|im_start|>"
	imEnd       = "<|im_end|>"
	visionStart = "<|vision_start|>"
	visionEnd   = "<|vision_end|>"
	imagePad    = "<|image_pad|>"
	videoPad    = "<|video_pad|>"
)

// Render writes a conversation in ChatML, each image as <|vision_start|><|image_pad|><|vision_end|> and each video with <|video_pad|>.
//
// differs: the published template adds a system message, "You are a helpful assistant.", where there is none.
func (c *Config) Render(messages []chat.Message) (string, error) {
	placeholder := map[chat.Kind]string{chat.Image: visionStart + imagePad + visionEnd, chat.Video: visionStart + videoPad + visionEnd}
	var written []chat.Message
	for _, m := range messages {
		parts := make([]chat.Part, len(m.Content))
		for i, part := range m.Content {
			if text, ok := placeholder[part.Kind]; ok {
				part = chat.Part{Kind: chat.Text, Text: text}
			}
			parts[i] = part
		}
		written = append(written, chat.Message{Role: m.Role, Content: parts})
	}
	return chat.ChatML(written, "")
}

// expand tokenizes rendered text in which each picture is one <|image_pad|> or, a video, one <|video_pad|>, writing as many as the
// picture has merged visual tokens.
func (c *Config) expand(tok *token.Tokenizer, text string, pictures []*models.Picture) ([]int, error) {
	if n := strings.Count(text, imagePad) + strings.Count(text, videoPad); n != len(pictures) {
		return nil, fmt.Errorf("qwen25vl: the prompt has %d placeholders (%s or %s) for %d pictures", n, imagePad, videoPad, len(pictures))
	}
	var b strings.Builder
	for i, p := range pictures {
		pad, other := imagePad, videoPad
		if p.Video {
			pad, other = videoPad, imagePad
		}
		before, rest, ok := strings.Cut(text, pad)
		if !ok || strings.Contains(before, other) {
			return nil, fmt.Errorf("qwen25vl: placeholder %d of the prompt is %s, picture %d has %s", i, other, i, pad)
		}
		b.WriteString(before)
		b.WriteString(strings.Repeat(pad, p.Tokens))
		text = rest
	}
	b.WriteString(text)
	return tok.Encode(b.String()), nil
}

// CheckTokenizer compares the tokenizer with the configuration: the tokens of the chat format must exist and have the
// ids that config.json gives them, and every id must have a row in the embedding.
func (c *Config) CheckTokenizer(tok *token.Tokenizer) error {
	if tok.Size() > c.VocabSize {
		return fmt.Errorf("qwen25vl: tokenizer.json has ids up to %d, config.json's vocab_size is %d", tok.Size()-1, c.VocabSize)
	}
	for _, t := range [...]struct {
		text, field string
		id          int
	}{
		{imEnd, "eos_token_id", c.EOSTokenID},
		{visionStart, "vision_start_token_id", c.VisionStartTokenID},
		{visionEnd, "vision_end_token_id", c.VisionEndTokenID},
		{imagePad, "image_token_id", c.ImageTokenID},
		{videoPad, "video_token_id", c.VideoTokenID},
	} {
		if id, ok := tok.ID(t.text); !ok || id != t.id {
			return fmt.Errorf("qwen25vl: tokenizer.json has %s as %s, config.json's %s is %d", t.text, idOrNone(id, ok), t.field, t.id)
		}
	}
	if _, ok := tok.ID(imStart); !ok {
		return fmt.Errorf("qwen25vl: tokenizer.json has no %s", imStart)
	}
	return nil
}

func idOrNone(id int, ok bool) string {
	if !ok {
		return "no token"
	}
	return fmt.Sprintf("id %d", id)
}
