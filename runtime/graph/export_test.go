package graph

import "reflect"

// Names for tests outside the package of what they must reach inside.
var (
	Unsqueeze = unsqueeze
	AddRows   = addRows
	SumTo     = sumTo
)

// RuleKinds returns for every operation whether its gradient rule is a formula.
func RuleKinds() map[string]bool {
	pointer := func(r rule) uintptr { return reflect.ValueOf(r).Pointer() }
	named := map[uintptr]bool{pointer(none): true, pointer(stop): true, pointer(refused): true}
	kinds := map[string]bool{}
	for op, r := range rules {
		kinds[op] = !named[pointer(r)]
	}
	return kinds
}

// Calls returns the operations on the graph's tape, in order.
func (g *Graph) Calls() []string {
	var ops []string
	for _, c := range g.tape {
		ops = append(ops, c.op)
	}
	return ops
}

// NodeOps returns the ONNX operations of the live nodes, in order.
func (g *Graph) NodeOps() []string {
	nodes, _ := g.live()
	var ops []string
	for _, n := range nodes {
		ops = append(ops, n.op)
	}
	return ops
}

// Swap exchanges two nodes, to give Verify something to find.
func (g *Graph) Swap(i, j int) { g.nodes[i], g.nodes[j] = g.nodes[j], g.nodes[i] }

// SetShape falsifies the recorded shape of a value.
func (v *Value) SetShape(s Shape) { v.shape = s }

// SetRule replaces a gradient rule until the returned function is called.
func SetRule(op string, r func(d *Value) []*Value) (restore func()) {
	old := rules[op]
	rules[op] = func(_ *call, d []*Value) []*Value { return r(d[0]) }
	return func() { rules[op] = old }
}
