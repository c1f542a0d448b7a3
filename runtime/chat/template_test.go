package chat

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	if len(f.Conversations) == 0 || len(f.Templates) == 0 {
		tb.Fatalf("%d conversations, %d templates", len(f.Conversations), len(f.Templates))
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

func TestLoad(t *testing.T) {
	config := `{"bos_token": {"content": "<B>", "special": true}, "eos_token": "<E>", "pad_token": null, "add_bos_token": true, "chat_template": `
	for _, c := range []struct {
		files map[string]string
		want  string // of one message, or a part of the error
	}{
		{map[string]string{"tokenizer_config.json": config + `"{{ bos_token }}c{{ eos_token }}{{ pad_token }}"}`}, "<B>c<E>"},
		{map[string]string{"tokenizer_config.json": config + `[{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}`}, "d"},
		{map[string]string{"tokenizer_config.json": config + `"c"}`, "chat_template.json": `{"chat_template": "j"}`}, "j"},
		{map[string]string{"tokenizer_config.json": config + `"c"}`, "chat_template.jinja": "{{ bos_token }}f\n"}, "<B>f"},
		{map[string]string{"tokenizer_config.json": config + `null}`}, "has no chat template"},
		{map[string]string{}, "has no chat template"},
		{map[string]string{"tokenizer_config.json": config + `[{"name": "rag", "template": "t"}]}`}, `without the name "default"`},
		{map[string]string{"tokenizer_config.json": config + `7}`}, "chat_template: want a string"},
		{map[string]string{"tokenizer_config.json": `{`}, "tokenizer_config.json"},
		{map[string]string{"chat_template.jinja": "a\nb {{ 1\n"}, "chat_template.jinja: chat_template: line 2: the tag that starts here has no end"},
		{map[string]string{"chat_template.jinja": "a\n{%- set x = 1 -%}\n\n{% nonsense %}\n"}, "chat_template.jinja: chat_template line 4: ControlStructure 'nonsense'"},
		{map[string]string{"chat_template.jinja": "a\n{{ 2 ** 3 }}"}, "line 2: the operator **"},
		{map[string]string{"chat_template.jinja": "{# #}\n\n{{- raise_exception('no ' ~ messages[0].role) }}"}, "chat_template line 3: no user"},
		{map[string]string{"chat_template.jinja": "{% if true %}\n\n  {% for m in messages %}\n{{ m.content.nothing() }}{% endfor %}{% endif %}"}, "chat_template line 4:"},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		tmpl, err := Load(dir)
		got := ""
		if err == nil {
			got, err = tmpl.Render([]Message{{Role: "user", Content: []Part{{Kind: Text, Text: "hi"}}}}, true)
		}
		if err != nil {
			if got = err.Error(); strings.Contains(got, c.want) {
				continue
			}
		}
		if got != c.want {
			t.Errorf("%v:\n got %q\nwant %q", c.files, got, c.want)
		}
	}
	if _, err := Load(t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("an empty folder: got %v, want ErrNone", err)
	}
}

func TestRenderErrors(t *testing.T) {
	tmpl, err := parse("f", "{% for m in messages %}{{ m.role + m.content }}{% endfor %}{% if not messages %}{{ raise_exception('empty') }}{% endif %}", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tmpl.Render(nil, false)
	var raised *Raised
	if !errors.As(err, &raised) || raised.Message != "empty" {
		t.Errorf("got %v, want a Raised", err)
	}
	_, err = tmpl.Render([]Message{{Role: "user", Content: []Part{{Kind: Image}}}}, false)
	if err == nil || !strings.Contains(err.Error(), "messages[0]: has a part of kind image") {
		t.Errorf("got %v, want that the template reads texts", err)
	}
}

// TestParallel: a template serves several goroutines, each with its own messages.
func TestParallel(t *testing.T) {
	f, conversations := readFixture(t)
	for _, c := range f.Templates[:4] {
		tmpl, err := parse("f", c.Template, c.Variables)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan string)
		for range 8 {
			go func() {
				out, err := tmpl.Render(conversations[3], true)
				if err != nil {
					out = err.Error()
				}
				done <- out
			}()
		}
		for range 8 {
			if got := <-done; got != *c.Results[3][1] {
				t.Errorf("%s: got %q, want %q", c.Name, got, *c.Results[3][1])
			}
		}
	}
}

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 3, 7, 15, 4, 5, 0, time.UTC)
	for format, want := range map[string]string{"%d %b %Y": "07 Mar 2026", "%B %d, %Y": "March 07, 2026", "%H:%M:%S%%": "15:04:05%", "%A%": "Saturday%"} {
		if got, err := strftime(at, format); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", format, got, err, want)
		}
	}
	if got, err := strftime(at, "%Q"); err == nil {
		t.Errorf("%%Q: got %q, want an error", got)
	}
}

// FuzzParse: no template panics, neither when it is read nor when it is rendered.
func FuzzParse(f *testing.F) {
	fix, conversations := readFixture(f)
	for _, c := range fix.Templates {
		f.Add(c.Template)
	}
	for _, s := range []string{"{%", "{{ (", "{{ [a if b else", "{% raw %}", "{{ '", "{#-", "{{ a if", "{% raw -%} {%- endraw +%}", "{%- -%}", "{{--}}", "{{ x[::0] }}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if strings.Contains(source, "range") || strings.Contains(source, "*") {
			return // a template may ask for any amount of memory
		}
		tmpl, err := parse("f", source, nil)
		if err != nil {
			return
		}
		_, err = tmpl.Render(conversations[1], true)
		if err != nil && !strings.HasPrefix(err.Error(), "chat: f: ") {
			t.Errorf("%q: got %v, want an error that names the file", source, err)
		}
	})
}
