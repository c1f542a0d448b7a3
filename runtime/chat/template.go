package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// ErrNone is returned by Load for a folder that holds no chat template.
var ErrNone = errors.New("the folder has no chat template")

// Template writes conversations in the form that a model was trained on.
type Template struct {
	path      string
	template  *exec.Template
	variables map[string]any // bos_token and the like
	parts     bool           // it reads the content of a message as a list of parts, not as a string
}

// Load reads the chat template of the model in dir: chat_template.jinja, or else chat_template of chat_template.json or
// of tokenizer_config.json, the one named "default" if there are several. Special tokens for the template come from
// tokenizer_config.json. A template that does not parse is an error with its line.
func Load(dir string) (*Template, error) {
	var config map[string]json.RawMessage
	configPath := filepath.Join(dir, "tokenizer_config.json")
	if err := readJSON(configPath, &config); err != nil {
		return nil, err
	}
	source, path := "", filepath.Join(dir, "chat_template.jinja")
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		source = string(b)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("chat: %w", err)
	default:
		path = filepath.Join(dir, "chat_template.json")
		var own map[string]json.RawMessage
		if err := readJSON(path, &own); err != nil {
			return nil, err
		}
		raw := own["chat_template"]
		if raw == nil {
			path, raw = configPath, config["chat_template"]
		}
		if source, err = pick(raw); err != nil {
			return nil, fmt.Errorf("chat: %s: chat_template: %w", path, err)
		}
	}
	if source == "" {
		return nil, fmt.Errorf("chat: %s: %w", dir, ErrNone)
	}
	variables := map[string]any{}
	for name, raw := range config {
		if !strings.HasSuffix(name, "_token") {
			continue
		}
		var text string
		var token struct{ Content string }
		if json.Unmarshal(raw, &text) == nil && text != "" {
			variables[name] = text
		} else if json.Unmarshal(raw, &token) == nil && token.Content != "" {
			variables[name] = token.Content
		}
	}
	return parse(path, source, variables)
}

// readJSON leaves to as it is if the file is absent.
func readJSON(path string, to any) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		return fmt.Errorf("chat: %s: %w", path, err)
	}
	return nil
}

// pick reads a template, or the default one of a list of named ones; "" if there is none.
func pick(raw json.RawMessage) (string, error) {
	if raw == nil || string(raw) == "null" {
		return "", nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var named []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &named); err != nil {
		return "", fmt.Errorf("want a string or a list of name and template: %w", err)
	}
	for _, t := range named {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", errors.New(`a list without the name "default"`)
}

func parse(path, source string, variables map[string]any) (*Template, error) {
	plain, err := unlayout(source)
	if err != nil {
		return nil, fmt.Errorf("chat: %s: chat_template: %w", path, err)
	}
	const name = "/chat_template"
	loader, err := loaders.NewMemoryLoader(map[string]string{name: plain})
	if err != nil {
		return nil, fmt.Errorf("chat: %s: %w", path, err)
	}
	settings := config.New()
	settings.KeepTrailingNewline = true
	t := &Template{path: path, variables: variables}
	err = guard(func() (err error) {
		t.template, err = exec.NewTemplate(name, settings, loader, environment())
		return err
	})
	if err != nil {
		return nil, t.located(err)
	}
	t.parts = t.readsParts()
	return t, nil
}

// Parts tells whether the template reads the parts of a message, so that messages can hold images. If it does not, each
// message's content is given to it as one string.
//
// It is found out by trying: a template reads parts if it writes the text of a message whose content is a list with one
// text part, as text and not as a printed list.
func (t *Template) Parts() bool { return t.parts }

func (t *Template) readsParts() bool {
	const probe = "Pr0be"
	for _, role := range []string{"user", "system"} {
		content := []any{map[string]any{"type": "text", "text": probe}}
		out, err := t.render([]any{map[string]any{"role": role, "content": content}}, false)
		quoted := strings.Contains(out, "'"+probe) || strings.Contains(out, `"`+probe)
		if err == nil && strings.Contains(out, probe) && !quoted {
			return true
		}
	}
	return false
}

// Render writes the messages, and with addGenerationPrompt the opening of the assistant's turn. It returns an error that
// names the file and the template's line where the template raises an exception, and one if a message has an image or a
// video and the template reads strings.
func (t *Template) Render(messages []Message, addGenerationPrompt bool) (string, error) {
	list := make([]any, len(messages))
	for i, m := range messages {
		var text strings.Builder
		parts := make([]any, len(m.Content))
		for k, p := range m.Content {
			part := map[string]any{"type": string(p.Kind)}
			if p.Kind == Text {
				part["text"] = p.Text
			} else if !t.parts {
				return "", fmt.Errorf("chat: messages[%d]: has a part of kind %s, and the template in %s reads texts only", i, p.Kind, t.path)
			}
			text.WriteString(p.Text)
			parts[k] = part
		}
		var content any = text.String()
		if t.parts {
			content = parts
		}
		list[i] = map[string]any{"role": m.Role, "content": content}
	}
	out, err := t.render(list, addGenerationPrompt)
	if err != nil {
		return "", t.located(err)
	}
	return out, nil
}

func (t *Template) render(messages []any, addGenerationPrompt bool) (out string, err error) {
	data := exec.NewContext(map[string]any{
		"messages": messages, "add_generation_prompt": addGenerationPrompt, "tools": nil, "documents": nil,
	})
	data.Update(exec.NewContext(t.variables))
	err = guard(func() (err error) {
		out, err = t.template.ExecuteToString(data)
		return err
	})
	return out, err
}

// guard turns a panic of the library, which a template can provoke, into an error.
func guard(run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the template library failed: %v", p)
		}
	}()
	return run()
}

var lineOf = regexp.MustCompile(`(?i)\bline:? ?=?(\d+)`)

// located puts file and line before an error of the library, whose innermost mention of a line is the place, and
// keeps only its end: what goes before repeats the template.
func (t *Template) located(err error) error {
	var raised *Raised
	text := err.Error()
	where := t.path + ": chat_template"
	if all := lineOf.FindAllStringSubmatch(text, -1); all != nil {
		line, _ := strconv.Atoi(all[len(all)-1][1])
		where += fmt.Sprintf(" line %d", line)
	}
	if errors.As(err, &raised) {
		return fmt.Errorf("chat: %s: %w", where, raised)
	}
	if i := strings.LastIndex(text, "): "); i >= 0 {
		text = text[i+3:]
	}
	return fmt.Errorf("chat: %s: %s", where, text)
}
