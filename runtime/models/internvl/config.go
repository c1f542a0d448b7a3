package internvl

import (
	"encoding/json"
	"fmt"

	"mixr/runtime/models/config"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

const (
	channels  = 3
	mergeSide = 2                     // patches along a side of a merged visual token: downsample_ratio 0.5
	mergeUnit = mergeSide * mergeSide // patches in a merged visual token
)

// Config is a checkpoint's configuration: what decides the computation, whichever layout it was read from.
type Config struct {
	Text         *decoder.Config
	Vision       Vision
	ProjectorAct string // activation between the projector's two matrices
	Tiling       Tiling
	ImageTokenID int   // of <IMG_CONTEXT>; -1 where only the tokenizer knows it, as in the original layout
	StopIDs      []int // tokens that end a completion; the first ends a turn

	Original  bool // the tensors have the names of the original layout
	InternLM2 bool // and the decoder's are those of InternLM2, with queries, keys and values in one
}

// Vision is the InternViT tower.
type Vision struct {
	Width       int // Dv
	FeedForward int // F
	Layers      int
	Heads       int
	ImageSize   int // pixels along a side of a tile
	PatchSize   int // pixels along a side of a patch
	Act         string
	RMS         bool // norms of the blocks are RMSNorm, else LayerNorm
	NormEps     float64
	QKVBias     bool
	QKNorm      bool // queries and keys are normed over all heads together
	QKNormEps   float64
	FinalNorm   bool    // a LayerNorm follows the last block
	LayerScale  float64 // initial value of lambda_1 and lambda_2
	InitStd     float64
}

// Tiling bounds the number of tiles that a picture is cut in, the thumbnail not counted.
type Tiling struct {
	Min, Max  int
	Thumbnail bool // the whole picture follows as one more tile, where it was cut in several
}

// side is the number of patches along a side of a tile.
func (v *Vision) side() int { return v.ImageSize / v.PatchSize }

// patches is P, the number of patches of a tile.
func (v *Vision) patches() int { return v.side() * v.side() }

// patchDim is the number of numbers in a patch.
func (v *Vision) patchDim() int { return channels * v.PatchSize * v.PatchSize }

// tileTokens is the number of merged visual tokens of a tile.
func (c *Config) tileTokens() int { return c.Vision.patches() / mergeUnit }

// Load reads config.json in dir, and what else of the folder belongs to the configuration: generation_config.json for the tokens that
// end a completion, the tokenizer's files for the id of <|im_end|>, and the image processor's file for the number of tiles. All but
// config.json may be absent. The error names the file and lists every field that is missing or wrong, one a line.
func Load(dir string) (*Config, error) {
	c, err := config.Load("internvl", dir, ParseConfig)
	if err != nil {
		return nil, err
	}
	if err := c.loadProcessor(dir); err != nil {
		return nil, fmt.Errorf("internvl: %w", err)
	}
	if err := c.loadStop(dir); err != nil {
		return nil, fmt.Errorf("internvl: %w", err)
	}
	return c, nil
}

// file is config.json in either layout. Fields of the same meaning have their names in the two layouts side by side.
type file struct {
	Type       string          `json:"model_type"`
	Text       json.RawMessage `json:"text_config"`
	LLM        json.RawMessage `json:"llm_config"`
	Vision     visionFile      `json:"vision_config"`
	Downsample float64         `json:"downsample_ratio"`
	ImageToken *int            `json:"image_token_id"`

	// transformers' layout
	Tied          *bool           `json:"tie_word_embeddings"`
	ImageTokens   *int            `json:"image_seq_length"`
	ProjectorAct  string          `json:"projector_hidden_act"`
	FeatureLayer  json.RawMessage `json:"vision_feature_layer"`
	FeatureChoice string          `json:"vision_feature_select_strategy"`

	// original layout
	ForceSize   *int   `json:"force_image_size"`
	MinTiles    int    `json:"min_dynamic_patch"`
	MaxTiles    int    `json:"max_dynamic_patch"`
	Dynamic     bool   `json:"dynamic_image_size"`
	Thumbnail   bool   `json:"use_thumbnail"`
	Shuffle     string `json:"ps_version"`
	SelectLayer int    `json:"select_layer"`
	Template    string `json:"template"`
}

type visionFile struct {
	Width       int     `json:"hidden_size"`
	FeedForward int     `json:"intermediate_size"`
	Layers      int     `json:"num_hidden_layers"`
	Heads       int     `json:"num_attention_heads"`
	Channels    int     `json:"num_channels"`
	ImageSize   square  `json:"image_size"`
	PatchSize   square  `json:"patch_size"`
	Act         string  `json:"hidden_act"`
	Norm        string  `json:"norm_type"`
	NormEps     float64 `json:"layer_norm_eps"`
	InitStd     float64 `json:"initializer_range"`

	// transformers' layout
	Bias        bool    `json:"attention_bias"`
	QKNorm      bool    `json:"use_qk_norm"`
	MaskToken   bool    `json:"use_mask_token"`
	Positions   bool    `json:"use_absolute_position_embeddings"`
	MeanPooling bool    `json:"use_mean_pooling"`
	LayerScale  float64 `json:"layer_scale_init_value"`

	// original layout
	QKVBias         bool    `json:"qkv_bias"`
	QKNormalization bool    `json:"qk_normalization"`
	InitFactor      float64 `json:"initializer_factor"`
}

// square is a length, or a list of two equal ones.
type square int

func (s *square) UnmarshalJSON(b []byte) error {
	var one int
	if err := json.Unmarshal(b, &one); err == nil {
		*s = square(one)
		return nil
	}
	var both []int
	if err := json.Unmarshal(b, &both); err != nil || len(both) != 2 || both[0] != both[1] {
		return fmt.Errorf("got %s, want a length in pixels, or two equal ones", b)
	}
	*s = square(both[0])
	return nil
}

// The two values of model_type.
const (
	nativeType   = "internvl"
	originalType = "internvl_chat"
)

// ParseConfig is Load on the bytes of a config.json alone. Fields that a file leaves out have the defaults of the reference.
func ParseConfig(b []byte) (*Config, error) {
	var kind struct {
		Type string `json:"model_type"`
	}
	if err := json.Unmarshal(b, &kind); err != nil {
		return nil, err
	}
	f := file{Downsample: 0.5, ProjectorAct: "gelu", FeatureChoice: "default"}
	switch kind.Type {
	case nativeType: // InternVLConfig and InternVLVisionConfig
		f.Vision = visionFile{
			Width: 1024, FeedForward: 4096, Layers: 24, Heads: 16, Channels: channels, ImageSize: 448, PatchSize: 14,
			Act: "gelu", Norm: "layer_norm", NormEps: 1e-6, InitStd: 0.02,
			Positions: true, MeanPooling: true, LayerScale: 0.1,
		}
	case originalType: // InternVLChatConfig and InternVisionConfig
		f.MinTiles, f.MaxTiles, f.Shuffle, f.SelectLayer = 1, 6, "v1", -1
		f.Vision = visionFile{
			Width: 3200, FeedForward: 12800, Layers: 48, Heads: 25, Channels: channels, ImageSize: 224, PatchSize: 14,
			Act: "gelu", Norm: "rms_norm", NormEps: 1e-6, InitStd: 0.02,
			Positions: true, MeanPooling: true, QKNormalization: true, InitFactor: 0.1,
		}
	default:
		return nil, fmt.Errorf("model_type: got %q, want %q or %q", kind.Type, nativeType, originalType) // other fields would only add noise
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	return f.config()
}

// config checks a file and reads it. The error lists every mistake.
func (f *file) config() (*Config, error) {
	var m config.Mistakes
	want := m.Want
	v := &f.Vision
	c := &Config{
		Vision: Vision{
			Width: v.Width, FeedForward: v.FeedForward, Layers: v.Layers, Heads: v.Heads,
			ImageSize: int(v.ImageSize), PatchSize: int(v.PatchSize), Act: v.Act, RMS: v.Norm == "rms_norm", NormEps: v.NormEps,
			QKVBias: v.Bias, QKNorm: v.QKNorm, QKNormEps: 1e-6, FinalNorm: !v.MeanPooling, LayerScale: v.LayerScale, InitStd: v.InitStd,
		},
		ProjectorAct: f.ProjectorAct,
		Tiling:       Tiling{Min: 1, Max: 12, Thumbnail: true}, // of the reference's image processor
		ImageTokenID: -1,
	}
	text, field := f.Text, "text_config"
	if f.Type == originalType {
		text, field = f.LLM, "llm_config"
		c.Original = true
		c.Vision.QKVBias, c.Vision.QKNorm, c.Vision.QKNormEps, c.Vision.LayerScale = v.QKVBias, v.QKNormalization, v.NormEps, v.InitFactor
		if c.Tiling = (Tiling{f.MinTiles, f.MaxTiles, f.Thumbnail}); !f.Dynamic {
			c.Tiling = Tiling{Min: 1, Max: 1}
		}
		want(f.ForceSize == nil || *f.ForceSize == c.Vision.ImageSize,
			"force_image_size: got %d, want vision_config.image_size %d: position embeddings are not interpolated", deref(f.ForceSize), c.Vision.ImageSize)
		want(f.Shuffle == "v2", "ps_version: got %q, want \"v2\", as in InternVL 2.5 and 3", f.Shuffle)
		want(f.SelectLayer == -1, "select_layer: got %d, want -1: features of another layer are not supported", f.SelectLayer)
		want(f.Template == "" || f.Template == "internvl2_5", "template: got %q, want \"internvl2_5\", as in InternVL 2.5 and 3", f.Template)
	} else {
		want(len(f.FeatureLayer) == 0 || string(f.FeatureLayer) == "-1",
			"vision_feature_layer: got %s, want -1: features of another layer are not supported", f.FeatureLayer)
		want(f.FeatureChoice == "default", "vision_feature_select_strategy: got %q, want \"default\"", f.FeatureChoice)
	}

	positive := func(field string, n int) bool { return m.Positive("vision_config."+field, n) }
	positive("intermediate_size", v.FeedForward)
	positive("num_hidden_layers", v.Layers)
	if ok := positive("hidden_size", v.Width); positive("num_attention_heads", v.Heads) && ok {
		want(v.Width%v.Heads == 0, "vision_config.num_attention_heads: got %d for hidden_size %d, want heads of equal width", v.Heads, v.Width)
	}
	if ok := positive("image_size", int(v.ImageSize)); positive("patch_size", int(v.PatchSize)) && ok &&
		want(v.ImageSize%(mergeSide*v.PatchSize) == 0, "vision_config.image_size: got %d, want a multiple of %d (patch_size * %d)",
			v.ImageSize, mergeSide*v.PatchSize, mergeSide) {
		want(f.ImageTokens == nil || *f.ImageTokens == c.tileTokens(),
			"image_seq_length: got %d, want %d (a quarter of the patches of image_size)", deref(f.ImageTokens), c.tileTokens())
	}
	want(v.Channels == channels, "vision_config.num_channels: got %d, want %d", v.Channels, channels)
	want(nn.ActivationNamed(v.Act) != nil, "vision_config.hidden_act: got %q, want gelu, gelu_pytorch_tanh, relu or silu", v.Act)
	want(v.Norm == "rms_norm" || v.Norm == "layer_norm", "vision_config.norm_type: got %q, want layer_norm or rms_norm", v.Norm)
	want(v.NormEps > 0, "vision_config.layer_norm_eps: got %g, want > 0", v.NormEps)
	want(v.InitStd > 0, "vision_config.initializer_range: got %g, want > 0", v.InitStd)
	want(!v.MaskToken, "vision_config.use_mask_token: got true, want false")
	want(v.Positions, "vision_config.use_absolute_position_embeddings: got false, want true")
	want(f.Downsample == 1/float64(mergeSide), "downsample_ratio: got %g, want %g", f.Downsample, 1/float64(mergeSide))
	want(nn.ActivationNamed(f.ProjectorAct) != nil, "projector_hidden_act: got %q, want gelu, gelu_pytorch_tanh, relu or silu", f.ProjectorAct)
	want(c.Tiling.Min >= 1 && c.Tiling.Min <= c.Tiling.Max, "min_dynamic_patch %d, max_dynamic_patch %d: want 1 <= min <= max", c.Tiling.Min, c.Tiling.Max)

	if !want(len(text) > 0, "%s: is required", field) {
		return nil, m.Err()
	}
	parsed, err := decoder.Parse(text, "language_model.model.", "language_model.lm_head.weight")
	if err != nil {
		m.Add(fmt.Errorf("%s: %w", field, err))
		return nil, m.Err()
	}
	c.Text, c.StopIDs, c.InternLM2 = parsed.Config, parsed.EOS, parsed.Type == "internlm2"
	if f.Tied != nil && !c.Original { // in the original layout the decoder's own field rules
		c.Text.Tied = *f.Tied
	}
	if f.ImageToken != nil {
		c.ImageTokenID = *f.ImageToken
		want(c.ImageTokenID >= 0 && c.ImageTokenID < c.Text.Vocab, "image_token_id: got %d, want 0 to %d (vocab_size - 1)", c.ImageTokenID, c.Text.Vocab-1)
	} else if !c.Original {
		want(false, "image_token_id: is required")
	}
	want(c.Original || !c.InternLM2, "%s.model_type: got \"internlm2\", which exists in the original layout alone", field)
	if err := m.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func deref(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
