package internvl

import (
	"strings"

	"mixr/runtime/graph"
	"mixr/runtime/models"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

// Specs lists every parameter of the model in the order of the data flow: tower, projector, embedding, decoder, head. Names are those
// that transformers writes (vision_tower.*, multi_modal_projector.*, language_model.*).
//
// Shapes are those of the checkpoint but for the patch embedding, [Dv, 3*14*14] here and [Dv, 3, 14, 14] there; the elements stand in
// the same order.
func (c *Config) Specs() []nn.Spec {
	return nn.Declared("internvl", func(g *graph.Graph, p *nn.Params) {
		c.Tower(g, p)
		decoder.Declare(g, p, c.Text)
	})
}

// Module names the part of the model that a parameter belongs to: vision (the tower), merger (the projector), embedding or decoder
// (layers, final norm and an untied head). A tied head is the embedding.
func (c *Config) Module(param string) string {
	switch {
	case strings.HasPrefix(param, "vision_tower."):
		return "vision"
	case strings.HasPrefix(param, "multi_modal_projector."):
		return "merger"
	}
	return decoder.Module(c.Text, param)
}

// Init fills dst as transformers does for a model without weights: matrices and embeddings are normal with initializer_range of their
// side, the class token and the tower's position embeddings 0, gains 1, layer scales layer_scale_init_value.
func (c *Config) Init(s nn.Spec, seed uint64, dst []float32) {
	fill := func(x float64) {
		for i := range dst {
			dst[i] = float32(x)
		}
	}
	switch {
	case strings.HasSuffix(s.Name, ".cls_token"), strings.HasSuffix(s.Name, ".position_embeddings"):
		fill(0)
	case strings.HasSuffix(s.Name, ".lambda_1"), strings.HasSuffix(s.Name, ".lambda_2"):
		fill(c.Vision.LayerScale)
	case c.Module(s.Name) == "vision":
		nn.Init(s, c.Vision.InitStd, seed, dst)
	default:
		nn.Init(s, c.Text.InitStd, seed, dst)
	}
}

// Locate finds a parameter under its own name; in the original layout also under the name it has there, where the tower's queries, keys
// and values are one tensor, and so are those of InternLM2; in transformers' layout also under the names that the class has in memory.
func (c *Config) Locate(param string, has func(tensor string) bool) []models.Piece {
	if has(param) {
		return models.Whole(param)
	}
	if c.Original {
		return c.original(param)
	}
	inMemory := "model." + param
	switch rest, text := strings.CutPrefix(param, "language_model."); {
	case text && strings.HasPrefix(rest, "lm_head."):
		inMemory = rest
	case text:
		inMemory = "model.language_model." + strings.TrimPrefix(rest, "model.")
	}
	if has(inMemory) {
		return models.Whole(inMemory)
	}
	return models.Whole(param)
}

// StoredShape is the parameter's own but for the patch embedding, a convolution whose stride is its kernel.
func (c *Config) StoredShape(s nn.Spec) []int {
	if s.Name == "vision_tower.embeddings.patch_embeddings.projection.weight" {
		return []int{s.Shape[0], channels, c.Vision.PatchSize, c.Vision.PatchSize}
	}
	return s.Shape
}

// original says where a parameter stands in a checkpoint of the original layout.
func (c *Config) original(param string) []models.Piece {
	switch {
	case strings.HasPrefix(param, "vision_tower."):
		return c.Vision.original(param)
	case strings.HasPrefix(param, "multi_modal_projector."):
		return models.Whole(originalProjector.Replace(param))
	case c.InternLM2:
		return internLM2(c.Text, param)
	}
	return models.Whole(param) // Qwen2 and Llama have the same names in both layouts
}

var originalProjector = strings.NewReplacer("multi_modal_projector.layer_norm", "mlp1.0", "multi_modal_projector.linear_1", "mlp1.1",
	"multi_modal_projector.linear_2", "mlp1.3")

var originalVision = strings.NewReplacer(
	"vision_tower.", "vision_model.",
	"embeddings.cls_token", "embeddings.class_embedding",
	"embeddings.patch_embeddings.projection", "embeddings.patch_embedding",
	"embeddings.position_embeddings", "embeddings.position_embedding",
	"encoder.layer.", "encoder.layers.",
	"attention.projection_layer", "attn.proj",
	"attention.q_proj", "attn.qkv",
	"attention.k_proj", "attn.qkv",
	"attention.v_proj", "attn.qkv",
	"attention.q_norm", "attn.q_norm",
	"attention.k_norm", "attn.k_norm",
	"layernorm_before", "norm1",
	"layernorm_after", "norm2",
	"lambda_", "ls",
)

// original: attn.qkv is all queries, then all keys, then all values.
func (v *Vision) original(param string) []models.Piece {
	name := originalVision.Replace(param)
	for i, part := range []string{".q_proj.", ".k_proj.", ".v_proj."} {
		if strings.Contains(param, part) {
			return []models.Piece{{Tensor: name, From: i * v.Width, To: (i + 1) * v.Width}}
		}
	}
	return models.Whole(name)
}

var originalText = strings.NewReplacer(
	"embed_tokens", "tok_embeddings",
	"self_attn.o_proj", "attention.wo",
	"self_attn.q_proj", "attention.wqkv",
	"self_attn.k_proj", "attention.wqkv",
	"self_attn.v_proj", "attention.wqkv",
	"mlp.gate_proj", "feed_forward.w1",
	"mlp.up_proj", "feed_forward.w3",
	"mlp.down_proj", "feed_forward.w2",
	"input_layernorm", "attention_norm",
	"post_attention_layernorm", "ffn_norm",
	"lm_head", "output",
)

// internLM2: attention.wqkv has for each key head its h query heads, the key head and the value head, E rows each.
func internLM2(c *decoder.Config, param string) []models.Piece {
	name := originalText.Replace(param)
	h := c.Heads / c.KVHeads
	first, count := 0, 0 // heads of a group to take
	switch {
	case strings.Contains(param, ".q_proj."):
		first, count = 0, h
	case strings.Contains(param, ".k_proj."):
		first, count = h, 1
	case strings.Contains(param, ".v_proj."):
		first, count = h+1, 1
	default:
		return models.Whole(name)
	}
	var pieces []models.Piece
	for group := range c.KVHeads {
		from := (group*(h+2) + first) * c.HeadWidth
		pieces = append(pieces, models.Piece{Tensor: name, From: from, To: from + count*c.HeadWidth})
	}
	return pieces
}
