package modernbert

import (
	"encoding/json"
	"fmt"

	"mixr/runtime/models/config"
	"mixr/runtime/nn"
)

// Config is what config.json of a ModernBERT checkpoint says of the computation, in either of its layouts: that of the released
// checkpoints (global_attn_every_n_layers, global_rope_theta, local_rope_theta) and that of transformers 5 (layer_types,
// rope_parameters).
type Config struct {
	VocabSize        int     // V
	HiddenSize       int     // D
	IntermediateSize int     // F
	NumHeads         int     // H, divides D
	Activation       string  // as nn.ActivationNamed
	NormEps          float64 // of every LayerNorm
	NormBias         nn.Bias
	AttentionBias    nn.Bias
	MLPBias          nn.Bias
	MaxPositions     int // the longest text in tokens

	Local       []bool // of each layer: whether it sees the window alone
	Window      int    // tokens that a local layer sees to either side, half of local_attention
	GlobalTheta float64
	LocalTheta  float64
}

// layout is the file; the pointers tell an absent field from a zero.
type layout struct {
	ModelType        string   `json:"model_type"`
	VocabSize        int      `json:"vocab_size"`
	HiddenSize       int      `json:"hidden_size"`
	IntermediateSize int      `json:"intermediate_size"`
	NumLayers        int      `json:"num_hidden_layers"`
	NumHeads         int      `json:"num_attention_heads"`
	Activation       string   `json:"hidden_activation"`
	MaxPositions     int      `json:"max_position_embeddings"`
	NormEps          float64  `json:"norm_eps"`
	NormBias         bool     `json:"norm_bias"`
	AttentionBias    bool     `json:"attention_bias"`
	MLPBias          bool     `json:"mlp_bias"`
	LocalAttention   int      `json:"local_attention"`
	GlobalEvery      int      `json:"global_attn_every_n_layers"`
	LayerTypes       []string `json:"layer_types"`
	GlobalTheta      float64  `json:"global_rope_theta"`
	LocalTheta       float64  `json:"local_rope_theta"`
	RopeScaling      *rope    `json:"rope_scaling"` // refused
	Rope             struct {
		Full    rope `json:"full_attention"`
		Sliding rope `json:"sliding_attention"`
	} `json:"rope_parameters"`
}

// rope is the rotary setting of one kind of layer.
type rope struct {
	Type  string   `json:"rope_type"`
	Theta *float64 `json:"rope_theta"`
}

// LoadConfig reads config.json in dir. The error names the file and lists every field that is missing or wrong, one a line.
func LoadConfig(dir string) (*Config, error) {
	return config.Load("modernbert", dir, ParseConfig)
}

// ParseConfig is LoadConfig on the bytes of the file.
func ParseConfig(b []byte) (*Config, error) {
	l := layout{ // what ModernBertConfig of transformers takes for absent fields
		Activation: "gelu", NormEps: 1e-5, LocalAttention: 128, GlobalEvery: 3, GlobalTheta: 160000, LocalTheta: 10000,
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, err
	}
	if err := l.validate(); err != nil {
		return nil, err
	}
	c := &Config{
		VocabSize: l.VocabSize, HiddenSize: l.HiddenSize, IntermediateSize: l.IntermediateSize, NumHeads: l.NumHeads,
		Activation: l.Activation, MaxPositions: l.MaxPositions, NormEps: l.NormEps,
		NormBias: nn.Bias(l.NormBias), AttentionBias: nn.Bias(l.AttentionBias), MLPBias: nn.Bias(l.MLPBias),
		Window: l.LocalAttention / 2, GlobalTheta: l.theta(l.Rope.Full, l.GlobalTheta), LocalTheta: l.theta(l.Rope.Sliding, l.LocalTheta),
	}
	for i := range l.NumLayers {
		local := i%l.GlobalEvery != 0
		if l.LayerTypes != nil {
			local = l.LayerTypes[i] == sliding
		}
		c.Local = append(c.Local, local)
	}
	return c, nil
}

// Entries of layer_types.
const (
	full    = "full_attention"
	sliding = "sliding_attention"
)

// theta is the base of rope_parameters where the file has it, else that of the older layout.
func (l *layout) theta(r rope, older float64) float64 {
	if r.Theta != nil {
		return *r.Theta
	}
	return older
}

// validate collects everything that the graph and the host code rely on.
func (l *layout) validate() error {
	if l.ModelType != "modernbert" {
		return fmt.Errorf("model_type: got %q, want \"modernbert\"", l.ModelType) // other fields would only add noise
	}
	var m config.Mistakes
	want := m.Want
	m.Positive("vocab_size", l.VocabSize)
	m.Positive("hidden_size", l.HiddenSize)
	m.Positive("intermediate_size", l.IntermediateSize)
	m.Positive("num_hidden_layers", l.NumLayers)
	m.Positive("num_attention_heads", l.NumHeads)
	m.Positive("max_position_embeddings", l.MaxPositions)
	m.Positive("local_attention", l.LocalAttention)
	m.Positive("global_attn_every_n_layers", l.GlobalEvery)
	if l.HiddenSize > 0 && l.NumHeads > 0 {
		want(l.HiddenSize%(2*l.NumHeads) == 0, "num_attention_heads: got %d for hidden_size %d, want heads of equal, even width",
			l.NumHeads, l.HiddenSize)
	}
	want(nn.ActivationNamed(l.Activation) != nil, "hidden_activation: got %q, want gelu, gelu_new, gelu_pytorch_tanh, relu or silu", l.Activation)
	want(l.NormEps > 0, "norm_eps: got %g, want > 0", l.NormEps)
	want(l.LayerTypes == nil || len(l.LayerTypes) == l.NumLayers, "layer_types: got %d entries for %d layers", len(l.LayerTypes), l.NumLayers)
	for i, kind := range l.LayerTypes {
		want(kind == full || kind == sliding, "layer_types: layer %d: got %q, want %q or %q", i, kind, full, sliding)
	}
	want(l.RopeScaling == nil, "rope_scaling: want none: only plain rotary positions are supported")
	for _, r := range []struct {
		kind, older string
		rope        rope
		theta       float64
	}{{full, "global_rope_theta", l.Rope.Full, l.GlobalTheta}, {sliding, "local_rope_theta", l.Rope.Sliding, l.LocalTheta}} {
		want(r.rope.Type == "" || r.rope.Type == "default", "rope_parameters.%s.rope_type: got %q, want \"default\"", r.kind, r.rope.Type)
		if r.rope.Theta != nil {
			want(*r.rope.Theta > 1, "rope_parameters.%s.rope_theta: got %g, want > 1", r.kind, *r.rope.Theta)
		} else {
			want(r.theta > 1, "%s: got %g, want > 1", r.older, r.theta)
		}
	}
	return m.Err()
}

func (c *Config) heads() nn.Heads {
	return nn.Heads{Query: c.NumHeads, KV: c.NumHeads, Width: c.HiddenSize / c.NumHeads}
}
