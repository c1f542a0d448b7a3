// Package causal is the text-only policies: Qwen2 and Qwen2.5 (model type qwen2) and the Llama type (llama: Llama 2 and 3, MiniMind2
// and others). They are the shared decoder and nothing else; this package reads their configuration and makes their prompts.
//
// In: config.json of a checkpoint in Hugging Face layout. Out: a models.Model without a vision tower. It never holds a weight and
// never runs a graph.
package causal

import (
	"fmt"
	"os"
	"path/filepath"

	"mixr/runtime/chat"
	"mixr/runtime/graph"
	"mixr/runtime/images"
	"mixr/runtime/models"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
	"mixr/runtime/token"
)

// Model is one text-only policy.
type Model struct {
	family string // qwen2 | llama
	config *decoder.Config
	stop   []int
}

var _ models.Model = (*Model)(nil)

// Load reads config.json in dir, and generation_config.json where it exists for the tokens that end a completion. The error names the
// file and lists every field that is missing or wrong, one a line.
func Load(dir string) (*Model, error) {
	path := filepath.Join(dir, "config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	c, err := decoder.Parse(b, "model.", "lm_head.weight")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m := &Model{family: c.Type, config: c.Config}
	if m.stop, err = models.StopTokens(dir, c.EOS, c.Vocab); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Model) Family() string           { return m.family }
func (m *Model) Decoder() *decoder.Config { return m.config }
func (m *Model) Stop() []int              { return m.stop }
func (m *Model) EndOfTurn() int           { return m.stop[0] }

// Specs lists the embedding, the layers, the final norm and an untied head.
func (m *Model) Specs() []nn.Spec { return decoder.Specs(m.config) }

// Module is embedding or decoder.
func (m *Model) Module(param string) string { return decoder.Module(m.config, param) }

// Init draws matrices and embeddings with the standard deviation initializer_range.
func (m *Model) Init(s nn.Spec, seed uint64, dst []float32) { nn.Init(s, m.config.InitStd, seed, dst) }

// Locate is the parameter under its own name.
func (m *Model) Locate(param string, _ func(string) bool) []models.Piece { return models.Whole(param) }

// StoredShape is the parameter's own.
func (m *Model) StoredShape(s nn.Spec) []int { return s.Shape }

// Tower is nil: the family reads text alone.
func (m *Model) Tower(*graph.Graph, *nn.Params) *graph.Value { return nil }

// Feed is nothing.
func (m *Model) Feed([]*models.Picture) []models.Input { return nil }

// Picture is an error: the family reads text alone.
func (m *Model) Picture([]images.RGB, models.Limits) (*models.Picture, error) {
	return nil, fmt.Errorf("a policy of family %s reads no images: take the source with images out of the mix, or another policy", m.family)
}

// Blank is nil.
func (m *Model) Blank() *models.Picture { return nil }

// Render writes a conversation in ChatML, which Qwen and MiniMind use; a checkpoint of another format brings its own chat template.
func (m *Model) Render(messages []chat.Message) (string, error) { return chat.ChatML(messages, "") }

// Prompt is the tokens of a rendered conversation at positions 0, 1, 2 and so on.
func (m *Model) Prompt(tok *token.Tokenizer, text string, pictures []*models.Picture) (*models.Prompt, error) {
	return m.Place(tok.Encode(text), pictures)
}

// Place puts tokens at positions 0, 1, 2 and so on.
func (m *Model) Place(ids []int, pictures []*models.Picture) (*models.Prompt, error) {
	if len(pictures) > 0 {
		return nil, fmt.Errorf("a policy of family %s reads no images", m.family)
	}
	return models.TextPrompt(ids), nil
}

// CheckTokenizer wants a row of the embedding for every id, and the stop tokens among the tokenizer's.
func (m *Model) CheckTokenizer(tok *token.Tokenizer) error {
	return models.CheckVocabulary(tok, m.config.Vocab)
}
