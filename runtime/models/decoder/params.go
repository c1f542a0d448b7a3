package decoder

import (
	"fmt"

	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// Specs lists the parameters of a decoder that stands alone: embedding, layers, final norm, head.
func Specs(c *Config) []nn.Spec {
	var specs []nn.Spec
	// The list is what the model functions ask for, so it cannot drift from them.
	_, err := graph.Build("parameters", func(g *graph.Graph) {
		p := nn.NewParams(g)
		Declare(g, p, c)
		specs = p.List()
	})
	if err != nil {
		panic(fmt.Sprintf("decoder: configuration that Parse would refuse: %v", err))
	}
	return specs
}

// Module names the part of a decoder that a parameter belongs to: embedding, or decoder (layers, final norm and an untied head). A
// tied head is the embedding.
func Module(c *Config, param string) string {
	if param == c.Embedding() {
		return "embedding"
	}
	return "decoder"
}
