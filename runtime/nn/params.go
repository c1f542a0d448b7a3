// Package nn holds the layers of transformer models as functions on graphs.
//
// In: graph values and the names and sizes of parameters. Out: graph values, and through Params the list of the parameters that a
// model needs. Every parameter is a graph input named and laid out as in the Hugging Face checkpoint ([out, in] for matrices).
// It never holds a weight, never reads a file and knows no model family.
//
// Errors: building with wrong shapes panics with *graph.Error, which graph.Build recovers.
package nn

import (
	"fmt"
	"slices"

	"mixr/runtime/graph"
)

// Spec describes one parameter: its checkpoint name and its shape in the graph. All parameters are float32.
type Spec struct {
	Name  string
	Shape []int
}

// Size returns the number of elements.
func (s Spec) Size() int {
	n := 1
	for _, d := range s.Shape {
		n *= d
	}
	return n
}

// Params declares the parameters of one graph. A Params from At shares everything with its parent but the prefix of names.
type Params struct {
	prefix string
	reg    *registry
	adapts bool         // linear layers have the adapters of reg.lora
	key    *graph.Value // [N, T] of their dropout; nil drops nothing
}

type registry struct {
	g      *graph.Graph
	values map[string]*graph.Value
	specs  []Spec // in order of declaration

	lora *LoRA        // adapters below Layer; nil if there are none
	keys *graph.Value // [layers, N, T] of their dropout
}

// NewParams returns the empty registry of parameters of g.
func NewParams(g *graph.Graph) *Params {
	return &Params{reg: &registry{g: g, values: map[string]*graph.Value{}}}
}

// At returns the scope below path: p.At("model.layers.%d", 3).Weight("input_layernorm.weight", d) declares
// model.layers.3.input_layernorm.weight.
func (p *Params) At(path string, args ...any) *Params {
	return &Params{p.prefix + fmt.Sprintf(path, args...) + ".", p.reg, p.adapts, p.key}
}

// Scope prefixes the names of the nodes made until the returned function is called with p's path, so that a viewer shows
// the layer of each: defer p.Scope()().
func (p *Params) Scope() (leave func()) { return p.reg.g.Scope(p.prefix) }

// Weight returns the parameter of that name, declaring it as a float32 graph input at its first use. A second use (a tied
// head) gets the same value, and must want the same shape.
func (p *Params) Weight(name string, shape ...int) *graph.Value {
	name = p.prefix + name
	dims := make([]any, len(shape))
	for i, d := range shape {
		dims[i] = d
	}
	if v, ok := p.reg.values[name]; ok {
		v.Want(dims...)
		return v
	}
	v := p.reg.g.Input(name, graph.F32, dims...)
	p.reg.values[name] = v
	p.reg.specs = append(p.reg.specs, Spec{name, slices.Clone(shape)})
	return v
}

// List returns all parameters declared so far on this graph, in order of declaration.
func (p *Params) List() []Spec { return slices.Clone(p.reg.specs) }

// Declared lists the parameters that build asks for, in the order in which it does, so that a list cannot drift from the model. A
// configuration that its package accepts always builds; another one panics with the package's name and the rule it breaks.
func Declared(pkg string, build func(g *graph.Graph, p *Params)) (specs []Spec) {
	_, err := graph.Build("parameters", func(g *graph.Graph) {
		p := NewParams(g)
		build(g, p)
		specs = p.List()
	})
	if err != nil {
		panic(fmt.Sprintf("%s: a configuration that it would refuse to load: %v", pkg, err))
	}
	return specs
}
