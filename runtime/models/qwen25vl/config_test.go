package qwen25vl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/models/decoder"
)

const nanoDir = "../../../experiments/policies/nano"

func nanoConfig(tb testing.TB) *Config {
	tb.Helper()
	c, err := LoadConfig(nanoDir)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestLoadConfigNano(t *testing.T) {
	c := nanoConfig(t)
	if c.HeadDim() != 32 || c.Vision.HeadDim() != 32 || !slices.Equal(c.StopIDs, []int{2, 0}) {
		t.Errorf("head widths %d and %d, stop %v; want 32, 32 and [2 0]", c.HeadDim(), c.Vision.HeadDim(), c.StopIDs)
	}
	if c.Vision.Full(0) || !c.Vision.Full(1) || c.Vision.Full(2) || !c.Vision.Full(3) {
		t.Errorf("full attention in blocks %v, want 1 and 3", c.Vision.FullAttBlocks)
	}
}

func TestCheckCompletion(t *testing.T) {
	c := nanoConfig(t)
	for tokens, ok := range map[int]bool{1: true, 2047: true, 2048: false, 131072: false} {
		if err := c.Decoder().CheckCompletion(tokens); (err == nil) != ok {
			t.Errorf("%d tokens of %d positions: got %v", tokens, c.MaxPositions, err)
		}
	}
	if err := new(decoder.Config).CheckCompletion(131072); err != nil {
		t.Errorf("a file that names no limit: %v", err)
	}
}

// TestParseConfig3B: the published file loads, in the published layout and in the nested one of newer libraries.
func TestParseConfig3B(t *testing.T) {
	b, err := os.ReadFile("../../../../shared/models/qwen2.5-vl/config_3b.json")
	if err != nil {
		t.Skipf("published config absent: %v", err)
	}
	c, err := ParseConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.HeadDim() != 128 || c.Vision.HeadDim() != 80 || c.Vision.windowUnits() != 4 || !c.TieEmbeddings || !slices.Equal(c.StopIDs, []int{151645}) {
		t.Errorf("got %+v", c)
	}
	var flat map[string]json.RawMessage
	if err := json.Unmarshal(b, &flat); err != nil {
		t.Fatal(err)
	}
	text := map[string]json.RawMessage{"model_type": []byte(`"qwen2_5_vl_text"`)}
	for field, value := range flat {
		if field != "vision_config" && field != "model_type" && field != "architectures" && !strings.HasSuffix(field, "_token_id") {
			text[field] = value
			delete(flat, field)
		}
	}
	if flat["text_config"], err = json.Marshal(text); err != nil {
		t.Fatal(err)
	}
	if b, err = json.Marshal(flat); err != nil {
		t.Fatal(err)
	}
	nested, err := ParseConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(c)
	if got, _ := json.Marshal(nested); string(got) != string(want) {
		t.Errorf("nested layout:\n got %s\nwant %s", got, want)
	}
}

func TestConfigErrors(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(nanoDir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"qwen2_5_vl"`, `"qwen2_vl"`, `model_type: got "qwen2_vl"`},
		{`"hidden_size": 192`, `"hidden_size": 0`, "hidden_size: got 0"},
		{`"num_attention_heads": 6`, `"num_attention_heads": 7`, "num_attention_heads: got 7 for hidden_size 192"},
		{`"num_key_value_heads": 2`, `"num_key_value_heads": 4`, "num_key_value_heads: got 4"},
		{`"vocab_size": 6409`, `"vocab_size": 6403`, "image_token_id: got 6403, want 0 to 6402"},
		{`"image_token_id": 6403`, `"image_token_id": 6404`, "video_token_id: got 6404, which is image_token_id too"},
		{`"rms_norm_eps": 1e-06`, `"rms_norm_eps": 0`, "rms_norm_eps: got 0"},
		{`"rope_theta": 10000.0`, `"rope_theta": -1`, "rope_theta: got -1"},
		{`"hidden_act": "silu",
  "hidden_size": 192`, `"hidden_act": "gelu", "hidden_size": 192`, `hidden_act: got "gelu"`},
		{`"use_sliding_window": false`, `"use_sliding_window": true`, "use_sliding_window"},
		{`"mrope"`, `"yarn"`, `rope_scaling.type: got "yarn"`},
		{`"mrope_section"`, `"sections"`, "mrope_section: got [], want three counts (t, h, w) that sum to 16"},
		{`"num_heads": 4`, `"num_heads": 5`, "vision_config.num_heads: got 5"},
		{`"out_hidden_size": 192`, `"out_hidden_size": 128`, "vision_config.out_hidden_size: got 128, want 192"},
		{`"patch_size": 14`, `"patch_size": 16`, "vision_config.patch_size: got 16, want 14"},
		{`"window_size": 112`, `"window_size": 100`, "vision_config.window_size: got 100"},
		{`"fullatt_block_indexes": [
      1,`, `"fullatt_block_indexes": [4,`, "fullatt_block_indexes: got 4, want 0 to 3"},
		{`"vision_config"`, `"other"`, "vision_config.depth: got 0"},
		{`{`, `[`, "invalid character"},
	} {
		broken := strings.Replace(string(b), c.old, c.new, 1)
		if broken == string(b) {
			t.Fatalf("config.json does not contain %s", c.old)
		}
		if _, err := ParseConfig([]byte(broken)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got error %v\nwant one with %q", c.new, err, c.want)
		}
	}
}

// TestLoadConfigNamesFile: errors of the files beside config.json name the file and the field.
func TestLoadConfigNamesFile(t *testing.T) {
	config, err := os.ReadFile(filepath.Join(nanoDir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, text, want string }{
		{"config.json", "", "config.json"},
		{"generation_config.json", `{"eos_token_id": 99999}`, "eos_token_id: got 99999"},
		{"generation_config.json", `{"eos_token_id": []}`, "a list of at least one"},
		{"generation_config.json", `{"eos_token_id": "x"}`, `got "x"`},
		{"preprocessor_config.json", `{"image_mean": [0.5, 0.5, 0.5]}`, "image_mean: got [0.5 0.5 0.5]"},
		{"preprocessor_config.json", `{"image_std": [0.5, 0.5, 0.5], "patch_size": 16}`, "patch_size: got 16, want 14"},
		{"preprocessor_config.json", `{"resample": 2}`, "resample: got 2, want 3"},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"config.json": string(config), c.file: c.text} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c.file == "config.json" { // absent altogether
			os.Remove(filepath.Join(dir, c.file))
		}
		_, err := LoadConfig(dir)
		if err == nil || !strings.Contains(err.Error(), c.file) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got error %v, want one with %q", c.file, c.text, err, c.want)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig(dir)
	if err != nil || !slices.Equal(c.StopIDs, []int{2}) {
		t.Errorf("config.json alone: stop %v, %v; want [2]", c.StopIDs, err)
	}
}
