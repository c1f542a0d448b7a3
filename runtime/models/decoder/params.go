package decoder

import (
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// Specs lists the parameters of a decoder that stands alone: embedding, layers, final norm, head.
func Specs(c *Config) []nn.Spec {
	return nn.Declared("decoder", func(g *graph.Graph, p *nn.Params) { Declare(g, p, c) })
}

// Module names the part of a decoder that a parameter belongs to: embedding, or decoder (layers, final norm and an untied head). A
// tied head is the embedding.
func Module(c *Config, param string) string {
	if param == c.Embedding() {
		return "embedding"
	}
	return "decoder"
}
