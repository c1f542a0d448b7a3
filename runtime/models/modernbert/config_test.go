package modernbert

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/nn"
)

// small is a configuration that loads; it says nothing of layers and angles.
const small = `{"model_type": "modernbert", "vocab_size": 30, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 5,
	"num_attention_heads": 3, "max_position_embeddings": 12`

// One model in three layouts: with transformers' defaults, as the released checkpoints have it, and as transformers 5 writes it.
func TestParseConfigLayouts(t *testing.T) {
	for name, text := range map[string]string{
		"defaults": small + `}`,
		"released": small + `, "local_attention": 128, "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0,
			"position_embedding_type": "absolute", "norm_eps": 1e-05, "norm_bias": false, "hidden_activation": "gelu"}`,
		"transformers 5": small + `, "local_attention": 128, "layer_types": ["full_attention", "sliding_attention", "sliding_attention",
			"full_attention", "sliding_attention"], "rope_parameters": {"full_attention": {"rope_theta": 160000.0, "rope_type": "default"},
			"sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}}}`,
	} {
		c, err := ParseConfig([]byte(text))
		fixture.Check(t, err)
		if !slices.Equal(c.Local, []bool{false, true, true, false, true}) || c.Window != 64 || c.GlobalTheta != 160000 || c.LocalTheta != 10000 ||
			c.Activation != "gelu" || c.NormEps != 1e-5 || bool(c.NormBias || c.AttentionBias || c.MLPBias) {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}

// Every wrong field is named, in one error, after the file.
func TestLoadConfigErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	load := func(text string) string {
		fixture.Check(t, os.WriteFile(path, []byte(text), 0o644))
		_, err := LoadConfig(dir)
		if err == nil {
			t.Fatal("it loaded")
		}
		return err.Error()
	}
	for text, wants := range map[string][]string{
		`{"model_type": "modernbert", "hidden_size": 15, "num_attention_heads": 3, "num_hidden_layers": -1, "hidden_activation": "mish",
			"norm_eps": 0, "local_attention": 0, "global_attn_every_n_layers": 0, "global_rope_theta": 1, "local_rope_theta": -1}`: {
			path + ": ", "vocab_size: got 0, want > 0", "intermediate_size: got 0", "num_hidden_layers: got -1", "max_position_embeddings: got 0",
			"local_attention: got 0", "global_attn_every_n_layers: got 0", "num_attention_heads: got 3 for hidden_size 15",
			`hidden_activation: got "mish", want gelu`, "norm_eps: got 0, want > 0", "global_rope_theta: got 1, want > 1", "local_rope_theta: got -1",
		},
		small + `, "layer_types": ["full_attention", "chunked_attention"], "rope_scaling": {"rope_type": "linear", "factor": 2},
			"rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 0}}}`: {
			"layer_types: got 2 entries for 5 layers", `layer_types: layer 1: got "chunked_attention"`, "rope_scaling: want none",
			`rope_parameters.full_attention.rope_type: got "yarn"`, "rope_parameters.full_attention.rope_theta: got 0, want > 1",
		},
		`{"model_type": "bert"}`: {`model_type: got "bert", want "modernbert"`},
		`{`:                      {path},
	} {
		got := load(text)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
	}
	if _, err := LoadConfig(filepath.Join(dir, "absent")); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("got %v", err)
	}
}

func TestFeed(t *testing.T) {
	c, err := ParseConfig([]byte(small + `, "local_attention": 3}`))
	fixture.Check(t, err)
	f, err := c.Feed([][]int{{5, 6}, {7, 8, 9}})
	fixture.Check(t, err)
	const hidden = nn.Hidden
	if !slices.Equal(f.IDs, []int64{5, 6, 0, 7, 8, 9}) || !slices.Equal(f.Pos, []int64{0, 1, 2, 0, 1, 2}) || f.Texts != 2 || f.Tokens != 3 {
		t.Errorf("got %+v", f)
	}
	if !slices.Equal(f.Mask, []float32{0, 0, hidden, 0, 0, 0}) || !slices.Equal(f.Window, []float32{0, 0, hidden, 0, 0, 0, hidden, 0, 0}) {
		t.Errorf("got mask %v and window %v", f.Mask, f.Window)
	}
	for want, texts := range map[string][][]int{
		"got no text":                              nil,
		"text 1: got 0 tokens, want 1 to 12":       {{1}, {}},
		"text 0: got 13 tokens":                    {make([]int, 13)},
		"text 0: token 1: got id 30, want 0 to 29": {{1, 30}},
	} {
		if _, err := c.Feed(texts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestLocate(t *testing.T) {
	const param = "layers.0.mlp.Wi.weight"
	for _, tensor := range []string{param, "model." + param} {
		if got := Locate(param, func(name string) bool { return name == tensor }); got != tensor {
			t.Errorf("got %s, want %s", got, tensor)
		}
	}
	if got := Locate(param, func(string) bool { return false }); got != param {
		t.Errorf("missing: got %s, want %s", got, param)
	}
}
