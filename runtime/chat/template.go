// Package chat turns conversations into the text that a model was trained on.
//
// A model's own chat template is rendered as transformers' apply_chat_template renders it (Jinja with trim_blocks and
// lstrip_blocks, the special tokens of tokenizer_config.json, raise_exception, tojson, strftime_now, loop controls; tools
// and documents are none). The library for it is gonja; what it has otherwise than Jinja is put right before and around
// it: white space (layout.go), conditional expressions in brackets (inline.go), methods of strings (strings.go), tojson
// and range. What a template uses beyond that is an error with its line where the library has it as one.
//
// differs: none prints nothing instead of "None"; // and % round towards zero for negative numbers; a list times a number
// is no list; "do" changes the messages without complaint; the order in which a loop sees the keys of a message is not
// told. No published template that this was compared with (bench/chat_fixture.py) depends on one of them.
package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	hash      string
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
	t := &Template{hash: fingerprint(source, variables), path: path, variables: variables}
	err = guard(func() (err error) {
		t.template, err = exec.NewTemplate(name, settings, loader, environment())
		return err
	})
	if err != nil {
		return nil, t.explain(err)
	}
	t.parts = t.readsParts()
	return t, nil
}

// Hash is the SHA-256 in hex of what decides the rendering: the template's text and the special tokens that it may write.
func (t *Template) Hash() string { return t.hash }

func fingerprint(source string, variables map[string]any) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		fmt.Fprintf(h, "%s %q\n", name, variables[name])
	}
	h.Write([]byte(source))
	return hex.EncodeToString(h.Sum(nil))
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
		return "", t.explain(err)
	}
	return out, nil
}

func (t *Template) render(messages []any, addGenerationPrompt bool) (out string, err error) {
	var raised error // what goes through the library comes out as text
	data := exec.NewContext(map[string]any{
		"messages": messages, "add_generation_prompt": addGenerationPrompt, "tools": nil, "documents": nil,
		"raise_exception": func(_ *exec.Evaluator, args *exec.VarArgs) (any, error) {
			if len(args.Args) != 1 {
				return nil, fmt.Errorf("raise_exception takes one message, got %d", len(args.Args))
			}
			raised = &Raised{args.Args[0].String()}
			return nil, raised
		},
	})
	data.Update(exec.NewContext(t.variables))
	err = guard(func() (err error) {
		out, err = t.template.ExecuteToString(data)
		return err
	})
	if err != nil && raised != nil {
		err = &located{raised, lineIn(err)}
	}
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

// located is an error whose line is known.
type located struct {
	error
	line int
}

var lineOf = regexp.MustCompile(`(?i)\bline:? ?=?(\d+)`)

// lineIn is the innermost line that an error of the library names, and 0 if there is none.
func lineIn(err error) int {
	all := lineOf.FindAllStringSubmatch(err.Error(), -1)
	if all == nil {
		return 0
	}
	line, _ := strconv.Atoi(all[len(all)-1][1]) // digits; 0 if they are too many
	return line
}

// explain puts file and line before an error of the library and keeps only its end: what goes before repeats the template.
func (t *Template) explain(err error) error {
	where := t.path + ": chat_template"
	known, ok := err.(*located)
	if !ok {
		text := err.Error()
		line := lineIn(err)
		if i := strings.LastIndex(text, "': "); i >= 0 {
			text = text[i+3:]
		}
		known = &located{errors.New(text), line}
	}
	if known.line > 0 {
		where += fmt.Sprintf(" line %d", known.line)
	}
	return fmt.Errorf("chat: %s: %w", where, known.error)
}
