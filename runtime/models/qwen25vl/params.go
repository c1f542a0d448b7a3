package qwen25vl

import (
	"strings"

	"mixr/runtime/graph"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

// Specs lists every parameter of the model in the order of the data flow: vision tower, merger, embedding, decoder, head. Names are
// those of the released checkpoints (visual.*, model.*, lm_head.weight), so that weights are loaded by name.
//
// Shapes are those of the checkpoint but for one: visual.patch_embed.proj.weight is [Dv, 1176] here and [Dv, 3, 2, 14, 14] there,
// since the patch embedding is a convolution whose stride is its kernel. The elements stand in the same order: a loader compares
// element counts and copies.
//
// A configuration that LoadConfig accepts always builds; another one panics with the rule it breaks.
func Specs(c *Config) []nn.Spec {
	return nn.Declared("qwen25vl", func(g *graph.Graph, p *nn.Params) {
		c.Tower(g, p)
		decoder.Declare(g, p, c.Decoder())
	})
}

// Module names the part of the model that a parameter belongs to: "vision" (the tower), "merger", "embedding" or "decoder" (layers,
// final norm and an untied head). A tied head is the embedding.
func Module(param string) string {
	switch {
	case strings.HasPrefix(param, "visual.merger."):
		return "merger"
	case strings.HasPrefix(param, "visual."):
		return "vision"
	case strings.HasPrefix(param, "model.embed_tokens."):
		return "embedding"
	default:
		return "decoder"
	}
}
