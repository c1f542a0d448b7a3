package qwen25vl

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"

	"mixr/runtime/graph"
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
	var specs []nn.Spec
	// The list is what the model functions ask for, so it cannot drift from them.
	_, err := graph.Build("parameters", func(g *graph.Graph) {
		p := nn.NewParams(g)
		windows := func(name string) Windows {
			return Windows{
				Index:   g.Input(name+"_index", graph.I64, "W", "S"),
				Inverse: g.Input(name+"_inverse", graph.I64, "4*M"),
				Mask:    g.Input(name+"_mask", graph.F32, "W", 1, 1, "S"),
			}
		}
		half := c.Vision.HiddenSize / c.Vision.NumHeads / 2
		Vision(p, c, VisionIn{
			Pixels: g.Input("pixels", graph.F32, "4*M", PatchDim),
			Pos:    g.Input("patch_pos", graph.I64, 1, "4*M"),
			Cos:    g.Input("patch_cos", graph.F32, "4*M", half),
			Sin:    g.Input("patch_sin", graph.F32, "4*M", half),
			Window: windows("window"),
			Full:   windows("full"),
		})
		Text(p, c, TextIn{
			Embeds: Embed(p, c, g.Input("ids", graph.I64, "N", "T"), nil, nil, nil),
			Pos:    g.Input("pos", graph.I64, "N", "T"),
			Cos:    g.Input("cos", graph.F32, "L", c.HeadDim()/2),
			Sin:    g.Input("sin", graph.F32, "L", c.HeadDim()/2),
			Mask:   g.Input("mask", graph.F32, "N", 1, "T", "T"),
		})
		Head(p, c)
		specs = p.List()
	})
	if err != nil {
		panic(fmt.Sprintf("qwen25vl: configuration that LoadConfig would refuse: %v", err))
	}
	return specs
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

// Init fills dst with the random initial value of a parameter, as Hugging Face does for a model without weights: normal with
// standard deviation InitializerRange for matrices and embeddings, 0 for biases, 1 for norm gains. The values depend on the seed,
// the name and the shape alone, not on the order or number of parameters.
func Init(c *Config, s nn.Spec, seed uint64, dst []float32) {
	if len(s.Shape) == 1 {
		value := float32(1)
		if strings.HasSuffix(s.Name, ".bias") {
			value = 0
		}
		for i := range dst {
			dst[i] = value
		}
		return
	}
	h := fnv.New64a()
	h.Write([]byte(s.Name))
	rng := rand.New(rand.NewPCG(seed, h.Sum64()))
	for i := range dst {
		dst[i] = float32(rng.NormFloat64() * c.InitializerRange)
	}
}
