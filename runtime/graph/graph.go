// Package graph builds ONNX graphs from Go and differentiates them.
//
// In goes Go code that calls operations on values: x [N, T, D] and w [M, D] give Linear(x, w, nil) [N, T, M]. Out
// comes a Graph that can be verified, printed, differentiated (Gradients), checked for safe in-place updates
// (CheckAliases) and serialised as a deterministic ONNX model for stock ONNX Runtime (Marshal). The package never runs
// anything and never reads files or the clock. It knows nothing of models, experiments or devices.
//
// Dims are known sizes or symbols ("N", "N*T"): a graph is built once and serves every size. Symbols are compared
// by name; they become the dim_param names of the model.
//
// Errors: a call that cannot be right (wrong shape, type or graph) panics with *Error, which names the operation,
// its operands, the rule broken and the caller's line. Build recovers that type, and only that type, and returns it;
// everything else in the package returns errors. Building uses no goroutines; a Graph may be built by one goroutine
// at a time and, once built, read by many.
package graph

import (
	"errors"
	"fmt"
	"slices"
)

// Output is a result of a graph under the name it has there.
type Output struct {
	Name  string
	Value *Value
}

// Graph is a list of nodes in an order in which they can run, with named inputs and outputs.
type Graph struct {
	name    string
	inputs  []*Value
	outputs []Output
	consts  []*Value
	nodes   []*node
	tape    []*call         // calls of differentiable and other operations, in order
	names   map[string]int  // names in use, with the next suffix to try
	known   map[once]*Value // constants and other values that are made at most once
	scope   string          // prefix of new names
}

// New returns an empty graph.
func New(name string) *Graph {
	return &Graph{name: name, names: map[string]int{}, known: map[once]*Value{}}
}

// Build runs f on a new graph and verifies the result. It returns the *Error that f panicked with, if any; other
// panics pass through.
func Build(name string, f func(g *Graph)) (g *Graph, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			g, err = nil, fmt.Errorf("build %s: %w", name, e)
		}
	}()
	g = New(name)
	f(g)
	if err := g.Verify(); err != nil {
		return nil, err
	}
	return g, nil
}

// Name returns the name given to New.
func (g *Graph) Name() string { return g.name }

// Input declares an input. Dims are int, string or Dim.
func (g *Graph) Input(name string, t DType, dims ...any) *Value {
	s, err := shapeOf(dims)
	if err == nil {
		err = g.claim(name)
	}
	if err != nil {
		fail("Input "+name, nil, here(), "%v", err)
	}
	v := &Value{g: g, name: name, dtype: t, shape: s}
	g.inputs = append(g.inputs, v)
	return v
}

// Output declares a result. The value takes the output's name; one that already has a name of its own (an input, a
// constant, another output) is copied by an Identity node.
func (g *Graph) Output(name string, v *Value) {
	at := here()
	if v == nil || v.g != g {
		fail("Output "+name, []*Value{v}, at, "the value is nil or of another graph")
	}
	if v.from == nil || g.isOutput(v) {
		v = begin("Identity", v).emit("Identity", []*Value{v})
	}
	if err := g.claim(name); err != nil {
		fail("Output "+name, []*Value{v}, at, "%v", err)
	}
	delete(g.names, v.name)
	v.name = name
	g.outputs = append(g.outputs, Output{name, v})
}

func (g *Graph) isOutput(v *Value) bool {
	return slices.ContainsFunc(g.outputs, func(o Output) bool { return o.Value == v })
}

// Inputs returns the inputs in the order of their declaration.
func (g *Graph) Inputs() []*Value { return g.inputs }

// Outputs returns the outputs in the order of their declaration.
func (g *Graph) Outputs() []Output { return g.outputs }

// Scope prefixes the names of nodes made until the returned function is called: defer g.Scope("layers.0.")().
func (g *Graph) Scope(prefix string) (leave func()) {
	outer := g.scope
	g.scope += prefix
	return func() { g.scope = outer }
}

// once identifies a value that a graph has at most once: what it is, and of which values. Names would not do, since
// Output changes them.
type once struct {
	what string
	a, b *Value
}

// get returns the value known under a key, making it the first time.
func (g *Graph) get(key once, make func() *Value) *Value {
	v := g.known[key]
	if v == nil {
		v = make()
		g.known[key] = v
	}
	return v
}

// claim reserves a name chosen by the caller. A node that happens to have it takes another.
func (g *Graph) claim(name string) error {
	if name == "" {
		return errors.New("the name is empty")
	}
	if _, taken := g.names[name]; !taken {
		g.names[name] = 1
		return nil
	}
	for _, v := range g.inputs {
		if v.name == name {
			return errors.New("the name is taken by an input")
		}
	}
	for _, o := range g.outputs {
		if o.Name == name {
			return errors.New("the name is taken by an output")
		}
	}
	for _, v := range g.consts {
		if v.name == name {
			v.name = g.unique(name)
		}
	}
	for _, n := range g.nodes {
		for _, v := range n.out {
			if v.name == name {
				v.name = g.unique(name)
			}
		}
	}
	return nil
}

// unique returns a name not in use, derived from base.
func (g *Graph) unique(base string) string {
	next, taken := g.names[base]
	if !taken {
		g.names[base] = 1
		return base
	}
	name := fmt.Sprintf("%s_%d", base, next)
	for g.names[name] != 0 {
		next++
		name = fmt.Sprintf("%s_%d", base, next)
	}
	g.names[base], g.names[name] = next+1, 1
	return name
}
