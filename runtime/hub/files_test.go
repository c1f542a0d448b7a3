package hub

import (
	"slices"
	"testing"
)

func TestModelFiles(t *testing.T) {
	for _, name := range []string{"config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
		"tokenizer.json", "tokenizer_config.json", "tokenizer.model", "chat_template.json", "chat_template.jinja",
		"special_tokens_map.json", "vocab.json", "merges.txt", "added_tokens.json", "model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json"} {
		if !ModelFiles(name) {
			t.Errorf("%s is not wanted", name)
		}
	}
	for _, name := range []string{"README.md", "pytorch_model.bin", "pytorch_model.bin.index.json", "original/model.safetensors",
		"onnx/model.onnx", "modeling_x.py", "../config.json", "", "optimizer.pt"} {
		if ModelFiles(name) {
			t.Errorf("%s is wanted", name)
		}
	}
}

func TestChoose(t *testing.T) {
	everything := func(string) bool { return true }
	tokenizer := func(name string) bool { return name == "tokenizer.json" }
	for _, test := range []struct {
		name string
		all  []string
		want func(string) bool
		err  string
		got  []string
	}{
		{"model", []string{"b.safetensors", "README.md", "config.json", "config.json"}, ModelFiles, "", []string{"b.safetensors", "config.json"}},
		{"pickles", []string{"config.json", "pytorch_model.bin"}, ModelFiles, "only pytorch_model.bin: safetensors are needed", nil},
		{"no weights", []string{"config.json"}, ModelFiles, "no weights that can be read; it has config.json", nil},
		{"empty", nil, ModelFiles, "it has no files", nil},
		{"none", []string{"a", "b"}, tokenizer, "none of the wanted files; it has a, b", nil},
		{"tokenizer alone", []string{"tokenizer.json", "x.bin"}, tokenizer, "", []string{"tokenizer.json"}},
		{"pickles for all", []string{"a.safetensors", "b.bin", "c.gguf"}, everything, "", []string{"a.safetensors", "c.gguf"}},
		{"up", []string{"a.safetensors", "x/../../y"}, everything, "unsafe name", nil},
		{"absolute", []string{"a.safetensors", "/etc/passwd"}, everything, "unsafe name", nil},
		{"control", []string{"a.safetensors", "a\x1b[2J"}, everything, "unsafe name", nil},
		{"backslash", []string{"a.safetensors", `..\x`}, everything, "unsafe name", nil},
		{"not UTF-8", []string{"a.safetensors", "a\xff"}, everything, "unsafe name", nil},
		{"dot", []string{"a.safetensors", "./x"}, everything, "unsafe name", nil},
	} {
		got, err := choose(test.all, test.want)
		if test.err != "" {
			wantError(t, err, test.err)
		} else if err != nil || !slices.Equal(got, test.got) {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}
