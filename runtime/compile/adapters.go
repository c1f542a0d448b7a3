package compile

import (
	"fmt"

	"mixr/runtime/graph"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
	"mixr/runtime/spec"
)

// Adapter is the module of the parameters of policy.lora, which stand in no checkpoint of the base.
const Adapter = "adapter"

// adapters turns policy.lora into what the layers understand; nil for nil.
func adapters(l *spec.LoRA) *nn.LoRA {
	if l == nil {
		return nil
	}
	return &nn.LoRA{Rank: l.Rank, Scale: l.Alpha / float64(l.Rank), Targets: l.Targets, Dropout: l.Dropout}
}

// adapterSpecs lists the parameters of the adapters of a decoder, in the order of the data flow.
func adapterSpecs(c *decoder.Config, l *nn.LoRA) ([]nn.Spec, error) {
	base := map[string]bool{}
	for _, s := range decoder.Specs(c) {
		base[s.Name] = true
	}
	var out []nn.Spec
	// The list is what the model functions ask for, so it cannot drift from them.
	_, err := graph.Build("adapters", func(g *graph.Graph) {
		params := nn.NewParams(g)
		params.Adapt(l, nil)
		decoder.Declare(g, params, c)
		for _, s := range params.List() {
			if !base[s.Name] {
				out = append(out, s)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("compile adapters: %w", err)
	}
	return out, nil
}

// params is the registry of a graph's parameters, with the adapters. Nothing is dropped.
func (p *Program) params(g *graph.Graph) *nn.Params {
	params := nn.NewParams(g)
	params.Adapt(p.LoRA, nil)
	return params
}

// trained is params for a graph that is differentiated. With dropout it declares the input dropout [layers, N, T] int64: a key for each
// token and layer, of 1 to nn.KeyRange - 1.
func (p *Program) trained(g *graph.Graph, layers int) *nn.Params {
	params := nn.NewParams(g)
	var keys *graph.Value
	if p.Drops() {
		keys = g.Input("dropout", graph.I64, layers, "N", "T")
	}
	params.Adapt(p.LoRA, keys)
	return params
}

// Drops reports whether the gradient reads keys of dropout.
func (p *Program) Drops() bool { return p.LoRA != nil && p.LoRA.Dropout > 0 }
