package bert

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/nn"
)

// small is a configuration that loads.
const small = `{"model_type": "bert", "vocab_size": 30, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
	"num_attention_heads": 3, "max_position_embeddings": 12, "type_vocab_size": 2}`

func TestParseConfigDefaults(t *testing.T) {
	c, err := ParseConfig([]byte(small))
	fixture.Check(t, err)
	if c.HiddenAct != "gelu" || c.LayerNormEps != 1e-12 || c.heads() != (nn.Heads{Query: 3, KV: 3, Width: 8}) {
		t.Errorf("got %+v", c)
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
	got := load(`{"model_type": "bert", "hidden_size": 24, "num_attention_heads": 5, "num_hidden_layers": -1, "hidden_act": "mish",
		"layer_norm_eps": 0, "position_embedding_type": "relative_key", "is_decoder": true}`)
	for _, want := range []string{
		path + ": ", "vocab_size: got 0, want > 0", "intermediate_size: got 0", "num_hidden_layers: got -1", "max_position_embeddings: got 0",
		"type_vocab_size: got 0", "num_attention_heads: got 5, want a divisor of hidden_size 24", `hidden_act: got "mish", want gelu`,
		"layer_norm_eps: got 0, want > 0", `position_embedding_type: got "relative_key"`, "is_decoder: got true",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if got := load(`{"model_type": "roberta"}`); !strings.HasSuffix(got, `model_type: got "roberta", want "bert"`) {
		t.Errorf("got %s", got)
	}
	if got := load(`{`); !strings.Contains(got, path) {
		t.Errorf("got %s", got)
	}
	if _, err := LoadConfig(filepath.Join(dir, "absent")); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("got %v", err)
	}
}

func TestFeed(t *testing.T) {
	c, err := ParseConfig([]byte(small))
	fixture.Check(t, err)
	f, err := c.Feed([]Text{{IDs: []int{5, 6}, Types: []int{0, 1}}, {IDs: []int{7, 8, 9}}})
	fixture.Check(t, err)
	const hidden = nn.Hidden
	if !slices.Equal(f.IDs, []int64{5, 6, 0, 7, 8, 9}) || !slices.Equal(f.Types, []int64{0, 1, 0, 0, 0, 0}) ||
		!slices.Equal(f.Pos, []int64{0, 1, 2}) || !slices.Equal(f.Mask, []float32{0, 0, hidden, 0, 0, 0}) || f.Texts != 2 || f.Tokens != 3 {
		t.Errorf("got %+v", f)
	}
	for want, texts := range map[string][]Text{
		"got no text":                              nil,
		"text 1: got 0 tokens, want 1 to 12":       {{IDs: []int{1}}, {}},
		"text 0: got 13 tokens":                    {{IDs: make([]int, 13)}},
		"text 0: token 1: got id 30, want 0 to 29": {{IDs: []int{1, 30}}},
		"text 0: got 1 types for 2 tokens":         {{IDs: []int{1, 2}, Types: []int{0}}},
		"text 0: token 0: got type 2, want 0 to 1": {{IDs: []int{1}, Types: []int{2}}},
	} {
		if _, err := c.Feed(texts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestLocate(t *testing.T) {
	const param = "encoder.layer.0.output.LayerNorm.weight"
	for _, tensor := range []string{param, "bert." + param, "encoder.layer.0.output.LayerNorm.gamma", "bert.encoder.layer.0.output.LayerNorm.gamma"} {
		if got := Locate(param, func(name string) bool { return name == tensor }); got != tensor {
			t.Errorf("got %s, want %s", got, tensor)
		}
	}
	if got := Locate(param, func(string) bool { return false }); got != param {
		t.Errorf("missing: got %s, want %s", got, param)
	}
}
