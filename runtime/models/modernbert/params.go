package modernbert

import (
	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// Specs lists every parameter of the encoder in the order of the data flow, under the names that ModernBertModel saves.
//
// A configuration that LoadConfig accepts always builds; another one panics with the rule it breaks.
func Specs(c *Config) []nn.Spec {
	return nn.Declared("modernbert", func(g *graph.Graph, p *nn.Params) {
		angles := func(kind string) Angles {
			half := c.HiddenSize / c.NumHeads / 2
			return Angles{g.Input(kind+"_cos", graph.F32, "L", half), g.Input(kind+"_sin", graph.F32, "L", half)}
		}
		Encode(p, c, In{
			IDs:    g.Input("ids", graph.I64, "N", "T"),
			Pos:    g.Input("pos", graph.I64, "N", "T"),
			Global: angles("global"),
			Local:  angles("local"),
			Mask:   g.Input("mask", graph.F32, "N", 1, 1, "T"),
			Window: g.Input("window", graph.F32, 1, 1, "T", "T"),
		})
	})
}

// Locate returns the name that a parameter has in a checkpoint that holds the tensors of has: models with a head on top, the released
// checkpoints among them, save the encoder under "model.". If neither exists it returns param, which is what an error should name.
func Locate(param string, has func(tensor string) bool) string {
	if name := "model." + param; !has(param) && has(name) {
		return name
	}
	return param
}
