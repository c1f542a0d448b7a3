// Package family opens the checkpoint of any policy family: a folder in Hugging Face layout becomes a models.Model, its tokenizer and
// its chat template.
//
// In: a folder. Out: a Checkpoint. The weights stay on the disk. Errors name the file and the field.
package family

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mixr/runtime/chat"
	"mixr/runtime/models"
	"mixr/runtime/models/causal"
	"mixr/runtime/models/internvl"
	"mixr/runtime/models/qwen25vl"
	"mixr/runtime/token"
)

// Checkpoint is a policy without its weights.
type Checkpoint struct {
	Dir       string
	Model     models.Model
	Tokenizer *token.Tokenizer
	Template  *chat.Template // the folder's own; nil: the family's rendering (Model.Render) is used
}

// loaders open a folder by model_type of its config.json.
var loaders = map[string]func(dir string) (models.Model, error){
	"qwen2_5_vl": func(dir string) (models.Model, error) { return qwen25vl.LoadConfig(dir) },
	"qwen2":      func(dir string) (models.Model, error) { return causal.Load(dir) },
	"llama":      func(dir string) (models.Model, error) { return causal.Load(dir) },
	"mistral":    func(dir string) (models.Model, error) { return causal.Load(dir) },

	"internvl":      func(dir string) (models.Model, error) { return internvl.Load(dir) }, // transformers' layout
	"internvl_chat": func(dir string) (models.Model, error) { return internvl.Load(dir) }, // the original one
}

// LoadModel reads config.json in dir and what stands beside it.
func LoadModel(dir string) (models.Model, error) {
	path := filepath.Join(dir, "config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	var f struct {
		Type string `json:"model_type"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	load := loaders[f.Type]
	if load == nil {
		var known []string
		for name := range loaders {
			known = append(known, name)
		}
		slices.Sort(known)
		return nil, fmt.Errorf("%s: model_type: got %q, want %s", path, f.Type, strings.Join(known, ", "))
	}
	return load(dir)
}

// Load opens the model, the tokenizer and the chat template in dir, and checks that they fit.
func Load(dir string) (*Checkpoint, error) {
	c := &Checkpoint{Dir: dir}
	var err error
	if c.Model, err = LoadModel(dir); err != nil {
		return nil, err
	}
	if c.Tokenizer, err = token.Load(dir); err != nil {
		return nil, err
	}
	if err := c.Model.CheckTokenizer(c.Tokenizer); err != nil {
		return nil, fmt.Errorf("policy %s: %w", dir, err)
	}
	c.Template, err = loadTemplate(dir, c.Model)
	return c, err
}

// loadTemplate reads the folder's chat template. The family's rendering takes its place where the folder has none, and where the
// template reads texts only and the family sees: it would have no place for a picture.
func loadTemplate(dir string, m models.Model) (*chat.Template, error) {
	t, err := chat.Load(dir)
	switch {
	case errors.Is(err, chat.ErrNone):
		return nil, nil
	case err != nil:
		return nil, err
	case m.Blank() != nil && !t.Parts():
		return nil, nil
	}
	return t, nil
}

// render writes a conversation, opened for the assistant's answer.
func (c *Checkpoint) render(messages []chat.Message) (string, error) {
	if c.Template == nil {
		return c.Model.Render(messages)
	}
	return c.Template.Render(messages, true)
}

// Prompt renders a conversation and turns it into tokens and positions, on a tokenizer that serves one goroutine (Tokenizer.Clone). A
// special token inside a message is an error, since it would open a turn or stand for an image that is not there.
func (c *Checkpoint) Prompt(tok *token.Tokenizer, messages []chat.Message, pictures []*models.Picture) (*models.Prompt, error) {
	for _, m := range messages {
		for _, part := range m.Content {
			if special := firstSpecial(tok, part.Text); special != "" {
				return nil, fmt.Errorf("%s message contains the special token %s: remove it from the text", m.Role, special)
			}
		}
	}
	text, err := c.render(messages)
	if err != nil {
		return nil, err
	}
	return c.Model.Prompt(tok, text, pictures)
}

// firstSpecial returns a special token that stands in the text, or "".
func firstSpecial(tok *token.Tokenizer, text string) string {
	found := ""
	for special := range tok.SpecialTokens() {
		if strings.Contains(text, special) && (found == "" || special < found) {
			found = special
		}
	}
	return found
}
