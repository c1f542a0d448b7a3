package bert

import (
	"strings"

	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// Specs lists every parameter of the encoder in the order of the data flow, under the names that BertModel saves.
//
// A configuration that LoadConfig accepts always builds; another one panics with the rule it breaks.
func Specs(c *Config) []nn.Spec {
	return nn.Declared("bert", func(g *graph.Graph, p *nn.Params) {
		Encode(p, c, In{
			IDs:  g.Input("ids", graph.I64, "N", "T"),
			Pos:  g.Input("pos", graph.I64, "T"),
			Mask: g.Input("mask", graph.F32, "N", 1, 1, "T"),
		})
	})
}

// Locate returns the name that a parameter has in a checkpoint that holds the tensors of has. Models with a head on top save the
// encoder under "bert.", and checkpoints converted from the first release call the weight and bias of a norm gamma and beta. If none
// of these exists it returns param, which is what an error should name.
func Locate(param string, has func(tensor string) bool) string {
	old := strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta").Replace(param)
	for _, name := range []string{param, "bert." + param, old, "bert." + old} {
		if has(name) {
			return name
		}
	}
	return param
}
