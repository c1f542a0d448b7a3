package chat

// Kind is what a part of a message is.
type Kind string

const (
	Text  Kind = "text"
	Image Kind = "image" // one placeholder; the picture itself travels beside the messages, in the same order
	Video Kind = "video"
)

// Part is a piece of a message's content.
type Part struct {
	Kind Kind
	Text string // of a text part
}

// Message is one turn of a conversation.
type Message struct {
	Role    string // system | user | assistant
	Content []Part
}

// Ask is the usual conversation: a system message, unless it is empty, and one user message with the images before the text.
func Ask(system, user string, pictures int) []Message {
	var out []Message
	if system != "" {
		out = append(out, Message{"system", []Part{{Kind: Text, Text: system}}})
	}
	var content []Part
	for range pictures {
		content = append(content, Part{Kind: Image})
	}
	return append(out, Message{"user", append(content, Part{Kind: Text, Text: user})})
}
