package bert

import (
	"encoding/json"
	"fmt"

	"mixr/runtime/models/config"
	"mixr/runtime/nn"
)

// Config is config.json of a BERT checkpoint: the fields that decide the computation, under their Hugging Face names.
type Config struct {
	ModelType        string  `json:"model_type"`
	VocabSize        int     `json:"vocab_size"`              // V
	HiddenSize       int     `json:"hidden_size"`             // D
	IntermediateSize int     `json:"intermediate_size"`       // F
	NumLayers        int     `json:"num_hidden_layers"`       //
	NumHeads         int     `json:"num_attention_heads"`     // H, divides D
	HiddenAct        string  `json:"hidden_act"`              // as nn.ActivationNamed; gelu if absent
	LayerNormEps     float64 `json:"layer_norm_eps"`          // 1e-12 if absent
	MaxPositions     int     `json:"max_position_embeddings"` // rows of the position table: the longest text in tokens
	TypeVocabSize    int     `json:"type_vocab_size"`         // kinds of token: first or second text of a pair
	Positions        string  `json:"position_embedding_type"` // absolute, also if absent
	Decoder          bool    `json:"is_decoder"`              // must be false
}

// LoadConfig reads config.json in dir. The error names the file and lists every field that is missing or wrong, one a line.
func LoadConfig(dir string) (*Config, error) {
	return config.Load("bert", dir, ParseConfig)
}

// ParseConfig is LoadConfig on the bytes of the file.
func ParseConfig(b []byte) (*Config, error) {
	c := &Config{HiddenAct: "gelu", LayerNormEps: 1e-12, Positions: "absolute"}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// validate collects everything that the graph and the host code rely on.
func (c *Config) validate() error {
	if c.ModelType != "bert" {
		return fmt.Errorf("model_type: got %q, want \"bert\"", c.ModelType) // other fields would only add noise
	}
	var m config.Mistakes
	want := m.Want
	m.Positive("vocab_size", c.VocabSize)
	m.Positive("hidden_size", c.HiddenSize)
	m.Positive("intermediate_size", c.IntermediateSize)
	m.Positive("num_hidden_layers", c.NumLayers)
	m.Positive("num_attention_heads", c.NumHeads)
	m.Positive("max_position_embeddings", c.MaxPositions)
	m.Positive("type_vocab_size", c.TypeVocabSize)
	if c.HiddenSize > 0 && c.NumHeads > 0 {
		want(c.HiddenSize%c.NumHeads == 0, "num_attention_heads: got %d, want a divisor of hidden_size %d", c.NumHeads, c.HiddenSize)
	}
	want(nn.ActivationNamed(c.HiddenAct) != nil, "hidden_act: got %q, want gelu, gelu_new, gelu_pytorch_tanh, relu or silu", c.HiddenAct)
	want(c.LayerNormEps > 0, "layer_norm_eps: got %g, want > 0", c.LayerNormEps)
	want(c.Positions == "absolute", "position_embedding_type: got %q, want \"absolute\"", c.Positions)
	want(!c.Decoder, "is_decoder: got true, want false: only the encoder is supported")
	return m.Err()
}

func (c *Config) heads() nn.Heads {
	return nn.Heads{Query: c.NumHeads, KV: c.NumHeads, Width: c.HiddenSize / c.NumHeads}
}
