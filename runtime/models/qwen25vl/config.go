package qwen25vl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"mixr/runtime/models"
	"mixr/runtime/models/config"
	"mixr/runtime/models/decoder"
)

// Sizes that every Qwen2.5-VL shares. LoadConfig refuses a checkpoint that differs, so the code may rely on them.
const (
	PatchSize     = 14                                               // pixels along a side of a patch
	TemporalPatch = 2                                                // frames in a patch; a still image is repeated
	MergeSize     = 2                                                // patches along a side of a merged visual token
	MergeUnit     = MergeSize * MergeSize                            // patches in a merged visual token
	PatchDim      = channels * TemporalPatch * PatchSize * PatchSize // numbers in a patch, 1176
	channels      = 3
)

// Config is config.json of a Qwen2.5-VL checkpoint in Hugging Face layout: the fields that decide the computation,
// under their Hugging Face names. Both layouts of the file load: text fields at the top level (as published) and
// under text_config (as newer libraries write).
type Config struct {
	ModelType        string      `json:"model_type"`
	VocabSize        int         `json:"vocab_size"`          // V, rows of the embedding; may exceed the tokenizer's size
	HiddenSize       int         `json:"hidden_size"`         // D
	IntermediateSize int         `json:"intermediate_size"`   // F of the SwiGLU feed-forward
	NumLayers        int         `json:"num_hidden_layers"`   // L
	NumHeads         int         `json:"num_attention_heads"` // H
	NumKVHeads       int         `json:"num_key_value_heads"` // K, divides H
	HiddenAct        string      `json:"hidden_act"`          // silu
	RMSNormEps       float64     `json:"rms_norm_eps"`
	RopeTheta        float64     `json:"rope_theta"`
	RopeScaling      RopeScaling `json:"rope_scaling"`
	RopeParameters   struct {    // the name under which newer libraries write rope_theta and rope_scaling
		RopeScaling
		Theta float64 `json:"rope_theta"`
	} `json:"rope_parameters"`
	SlidingWindow    bool    `json:"use_sliding_window"` // must be false
	TieEmbeddings    bool    `json:"tie_word_embeddings"`
	InitializerRange float64 `json:"initializer_range"`       // std of random initial weights; 0.02 if absent
	MaxPositions     int     `json:"max_position_embeddings"` // positions seen in training; 0 = the file does not say

	EOSTokenID         int `json:"eos_token_id"` // <|im_end|>, ends a turn
	VisionStartTokenID int `json:"vision_start_token_id"`
	VisionEndTokenID   int `json:"vision_end_token_id"`
	ImageTokenID       int `json:"image_token_id"` // <|image_pad|>, one for each merged visual token
	VideoTokenID       int `json:"video_token_id"` // <|video_pad|>, the same for videos

	Vision VisionConfig `json:"vision_config"`

	// StopIDs are the tokens that end a completion: eos_token_id of generation_config.json where that file has one, else
	// EOSTokenID alone.
	StopIDs []int `json:"-"`
}

// RopeScaling says how the E/2 rotary frequencies of a head are shared among the three position axes.
type RopeScaling struct {
	Type         string `json:"type"`          // mrope, or default in files written by newer libraries
	MRopeSection []int  `json:"mrope_section"` // frequencies of the t, h and w axis, in this order; they sum to E/2
}

// VisionConfig is vision_config.
type VisionConfig struct {
	Depth             int    `json:"depth"`
	HiddenSize        int    `json:"hidden_size"`
	IntermediateSize  int    `json:"intermediate_size"`
	NumHeads          int    `json:"num_heads"`
	HiddenAct         string `json:"hidden_act"` // silu
	InChannels        int    `json:"in_chans"`
	OutHiddenSize     int    `json:"out_hidden_size"` // the text model's hidden_size
	PatchSize         int    `json:"patch_size"`
	TemporalPatchSize int    `json:"temporal_patch_size"`
	SpatialMergeSize  int    `json:"spatial_merge_size"`
	WindowSize        int    `json:"window_size"`           // pixels along a side of an attention window
	FullAttBlocks     []int  `json:"fullatt_block_indexes"` // blocks that attend over the whole image
	// TokensPerSecond is how many positions of the t axis a second of video is; 4 if absent, as in the reference, 2 in released
	// checkpoints.
	TokensPerSecond float64 `json:"tokens_per_second"`
}

// HeadDim is E of the text model.
func (c *Config) HeadDim() int { return c.HiddenSize / c.NumHeads }

// HeadDim is E of the vision model.
func (v *VisionConfig) HeadDim() int { return v.HiddenSize / v.NumHeads }

// Full reports whether vision block i attends over a whole image, or step of a video, rather than within windows.
func (v *VisionConfig) Full(i int) bool { return slices.Contains(v.FullAttBlocks, i) }

// windowUnits is the number of merged visual tokens along a side of an attention window.
func (v *VisionConfig) windowUnits() int { return v.WindowSize / PatchSize / MergeSize }

// Decoder is the language side: the Qwen2 architecture with multimodal rotary positions.
func (c *Config) Decoder() *decoder.Config {
	return &decoder.Config{
		Vocab: c.VocabSize, Width: c.HiddenSize, FeedForward: c.IntermediateSize, Layers: c.NumLayers,
		Heads: c.NumHeads, KVHeads: c.NumKVHeads, HeadWidth: c.HeadDim(),
		NormEps: c.RMSNormEps, InitStd: c.InitializerRange, MaxPositions: c.MaxPositions,
		Rope:    decoder.Rope{Theta: c.RopeTheta, Sections: c.RopeScaling.MRopeSection},
		QKVBias: true, Tied: c.TieEmbeddings,
		Prefix: "model.", HeadName: "lm_head.weight",
	}
}

// LoadConfig reads config.json in dir, and checks generation_config.json and preprocessor_config.json where they exist:
// the first may name the tokens that end a completion, the second must ask for the preprocessing that Preprocess does.
// The error names the file and lists every field that is missing or wrong, one a line.
func LoadConfig(dir string) (*Config, error) {
	c, err := config.Load("qwen25vl", dir, ParseConfig)
	if err != nil {
		return nil, err
	}
	if c.StopIDs, err = models.StopTokens(dir, c.StopIDs, c.VocabSize); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "preprocessor_config.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = checkPreprocessor(b)
	}
	if err != nil {
		return nil, fmt.Errorf("qwen25vl: %s: %w", path, err)
	}
	return c, nil
}

// ParseConfig is LoadConfig on the bytes of a config.json alone.
func ParseConfig(b []byte) (*Config, error) {
	c := &Config{
		HiddenAct:        "silu",
		InitializerRange: 0.02,
		Vision: VisionConfig{
			HiddenAct: "silu", InChannels: channels, PatchSize: PatchSize,
			TemporalPatchSize: TemporalPatch, SpatialMergeSize: MergeSize, TokensPerSecond: 4,
		},
	}
	var nested struct {
		Text json.RawMessage `json:"text_config"`
	}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &nested); err != nil {
		return nil, err
	}
	if len(nested.Text) > 0 {
		modelType := c.ModelType // text_config has a model_type of its own
		if err := json.Unmarshal(nested.Text, c); err != nil {
			return nil, fmt.Errorf("text_config: %w", err)
		}
		c.ModelType = modelType
	}
	if p := &c.RopeParameters; p.Theta != 0 {
		c.RopeTheta, c.RopeScaling = p.Theta, p.RopeScaling
	}
	c.StopIDs = []int{c.EOSTokenID}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// validate collects everything that the graphs and the host code rely on.
func (c *Config) validate() error {
	if c.ModelType != "qwen2_5_vl" {
		return fmt.Errorf("model_type: got %q, want \"qwen2_5_vl\"", c.ModelType) // other fields would only add noise
	}
	var m config.Mistakes
	want := m.Want
	exactly := func(field string, got, wanted int) {
		want(got == wanted, "%s: got %d, want %d, as in all Qwen2.5-VL", field, got, wanted)
	}

	m.Positive("vocab_size", c.VocabSize)
	m.Positive("intermediate_size", c.IntermediateSize)
	m.Positive("num_hidden_layers", c.NumLayers)
	want(c.MaxPositions >= 0, "max_position_embeddings: got %d, want > 0", c.MaxPositions)
	if ok := m.Positive("hidden_size", c.HiddenSize); m.Positive("num_attention_heads", c.NumHeads) && ok {
		c.validateHeads(want)
	}
	want(c.HiddenAct == "silu", "hidden_act: got %q, want \"silu\"", c.HiddenAct)
	want(c.RMSNormEps > 0, "rms_norm_eps: got %g, want > 0", c.RMSNormEps)
	want(c.RopeTheta > 1, "rope_theta: got %g, want > 1", c.RopeTheta)
	want(!c.SlidingWindow, "use_sliding_window: got true, want false")
	want(c.InitializerRange > 0, "initializer_range: got %g, want > 0", c.InitializerRange)

	ids := []struct {
		field string
		id    int
	}{
		{"eos_token_id", c.EOSTokenID},
		{"vision_start_token_id", c.VisionStartTokenID},
		{"vision_end_token_id", c.VisionEndTokenID},
		{"image_token_id", c.ImageTokenID},
		{"video_token_id", c.VideoTokenID},
	}
	for i, t := range ids {
		want(t.id >= 0 && t.id < c.VocabSize, "%s: got %d, want 0 to %d (vocab_size - 1)", t.field, t.id, c.VocabSize-1)
		for _, u := range ids[:i] {
			want(t.id != u.id, "%s: got %d, which is %s too", t.field, t.id, u.field)
		}
	}

	v := &c.Vision
	m.Positive("vision_config.depth", v.Depth)
	m.Positive("vision_config.intermediate_size", v.IntermediateSize)
	if ok := m.Positive("vision_config.hidden_size", v.HiddenSize); m.Positive("vision_config.num_heads", v.NumHeads) && ok {
		want(v.HiddenSize%v.NumHeads == 0 && v.HeadDim()%4 == 0,
			"vision_config.num_heads: got %d for hidden_size %d, want heads of equal width, a multiple of 4 (half the rotary frequencies for rows, half for columns)",
			v.NumHeads, v.HiddenSize)
	}
	want(v.HiddenAct == "silu", "vision_config.hidden_act: got %q, want \"silu\"", v.HiddenAct)
	want(v.OutHiddenSize == c.HiddenSize, "vision_config.out_hidden_size: got %d, want %d (hidden_size)", v.OutHiddenSize, c.HiddenSize)
	exactly("vision_config.in_chans", v.InChannels, channels)
	exactly("vision_config.patch_size", v.PatchSize, PatchSize)
	exactly("vision_config.temporal_patch_size", v.TemporalPatchSize, TemporalPatch)
	exactly("vision_config.spatial_merge_size", v.SpatialMergeSize, MergeSize)
	want(v.WindowSize >= PatchSize*MergeSize && v.WindowSize%(PatchSize*MergeSize) == 0,
		"vision_config.window_size: got %d, want a positive multiple of %d pixels", v.WindowSize, PatchSize*MergeSize)
	want(v.TokensPerSecond > 0, "vision_config.tokens_per_second: got %g, want > 0", v.TokensPerSecond)
	for _, i := range v.FullAttBlocks {
		want(i >= 0 && i < v.Depth, "vision_config.fullatt_block_indexes: got %d, want 0 to %d (depth - 1)", i, v.Depth-1)
	}
	return m.Err()
}

func (c *Config) validateHeads(want func(ok bool, format string, args ...any) bool) {
	if !want(c.HiddenSize%c.NumHeads == 0 && c.HeadDim()%2 == 0,
		"num_attention_heads: got %d for hidden_size %d, want heads of equal, even width", c.NumHeads, c.HiddenSize) {
		return
	}
	want(c.NumKVHeads > 0 && c.NumHeads%c.NumKVHeads == 0,
		"num_key_value_heads: got %d, want a divisor of num_attention_heads %d", c.NumKVHeads, c.NumHeads)
	sum, section := 0, c.RopeScaling.MRopeSection
	for _, n := range section {
		sum += n
	}
	want(len(section) == 3 && slices.Min(section) >= 0 && sum == c.HeadDim()/2,
		"rope_scaling.mrope_section: got %v, want three counts (t, h, w) that sum to %d, half the head width", section, c.HeadDim()/2)
	t := c.RopeScaling.Type
	want(t == "" || t == "mrope" || t == "default", "rope_scaling.type: got %q, want \"mrope\"", t)
}
