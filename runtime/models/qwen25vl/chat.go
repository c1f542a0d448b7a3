package qwen25vl

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"mixr/runtime/token"
)

// Tokens of the chat format, as texts; their ids are in the tokenizer and in Config.
const (
	imStart     = "<|im_start|>"
	imEnd       = "<|im_end|>"
	visionStart = "<|vision_start|>"
	visionEnd   = "<|vision_end|>"
	imagePad    = "<|image_pad|>"
)

// RenderChat returns the ids of a prompt: an optional system message, one user message with the images before the
// text, and the opening of the assistant's turn.
//
//	<|im_start|>system
//	SYSTEM<|im_end|>
//	<|im_start|>user
//	<|vision_start|><|image_pad|>...<|vision_end|>USER<|im_end|>
//	<|im_start|>assistant
//
// Each image has grid.Merged() image tokens. An empty system leaves the system message out: differs from the
// published template, which then says "You are a helpful assistant.". A special token inside system or user is an
// error, since it would open a turn or stand for an image that is not there.
func RenderChat(tok *token.Tokenizer, system, user string, grids []Grid) ([]int, error) {
	for _, part := range [...]struct{ what, text string }{{"system message", system}, {"user message", user}} {
		for _, special := range slices.Sorted(maps.Keys(tok.SpecialTokens())) {
			if strings.Contains(part.text, special) {
				return nil, fmt.Errorf("qwen25vl: %s contains the special token %s: remove it from the text", part.what, special)
			}
		}
	}
	var b strings.Builder
	if system != "" {
		b.WriteString(imStart + "system\n" + system + imEnd + "\n")
	}
	b.WriteString(imStart + "user\n")
	for _, g := range grids {
		b.WriteString(visionStart + strings.Repeat(imagePad, g.Merged()) + visionEnd)
	}
	b.WriteString(user + imEnd + "\n" + imStart + "assistant\n")
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
