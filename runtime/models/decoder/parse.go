package decoder

import (
	"encoding/json"
	"fmt"

	"mixr/runtime/models/config"
)

// Parsed is a decoder with what of its configuration is not the decoder's own.
type Parsed struct {
	*Config
	Type string // model_type
	EOS  []int  // eos_token_id
}

// Parse reads the text configuration of a checkpoint in Hugging Face layout (config.json, or its text_config): model types qwen2,
// llama, mistral without a sliding window, and internlm2 (the Llama type, once its fused weights are split). Both generations of the
// rotary fields load, rope_theta with rope_scaling and rope_parameters. prefix and head say where the parameters stand.
//
// The error lists every field that is missing or wrong, one a line. Long-context rules that change the frequencies in ways not
// implemented here (yarn, longrope) are errors; dynamic changes nothing within max_position_embeddings, and is accepted.
func Parse(b []byte, prefix, head string) (*Parsed, error) {
	var f struct {
		Type         string          `json:"model_type"`
		Vocab        int             `json:"vocab_size"`
		Width        int             `json:"hidden_size"`
		FeedForward  int             `json:"intermediate_size"`
		Layers       int             `json:"num_hidden_layers"`
		Heads        int             `json:"num_attention_heads"`
		KVHeads      int             `json:"num_key_value_heads"`
		HeadWidth    int             `json:"head_dim"`
		Act          string          `json:"hidden_act"`
		NormEps      float64         `json:"rms_norm_eps"`
		InitStd      *float64        `json:"initializer_range"`
		MaxPositions int             `json:"max_position_embeddings"`
		Theta        float64         `json:"rope_theta"`
		Scaling      *ropeParameters `json:"rope_scaling"`
		Rope         *ropeParameters `json:"rope_parameters"`
		Sliding      bool            `json:"use_sliding_window"`
		Window       *int            `json:"sliding_window"`
		Attention    bool            `json:"attention_bias"`
		Bias         bool            `json:"bias"` // internlm2
		MLPBias      bool            `json:"mlp_bias"`
		Tied         bool            `json:"tie_word_embeddings"`
		EOS          IDs             `json:"eos_token_id"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	c := &Config{
		Vocab: f.Vocab, Width: f.Width, FeedForward: f.FeedForward, Layers: f.Layers, Heads: f.Heads, KVHeads: f.KVHeads,
		HeadWidth: f.HeadWidth, NormEps: f.NormEps, InitStd: 0.02, MaxPositions: f.MaxPositions, Tied: f.Tied,
		MLPBias: f.MLPBias, Prefix: prefix, HeadName: head,
	}
	if f.InitStd != nil {
		c.InitStd = *f.InitStd
	}
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadWidth == 0 && c.Heads > 0 {
		c.HeadWidth = c.Width / c.Heads
	}
	rope := f.Rope
	if rope == nil {
		if rope = f.Scaling; rope == nil {
			rope = &ropeParameters{}
		}
		if f.Theta == 0 {
			f.Theta = 10000 // the default of every type that Parse reads
		}
		rope.Theta = f.Theta
	}

	var m config.Mistakes
	want := m.Want
	switch f.Type {
	case "qwen2":
		c.QKVBias = true
		want(!f.Sliding, "use_sliding_window: got true, want false: windowed attention of the decoder is not supported")
	case "llama":
		c.QKVBias, c.OutBias = f.Attention, f.Attention
	case "mistral":
		want(f.Window == nil || *f.Window >= f.MaxPositions, "sliding_window: got %d, want null: windowed attention of the decoder is not supported", deref(f.Window))
	case "internlm2":
		c.QKVBias, c.OutBias = f.Bias, f.Bias
	default:
		return nil, fmt.Errorf("model_type: got %q, want qwen2, llama, mistral or internlm2", f.Type) // other fields would only add noise
	}
	m.Positive("vocab_size", c.Vocab)
	m.Positive("hidden_size", c.Width)
	m.Positive("intermediate_size", c.FeedForward)
	m.Positive("num_hidden_layers", c.Layers)
	m.Positive("num_attention_heads", c.Heads)
	if c.Heads > 0 && c.Width > 0 {
		want(c.KVHeads > 0 && c.Heads%c.KVHeads == 0, "num_key_value_heads: got %d, want a divisor of num_attention_heads %d", c.KVHeads, c.Heads)
		want(f.HeadWidth > 0 || c.Width%c.Heads == 0, "num_attention_heads: got %d for hidden_size %d, want heads of equal width", c.Heads, c.Width)
		want(c.HeadWidth > 0 && c.HeadWidth%2 == 0, "head_dim: got %d, want an even number", c.HeadWidth)
	}
	want(f.Act == "" || f.Act == "silu", "hidden_act: got %q, want \"silu\"", f.Act)
	want(c.NormEps > 0, "rms_norm_eps: got %g, want > 0", c.NormEps)
	want(c.InitStd > 0, "initializer_range: got %g, want > 0", c.InitStd)
	want(c.MaxPositions >= 0, "max_position_embeddings: got %d, want > 0", c.MaxPositions)
	var err error
	c.Rope, err = rope.rope()
	m.Add(err)
	return &Parsed{c, f.Type, f.EOS}, m.Err()
}

func deref(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// ropeParameters is rope_scaling or rope_parameters.
type ropeParameters struct {
	Type     string   `json:"rope_type"`
	Older    string   `json:"type"`
	Theta    float64  `json:"rope_theta"`
	Factor   float64  `json:"factor"`
	Low      float64  `json:"low_freq_factor"`
	High     float64  `json:"high_freq_factor"`
	Original float64  `json:"original_max_position_embeddings"`
	Partial  *float64 `json:"partial_rotary_factor"`
}

func (p *ropeParameters) rope() (Rope, error) {
	kind := p.Type
	if kind == "" {
		kind = p.Older
	}
	r := Rope{Theta: p.Theta}
	switch {
	case p.Theta <= 1:
		return r, fmt.Errorf("rope_theta: got %g, want > 1", p.Theta)
	case p.Partial != nil && *p.Partial != 1:
		return r, fmt.Errorf("rope_parameters.partial_rotary_factor: got %g, want 1", *p.Partial)
	}
	switch kind {
	case "", "default", "dynamic":
	case "linear":
		if r.Factor = p.Factor; p.Factor < 1 {
			return r, fmt.Errorf("rope_scaling.factor: got %g, want at least 1", p.Factor)
		}
	case "llama3":
		r.Factor, r.Llama3 = p.Factor, &Llama3{p.Low, p.High, p.Original}
		if p.Factor < 1 || p.Low <= 0 || p.High <= p.Low || p.Original <= 0 {
			return r, fmt.Errorf("rope_scaling: got factor %g, low_freq_factor %g, high_freq_factor %g, original_max_position_embeddings %g; want factor >= 1, 0 < low < high and a positive length",
				p.Factor, p.Low, p.High, p.Original)
		}
	default:
		return r, fmt.Errorf("rope_scaling: got the rule %q, want default, linear, dynamic or llama3", kind)
	}
	return r, nil
}

// IDs is eos_token_id in JSON: an id, a list of ids, or null.
type IDs []int

// UnmarshalJSON accepts 5, [5, 6] and null.
func (i *IDs) UnmarshalJSON(b []byte) error {
	var one *int
	if json.Unmarshal(b, &one) == nil {
		if one != nil {
			*i = []int{*one}
		}
		return nil
	}
	var many []int
	if err := json.Unmarshal(b, &many); err != nil || len(many) == 0 {
		return fmt.Errorf("eos_token_id: got %s, want an id or a list of at least one", b)
	}
	*i = many
	return nil
}
