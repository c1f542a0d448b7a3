package internvl

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

type object = map[string]any

// native is a small config.json in transformers' layout, with the fields of edits set; a name with a dot is a field of a part, and nil
// removes it.
func native(edits object) object {
	return edited(object{
		"model_type": "internvl", "image_token_id": 3, "image_seq_length": 4, "downsample_ratio": 0.5, "tie_word_embeddings": false,
		"text_config": object{
			"model_type": "qwen2", "hidden_size": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 12, "num_hidden_layers": 1,
			"vocab_size": 12, "rms_norm_eps": 1e-6, "eos_token_id": 1,
		},
		"vision_config": object{
			"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 10, "num_hidden_layers": 1, "image_size": []int{56, 56}, "patch_size": []int{14, 14},
		},
	}, edits)
}

// original is a small config.json in the original layout.
func original(edits object) object {
	return edited(object{
		"model_type": "internvl_chat", "force_image_size": 56, "downsample_ratio": 0.5, "dynamic_image_size": true, "max_dynamic_patch": 8, "ps_version": "v2",
		"use_thumbnail": true, "template": "internvl2_5",
		"llm_config": object{
			"model_type": "internlm2", "hidden_size": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 12, "num_hidden_layers": 1,
			"vocab_size": 12, "rms_norm_eps": 1e-6, "eos_token_id": 1, "bias": false,
		},
		"vision_config": object{
			"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 10, "num_hidden_layers": 1, "image_size": 56, "qkv_bias": true,
			"qk_normalization": false, "norm_type": "layer_norm",
		},
	}, edits)
}

func edited(config, edits object) object {
	for path, value := range edits {
		at := config
		if part, field, ok := strings.Cut(path, "."); ok {
			at, path = config[part].(object), field
		}
		if at[path] = value; value == nil {
			delete(at, path)
		}
	}
	return config
}

func parsed(t *testing.T, config object) *Config {
	t.Helper()
	b, err := json.Marshal(config)
	fixture.Check(t, err)
	c, err := ParseConfig(b)
	fixture.Check(t, err)
	return c
}

func TestParseConfig(t *testing.T) {
	c := parsed(t, native(nil))
	if c.Vision.RMS || c.Vision.QKVBias || c.Vision.FinalNorm || c.Vision.LayerScale != 0.1 || c.Tiling != (Tiling{1, 12, true}) || c.ImageTokenID != 3 || c.Text.Tied {
		t.Errorf("transformers' layout: got %+v, tied %v", c, c.Text.Tied)
	}
	c = parsed(t, original(object{"min_dynamic_patch": 2}))
	if !c.Original || !c.InternLM2 || c.Vision.RMS || !c.Vision.QKVBias || c.Tiling != (Tiling{2, 8, true}) || c.ImageTokenID != -1 || c.tileTokens() != 4 {
		t.Errorf("original layout: got %+v", c)
	}
	// What a file leaves out has the defaults of the reference: InternViT-6B in the original layout, 300M in transformers'.
	c = parsed(t, original(object{"vision_config": object{"image_size": 448}, "force_image_size": nil, "dynamic_image_size": nil}))
	if v := c.Vision; v.Width != 3200 || v.Heads != 25 || v.Layers != 48 || !v.RMS || !v.QKNorm || v.QKVBias || c.Tiling != (Tiling{Min: 1, Max: 1}) || c.tileTokens() != 256 {
		t.Errorf("defaults of the original layout: got %+v", c)
	}
	c = parsed(t, native(object{"vision_config": object{}, "image_seq_length": 256}))
	if v := c.Vision; v.Width != 1024 || v.Heads != 16 || v.Layers != 24 || v.RMS || v.QKNorm || c.tileTokens() != 256 {
		t.Errorf("defaults of transformers' layout: got %+v", c)
	}
	// Who says whether the head is tied: the outer field of transformers' layout where there is one, else the decoder's.
	for _, test := range []struct {
		config object
		tied   bool
	}{
		{native(object{"tie_word_embeddings": true}), true},
		{native(object{"tie_word_embeddings": nil}), false},
		{native(object{"tie_word_embeddings": nil, "text_config.tie_word_embeddings": true}), true},
		{native(object{"text_config.tie_word_embeddings": true}), false},
		{original(object{"tie_word_embeddings": true}), false},
		{original(object{"llm_config.tie_word_embeddings": true}), true},
	} {
		if c := parsed(t, test.config); c.Text.Tied != test.tied {
			t.Errorf("%v: tied is %v", test.config, c.Text.Tied)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, test := range []struct {
		config object
		want   string
	}{
		{native(object{"model_type": "internvl2"}), `model_type: got "internvl2"`},
		{native(object{"text_config": nil}), "text_config: is required"},
		{native(object{"text_config.model_type": "internlm3"}), `text_config: model_type: got "internlm3"`},
		{native(object{"text_config.model_type": "internlm2"}), "exists in the original layout alone"},
		{native(object{"text_config.hidden_size": 0}), "text_config: hidden_size: got 0"},
		{native(object{"image_token_id": nil}), "image_token_id: is required"},
		{native(object{"image_token_id": 12}), "image_token_id: got 12, want 0 to 11"},
		{native(object{"image_seq_length": 16}), "image_seq_length: got 16, want 4"},
		{native(object{"downsample_ratio": 0.25}), "downsample_ratio: got 0.25"},
		{native(object{"projector_hidden_act": "tanh"}), `projector_hidden_act: got "tanh"`},
		{native(object{"vision_feature_layer": -2}), "vision_feature_layer: got -2"},
		{native(object{"vision_feature_layer": []int{-1, 3}}), "vision_feature_layer: got [-1,3]"},
		{native(object{"vision_feature_select_strategy": "full"}), `vision_feature_select_strategy: got "full"`},
		{native(object{"vision_config.num_attention_heads": 3}), "vision_config.num_attention_heads: got 3 for hidden_size 8"},
		{native(object{"vision_config.intermediate_size": -1}), "vision_config.intermediate_size: got -1"},
		{native(object{"vision_config.num_hidden_layers": 0}), "vision_config.num_hidden_layers: got 0"},
		{native(object{"vision_config.hidden_size": 0}), "vision_config.hidden_size: got 0"},
		{native(object{"vision_config.patch_size": 0}), "vision_config.patch_size: got 0"},
		{native(object{"vision_config.image_size": 50}), "vision_config.image_size: got 50, want a multiple of 28"},
		{native(object{"vision_config.image_size": []int{56, 28}}), "got [56,28], want a length in pixels"},
		{native(object{"vision_config.num_channels": 4}), "vision_config.num_channels: got 4"},
		{native(object{"vision_config.hidden_act": "swish2"}), `vision_config.hidden_act: got "swish2"`},
		{native(object{"vision_config.norm_type": "batch_norm"}), `vision_config.norm_type: got "batch_norm"`},
		{native(object{"vision_config.layer_norm_eps": 0}), "vision_config.layer_norm_eps: got 0"},
		{native(object{"vision_config.initializer_range": 0}), "vision_config.initializer_range: got 0"},
		{native(object{"vision_config.use_mask_token": true}), "use_mask_token: got true"},
		{native(object{"vision_config.use_absolute_position_embeddings": false}), "use_absolute_position_embeddings: got false"},
		{original(object{"llm_config": nil}), "llm_config: is required"},
		{original(object{"llm_config.model_type": "phi3"}), `llm_config: model_type: got "phi3"`},
		{original(object{"force_image_size": 448}), "force_image_size: got 448, want vision_config.image_size 56"},
		{original(object{"ps_version": nil}), `ps_version: got "v1"`},
		{original(object{"select_layer": -4}), "select_layer: got -4"},
		{original(object{"template": "phi3-chat"}), `template: got "phi3-chat"`},
		{original(object{"min_dynamic_patch": 9}), "min_dynamic_patch 9, max_dynamic_patch 8"},
		{native(object{"downsample_ratio": 1, "vision_config.num_channels": 1}), "num_channels: got 1, want 3\ndownsample_ratio: got 1"}, // all at once
	} {
		b, err := json.Marshal(test.config)
		fixture.Check(t, err)
		if _, err := ParseConfig(b); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got error %v\nwant one with %q", err, test.want)
		}
	}
	if _, err := ParseConfig([]byte("[")); err == nil {
		t.Error("no JSON passes")
	}
}

// Load reads the image processor's file of either generation, and errors name file and field.
func TestLoad(t *testing.T) {
	load := func(files map[string]string) (*Config, error) {
		t.Helper()
		dir := t.TempDir()
		b, err := json.Marshal(native(nil))
		fixture.Check(t, err)
		all := map[string]string{"config.json": string(b)}
		maps.Copy(all, files)
		for name, text := range all {
			fixture.Check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
		}
		return Load(dir)
	}
	const published = `{"crop_to_patches": false, "max_patches": 7, "min_patches": 2, "size": {"height": 56, "width": 56}, "resample": 3, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}`
	for name, text := range map[string]string{
		"preprocessor_config.json": published,
		"processor_config.json":    `{"image_processor": ` + published + `}`,
	} {
		c, err := load(map[string]string{name: text})
		fixture.Check(t, err)
		if c.Tiling != (Tiling{2, 7, true}) {
			t.Errorf("%s: got %+v", name, c.Tiling)
		}
	}
	for _, test := range []struct{ file, text, want string }{
		{"preprocessor_config.json", `{"image_mean": [0.5, 0.5, 0.5]}`, "image_mean: got [0.5 0.5 0.5]"},
		{"preprocessor_config.json", `{"image_std": [0.5, 0.5, 0.5]}`, "image_std: got [0.5 0.5 0.5]"},
		{"preprocessor_config.json", `{"size": 448}`, "size: got 448, want vision_config.image_size 56"},
		{"preprocessor_config.json", `{"size": {"height": 56, "width": 28}}`, "want a length, or equal height and width"},
		{"preprocessor_config.json", `{"resample": 2}`, "resample: got 2, want 3"},
		{"preprocessor_config.json", `{"max_patches": 0}`, "min_patches 1, max_patches 0"},
		{"processor_config.json", `{"image_processor": {"resample": 2}}`, "resample: got 2, want 3"},
		{"generation_config.json", `{"eos_token_id": 99}`, "eos_token_id: got 99"},
		{"tokenizer_config.json", `[`, "unexpected end"},
		{"tokenizer_config.json", `{"added_tokens_decoder": {"x": {"content": "<|im_end|>"}}}`, `parsing "x"`},
		{"tokenizer.json", `{"added_tokens": 3}`, "cannot unmarshal"},
		{"config.json", `{"model_type": "internvl"}`, "text_config: is required"},
	} {
		if _, err := load(map[string]string{test.file: test.text}); err == nil || !strings.Contains(err.Error(), test.file) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s: got error %v, want one with %q", test.file, test.text, err, test.want)
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("got error %v", err)
	}
}

// InternViT-300M-448px and its projector to a decoder of width 896 are published as 304.01M and 4.48M parameters, InternViT-6B with the
// 45 layers that InternVL keeps as 5.54B.
func TestSpecs(t *testing.T) {
	c := parsed(t, native(object{
		"vision_config": object{"attention_bias": true}, "image_seq_length": 256, "text_config.hidden_size": 896, "text_config.num_attention_heads": 14,
	}))
	counts := map[string]int{}
	for _, s := range c.Specs() {
		counts[c.Module(s.Name)] += s.Size()
	}
	if counts["vision"]/10_000 != 30401 || counts["merger"]/10_000 != 448 {
		t.Errorf("300M: got %v", counts)
	}
	large := parsed(t, original(object{"vision_config": object{"image_size": 448, "num_hidden_layers": 45}, "force_image_size": 448}))
	size := 0
	for _, s := range large.Specs() {
		if large.Module(s.Name) == "vision" {
			size += s.Size()
		}
	}
	if (size+5e6)/1e7 != 554 {
		t.Errorf("6B: got %d", size)
	}
	for _, module := range []string{"embedding", "decoder"} {
		if counts[module] == 0 {
			t.Errorf("no parameter of module %s", module)
		}
	}
	g, err := graph.Build("tower", func(g *graph.Graph) { g.Output("features", c.Tower(g, nn.NewParams(g))) })
	fixture.Check(t, err)
	fixture.Check(t, g.Verify())
}

// In transformers' layout parameters are found under the names that the class has in memory too.
func TestLocate(t *testing.T) {
	c := parsed(t, native(nil))
	for param, tensor := range map[string]string{
		"vision_tower.embeddings.cls_token":                "model.vision_tower.embeddings.cls_token",
		"multi_modal_projector.linear_1.bias":              "model.multi_modal_projector.linear_1.bias",
		"language_model.model.layers.0.mlp.up_proj.weight": "model.language_model.layers.0.mlp.up_proj.weight",
		"language_model.lm_head.weight":                    "lm_head.weight",
	} {
		if got := c.Locate(param, func(name string) bool { return name == tensor }); len(got) != 1 || got[0].Tensor != tensor {
			t.Errorf("%s: got %v, want %s", param, got, tensor)
		}
		if got := c.Locate(param, func(name string) bool { return true }); len(got) != 1 || got[0].Tensor != param {
			t.Errorf("%s: got %v, want its own name", param, got)
		}
		if got := c.Locate(param, func(name string) bool { return false }); len(got) != 1 || got[0].Tensor != param {
			t.Errorf("%s: got %v, want its own name", param, got)
		}
	}
}

func TestInit(t *testing.T) {
	c := parsed(t, native(nil))
	for _, s := range c.Specs() {
		w := make([]float32, s.Size())
		c.Init(s, 1, w)
		want, constant := float32(0), true
		switch {
		case strings.HasSuffix(s.Name, ".bias"), strings.HasSuffix(s.Name, "cls_token"), strings.HasSuffix(s.Name, "position_embeddings"):
		case strings.Contains(s.Name, "lambda_"):
			want = 0.1
		case strings.Contains(s.Name, "norm"):
			want = 1
		default:
			constant = false
		}
		if constant && (w[0] != want || w[len(w)-1] != want) || !constant && (w[0] == w[1] || abs(w[0]) > 0.2) {
			t.Errorf("%s: got %g, %g", s.Name, w[0], w[len(w)-1])
		}
	}
}

func abs(x float32) float32 { return max(x, -x) }
