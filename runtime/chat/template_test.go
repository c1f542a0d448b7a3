package chat

import (
	"encoding/json"
	"os"
	"testing"
)

type fixture struct {
	Conversations [][]struct {
		Role    string
		Content []struct{ Type, Text string }
	}
	Templates []struct {
		Name, Template string
		Variables      map[string]any
		Parts          bool
		Results        []*[2]*string
	}
}

func readFixture(tb testing.TB) (f fixture, conversations [][]Message) {
	tb.Helper()
	b, err := os.ReadFile("testdata/templates.json")
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		tb.Fatal(err)
	}
	for _, c := range f.Conversations {
		var messages []Message
		for _, m := range c {
			message := Message{Role: m.Role}
			for _, p := range m.Content {
				message.Content = append(message.Content, Part{Kind: Kind(p.Type), Text: p.Text})
			}
			messages = append(messages, message)
		}
		conversations = append(conversations, messages)
	}
	return f, conversations
}

// TestRender compares with transformers (bench/chat_fixture.py).
func TestRender(t *testing.T) {
	f, conversations := readFixture(t)
	for _, c := range f.Templates {
		t.Run(c.Name, func(t *testing.T) {
			tmpl, err := parse("file", c.Template, c.Variables)
			if err != nil {
				t.Fatal(err)
			}
			if tmpl.Parts() != c.Parts {
				t.Errorf("reads parts: got %t, want %t", tmpl.Parts(), c.Parts)
			}
			for i, messages := range conversations {
				for k, opening := range []bool{false, true} {
					got, err := tmpl.Render(messages, opening)
					var want *string
					if c.Results[i] != nil {
						want = c.Results[i][k]
					}
					switch {
					case want == nil && err == nil:
						t.Errorf("conversation %d: got %q, want an error", i, got)
					case want != nil && err != nil:
						t.Errorf("conversation %d: %v", i, err)
					case want != nil && got != *want:
						t.Errorf("conversation %d, opening %t\n got %q\nwant %q", i, opening, got, *want)
					}
				}
			}
		})
	}
}
