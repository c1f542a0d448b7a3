package compile

import (
	"encoding/json"
	"math"
	"testing"

	"mixr/runtime/models/qwen25vl"
	"mixr/runtime/spec"
)

// released are the sizes of the published Qwen2.5-VL checkpoints (arXiv 2502.13923, and their config.json), with the number of
// parameters that the Hugging Face hub shows for each, in billions.
var released = []struct {
	name                                  string
	width, feedForward, layers, heads, kv int
	vocab                                 int
	tied                                  bool
	visionFeedForward                     int
	billions                              float64
}{
	{"3b", 2048, 11008, 36, 16, 2, 151936, true, 3420, 3.75},
	{"7b", 3584, 18944, 28, 28, 4, 152064, false, 3420, 8.29},
	{"32b", 5120, 27648, 64, 40, 8, 152064, false, 3456, 33.5},
	{"72b", 8192, 29568, 80, 64, 8, 152064, false, 3456, 73.4},
}

// Every published size compiles: all of its graphs, trained whole, by adapters, and layer by layer. No weight is needed.
func TestReleasedSizes(t *testing.T) {
	lora := func(e *spec.Experiment) {
		e.Policy.LoRA = &spec.LoRA{Rank: 16, Alpha: 32, Targets: []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}}
	}
	layered := func(e *spec.Experiment) { e.Policy.Recompute = true }
	for _, r := range released {
		t.Run(r.name, func(t *testing.T) {
			config := map[string]any{
				"model_type": "qwen2_5_vl", "vocab_size": r.vocab, "hidden_size": r.width, "intermediate_size": r.feedForward,
				"num_hidden_layers": r.layers, "num_attention_heads": r.heads, "num_key_value_heads": r.kv, "hidden_act": "silu",
				"rms_norm_eps": 1e-6, "rope_theta": 1e6, "rope_scaling": map[string]any{"type": "mrope", "mrope_section": []int{16, 24, 24}},
				"tie_word_embeddings": r.tied, "max_position_embeddings": 128000, "use_sliding_window": false,
				"eos_token_id": 151645, "vision_start_token_id": 151652, "vision_end_token_id": 151653, "image_token_id": 151655, "video_token_id": 151656,
				"vision_config": map[string]any{
					"depth": 32, "hidden_size": 1280, "intermediate_size": r.visionFeedForward, "num_heads": 16, "hidden_act": "silu", "in_chans": 3,
					"out_hidden_size": r.width, "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2, "window_size": 112,
					"fullatt_block_indexes": []int{7, 15, 23, 31}, "tokens_per_second": 2,
				},
			}
			text, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			c, err := qwen25vl.ParseConfig(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range []*spec.Experiment{
				grpoWith(freeze("vision", "merger"), kl(0.04)), grpoWith(lora, kl(0.04)), grpoWith(layered, freeze("vision", "merger"), kl(0.04)),
			} {
				p := compiled(t, e, c)
				count := 0.0
				for _, q := range p.Base() {
					count += float64(q.Size())
				}
				// The published count is rounded to three digits.
				if got := count / 1e9; math.Abs(got-r.billions) > 0.005*r.billions {
					t.Errorf("%.3f billion parameters, want %v", got, r.billions)
				}
				if e.Policy.LoRA == nil && len(p.Trainable()) != r.layers*12+2+map[bool]int{false: 1}[r.tied] {
					t.Errorf("%d trainable tensors", len(p.Trainable()))
				}
			}
			t.Logf("%s compiles", r.name)
		})
	}
}
