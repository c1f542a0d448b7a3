package chat

import (
	"fmt"
	"strings"
)

// ChatML writes each message as a turn and opens the assistant's, with the given text for each image ("" = images are an error):
//
//	<|im_start|>system
//	SYSTEM<|im_end|>
//	<|im_start|>user
//	IMAGE USER<|im_end|>
//	<|im_start|>assistant
//
// It adds no system message where there is none, as some published templates do.
func ChatML(messages []Message, image string) (string, error) {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString("<|im_start|>" + m.Role + "\n")
		for _, part := range m.Content {
			switch {
			case part.Kind == Text:
				b.WriteString(part.Text)
			case part.Kind == Image && image != "":
				b.WriteString(image)
			default:
				return "", fmt.Errorf("a message has a part of kind %s, which the policy does not read", part.Kind)
			}
		}
		b.WriteString("<|im_end|>\n")
	}
	b.WriteString("<|im_start|>assistant\n")
	return b.String(), nil
}
