package qwen25vl

import (
	"math"
	"os"
	"slices"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/nn"
)

// The parameter counts are total_size / 2 of model.safetensors.index.json of the released bfloat16 checkpoints.
func TestSpecsOfReleasedModels(t *testing.T) {
	const path = "../../../../shared/models/qwen2.5-vl/config_3b.json"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("needs config.json of Qwen2.5-VL-3B: %v", err)
	}
	small, err := ParseConfig(b)
	fixture.Check(t, err)
	large := *small // Qwen2.5-VL-7B differs in these
	large.HiddenSize, large.IntermediateSize, large.NumLayers, large.NumHeads, large.NumKVHeads = 3584, 18944, 28, 28, 4
	large.VocabSize, large.TieEmbeddings, large.Vision.OutHiddenSize = 152064, false, 3584
	for _, test := range []struct {
		name       string
		c          *Config
		tensors    int
		parameters int
	}{
		{"3B", small, 824, 3_754_622_976},
		{"7B", &large, 729, 8_292_166_656},
	} {
		specs, parameters := Specs(test.c), 0
		for _, s := range specs {
			parameters += s.Size()
		}
		if len(specs) != test.tensors || parameters != test.parameters {
			t.Errorf("%s: got %d tensors of %d parameters, want %d of %d", test.name, len(specs), parameters, test.tensors, test.parameters)
		}
	}
}

func TestSpecsAndModules(t *testing.T) {
	c := tiny()
	c.TieEmbeddings = false
	want := map[string]string{
		"visual.patch_embed.proj.weight":                 "vision",
		"visual.blocks.2.norm1.weight":                   "vision",
		"visual.blocks.2.attn.qkv.bias":                  "vision",
		"visual.blocks.0.attn.proj.weight":               "vision",
		"visual.blocks.1.mlp.gate_proj.bias":             "vision",
		"visual.merger.ln_q.weight":                      "merger",
		"visual.merger.mlp.0.bias":                       "merger",
		"visual.merger.mlp.2.weight":                     "merger",
		"model.embed_tokens.weight":                      "embedding",
		"model.layers.1.input_layernorm.weight":          "decoder",
		"model.layers.1.self_attn.q_proj.bias":           "decoder",
		"model.layers.0.self_attn.o_proj.weight":         "decoder",
		"model.layers.0.post_attention_layernorm.weight": "decoder",
		"model.layers.0.mlp.up_proj.weight":              "decoder",
		"model.norm.weight":                              "decoder",
		"lm_head.weight":                                 "decoder",
	}
	specs := Specs(c)
	for name, module := range want {
		if !slices.ContainsFunc(specs, func(s nn.Spec) bool { return s.Name == name }) {
			t.Errorf("no parameter %s", name)
		}
		if got := Module(name); got != module {
			t.Errorf("%s: module %s, want %s", name, got, module)
		}
	}
}

func TestInit(t *testing.T) {
	c := tiny()
	of := func(name string, seed uint64, shape ...int) []float32 {
		s := nn.Spec{Name: name, Shape: shape}
		dst := make([]float32, s.Size())
		c.Init(s, seed, dst)
		return dst
	}
	a := of("model.layers.0.mlp.up_proj.weight", 1, 100, 200)
	var sum, squares float64
	for _, x := range a {
		sum += float64(x)
		squares += float64(x) * float64(x)
	}
	n := float64(len(a))
	if mean, std := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 5e-4 || math.Abs(std-0.02) > 5e-4 {
		t.Errorf("matrix: mean %g and standard deviation %g, want 0 and 0.02", mean, std)
	}
	if !slices.Equal(a, of("model.layers.0.mlp.up_proj.weight", 1, 100, 200)) {
		t.Error("the same seed and name gave other values")
	}
	if slices.Equal(a, of("model.layers.0.mlp.up_proj.weight", 2, 100, 200)) || slices.Equal(a, of("model.layers.1.mlp.up_proj.weight", 1, 100, 200)) {
		t.Error("another seed or name gave the same values")
	}
	if got := of("model.norm.weight", 1, 3); !slices.Equal(got, []float32{1, 1, 1}) {
		t.Errorf("norm: got %v, want ones", got)
	}
	if got := of("visual.merger.mlp.0.bias", 1, 3); !slices.Equal(got, []float32{0, 0, 0}) {
		t.Errorf("bias: got %v, want zeros", got)
	}
}
