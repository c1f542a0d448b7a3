package profile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// ReadTrace sums up a trace that ONNX Runtime wrote of one session, a JSON array of events, while it reads it: the file has hundreds of
// bytes for every node of every run. perRun is the time of an untraced run of the graph in seconds, 0 where it is not known.
func ReadTrace(r io.Reader, graph string, perRun float64) (*Graph, error) {
	fail := func(err error) (*Graph, error) { return nil, fmt.Errorf("trace of %s: %w", graph, err) }
	d := json.NewDecoder(r)
	if t, err := d.Token(); err != nil {
		return fail(err)
	} else if t != json.Delim('[') {
		return fail(fmt.Errorf("it begins with %v, want a list of events", t))
	}
	var runs int
	var total float64 // microseconds of all runs
	nodes := map[string]*node{}
	for d.More() {
		var e event
		if err := d.Decode(&e); err != nil {
			return fail(err)
		}
		switch name, timed := strings.CutSuffix(e.Name, "_kernel_time"); {
		case e.Cat == "Session" && e.Name == "model_run":
			runs++
			total += e.Dur
		case e.Cat == "Node" && timed:
			if err := addNode(nodes, name, &e); err != nil {
				return fail(fmt.Errorf("node %s: %w", name, err))
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return fail(err)
	}
	g := &Graph{Name: graph, Runs: runs}
	if runs == 0 {
		return g, nil
	}
	if perRun > 0 {
		g.Slowdown = total / 1e6 / float64(runs) / perRun
	}
	g.Ops = classes(nodes, float64(runs), total)
	g.BetweenF = 1
	for _, o := range g.Ops {
		g.BetweenF -= o.F
	}
	g.BetweenF = max(g.BetweenF, 0) // a run and its nodes are timed apart
	return g, nil
}

// event is what is read of an event.
type event struct {
	Cat, Name string
	Dur       float64 // microseconds
	Args      struct {
		Op      string  `json:"op_name"`
		Inputs  []typed `json:"input_type_shape"`
		Outputs []typed `json:"output_type_shape"`
	}
}

// typed is the shape of a tensor by the name of its element type: {"float": [1, 8]}.
type typed map[string][]int

func (t typed) dims() []int {
	for _, dims := range t {
		return dims
	}
	return nil
}

// products are the operations whose work is matrix products.
var products = []string{"MatMul", "Gemm", "FusedMatMul", "FusedGemm"}

// node is one node over all of its runs.
type node struct {
	op    string
	n     int
	us    float64
	flops float64
	dims  [][]span // of each shape that tells its class
}

// span is the sizes that one dimension had.
type span struct{ low, high int }

func addNode(nodes map[string]*node, name string, e *event) error {
	var shapes [][]int
	var flops float64
	if slices.Contains(products, e.Args.Op) {
		if len(e.Args.Inputs) < 2 || len(e.Args.Outputs) < 1 {
			return fmt.Errorf("%s with %d inputs and %d outputs", e.Args.Op, len(e.Args.Inputs), len(e.Args.Outputs))
		}
		shapes, flops = product(e.Args.Inputs[0].dims(), e.Args.Inputs[1].dims(), e.Args.Outputs[0].dims())
	} else if dims := largest(e.Args.Inputs, e.Args.Outputs); dims != nil {
		shapes = [][]int{packed(dims)}
	}
	name = fmt.Sprint(name, len(shapes))
	for _, s := range shapes { // a node whose rank changes has a class for each
		name = fmt.Sprint(name, " ", len(s))
	}
	v := nodes[name]
	if v == nil {
		v = &node{op: e.Args.Op}
		for _, s := range shapes {
			v.dims = append(v.dims, make([]span, len(s)))
			for i, d := range s {
				v.dims[len(v.dims)-1][i] = span{d, d}
			}
		}
		nodes[name] = v
	}
	v.n++
	v.us += e.Dur
	v.flops += flops
	for i, s := range shapes {
		widen(v.dims[i], s, s)
	}
	return nil
}

// largest is the shape of the first input or the first output, whichever is larger: a sum reads more than it writes, a copy writes more.
func largest(inputs, outputs []typed) (dims []int) {
	for _, all := range [][]typed{outputs, inputs} {
		if len(all) > 0 && (dims == nil || size(all[0].dims()) > size(dims)) {
			dims = all[0].dims()
		}
	}
	return dims
}

func widen(dims []span, low, high []int) {
	for i := range dims {
		dims[i] = span{min(dims[i].low, low[i]), max(dims[i].high, high[i])}
	}
}

// packed leaves out leading dimensions of 1.
func packed(dims []int) []int {
	for len(dims) > 1 && dims[0] == 1 {
		dims = dims[1:]
	}
	return dims
}

// product is the class of a matrix product, either factor as it lies in memory, and its multiplications and additions. Rows that all meet
// the same matrix are one dimension.
func product(a, b, out []int) (shapes [][]int, flops float64) {
	if len(a) > 2 && len(b) == 2 {
		a = []int{size(a[:len(a)-1]), a[len(a)-1]}
	}
	if len(a) < 2 || len(out) < 2 || size(out) == 0 {
		return [][]int{packed(a), packed(b)}, 0
	}
	rows := out[len(out)-2] // of one product of a batch
	if len(a) == 2 {
		rows = size(out) / out[len(out)-1]
	}
	inner := a[len(a)-2] * a[len(a)-1] / rows // either factor may be transposed
	return [][]int{packed(a), packed(b)}, 2 * float64(size(out)) * float64(inner)
}

func size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// smallest is the share of a graph's time below which a class is joined with the others of its operation.
const smallest = 0.001

// classes joins nodes of equal operation and shapes; sizes that differ from run to run are alike. us is the time of all runs.
func classes(nodes map[string]*node, runs, us float64) []Op {
	byClass := map[string]*node{}
	join := func(key string, v *node) {
		c := byClass[key]
		if c == nil {
			c = &node{op: v.op}
			for _, dims := range v.dims {
				c.dims = append(c.dims, slices.Clone(dims))
			}
			byClass[key] = c
		}
		c.n, c.us, c.flops = c.n+v.n, c.us+v.us, c.flops+v.flops
		for i, dims := range v.dims {
			for j, d := range dims {
				c.dims[i][j] = span{min(c.dims[i][j].low, d.low), max(c.dims[i][j].high, d.high)}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(nodes)) { // sums in one order
		join(key(nodes[name]), nodes[name])
	}
	rest := map[string]*node{}
	for _, k := range slices.Sorted(maps.Keys(byClass)) {
		if v := byClass[k]; v.us < smallest*us {
			c := rest[v.op]
			if c == nil {
				c = &node{op: v.op}
				rest[v.op] = c
			}
			c.n, c.us, c.flops = c.n+v.n, c.us+v.us, c.flops+v.flops
			delete(byClass, k)
		}
	}
	var out []Op
	for _, v := range slices.AppendSeq(slices.Collect(maps.Values(byClass)), maps.Values(rest)) {
		o := Op{Op: v.op, Shape: v.shape(), Product: slices.Contains(products, v.op), N: float64(v.n) / runs}
		if us > 0 {
			o.F = v.us / us
		}
		if v.flops > 0 && v.us > 0 {
			o.GFLOPS = v.flops / v.us / 1e3
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b Op) int {
		return cmp.Or(-cmp.Compare(a.F, b.F), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Shape, b.Shape))
	})
	return out
}

// key is equal for nodes of one class.
func key(v *node) string {
	out := v.op
	for _, dims := range v.dims {
		out += " ×"
		for _, d := range dims {
			if d.low == d.high {
				out += fmt.Sprint(" ", d.low)
			} else {
				out += " *"
			}
		}
	}
	return out
}

// shape is the class for a reader.
func (v *node) shape() string {
	if v.dims == nil {
		return "other shapes"
	}
	var factors []string
	for _, dims := range v.dims {
		var sizes []string
		for _, d := range dims {
			if d.low == d.high {
				sizes = append(sizes, fmt.Sprint(d.low))
			} else {
				sizes = append(sizes, fmt.Sprintf("%d..%d", d.low, d.high))
			}
		}
		factors = append(factors, "["+strings.Join(sizes, ", ")+"]")
	}
	return strings.Join(factors, " × ")
}
