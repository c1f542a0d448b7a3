package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Arena follows ONNX Runtime's allocator, the best-fit arena that grows by powers of two: how much memory is resident after some runs,
// and so what fragments cost. Memory that it has taken it keeps, and what it has taken without using it is not resident.
type Arena struct {
	free    []*block
	regions []*region
	next    int64 // size of the next region
}

// region is what was taken from the system at once.
type region struct{ touched int64 }

// block is a stretch of a region; its neighbours there are merged with it when all are free.
type block struct {
	in         *region
	at, size   int64
	used       bool
	prev, next *block
}

const (
	arenaGrain  = 256       // sizes are multiples of it
	arenaFirst  = 1 << 20   // size of the first region; each is twice the one before, or more if it must be
	arenaMost   = 1 << 30   // a region is not larger unless it must be
	arenaUnused = 128 << 20 // the most that stays unused at the end of a block; a block of twice the size is cut as well
)

// Total is how much of the arena's memory is resident, in bytes.
func (a *Arena) Total() (bytes int64) {
	for _, r := range a.regions {
		bytes += r.touched
	}
	return bytes
}

// grow takes one more region, in which size fits.
func (a *Arena) grow(size int64) {
	a.next = max(a.next, arenaFirst)
	enlarged := a.next < size
	for a.next < size {
		a.next *= 2
	}
	r := &region{}
	a.regions = append(a.regions, r)
	a.free = append(a.free, &block{in: r, size: a.next})
	if !enlarged {
		a.next = min(2*a.next, arenaMost)
	}
}

func (a *Arena) take(bytes int64) *block {
	size := max(1, (bytes+arenaGrain-1)/arenaGrain) * arenaGrain
	best := -1
	for i, b := range a.free {
		if b.size >= size && (best < 0 || b.size < a.free[best].size) {
			best = i
		}
	}
	if best < 0 {
		best = len(a.free)
		a.grow(size)
	}
	b := a.free[best]
	a.free = slices.Delete(a.free, best, best+1)
	b.used = true
	if b.size >= 2*size || b.size-size >= arenaUnused {
		rest := &block{in: b.in, at: b.at + size, size: b.size - size, prev: b, next: b.next}
		if b.next != nil {
			b.next.prev = rest
		}
		b.size, b.next = size, rest
		a.free = append(a.free, rest)
	}
	b.in.touched = max(b.in.touched, b.at+size)
	return b
}

func (a *Arena) give(b *block) {
	b.used = false
	drop := func(x *block) { a.free = slices.DeleteFunc(a.free, func(y *block) bool { return x == y }) }
	if n := b.next; n != nil && !n.used {
		drop(n)
		b.size, b.next = b.size+n.size, n.next
		if n.next != nil {
			n.next.prev = b
		}
	}
	if p := b.prev; p != nil && !p.used {
		drop(p)
		p.size, p.next = p.size+b.size, b.next
		if b.next != nil {
			b.next.prev = p
		}
		b = p
	}
	a.free = append(a.free, b)
}

// Held are the outputs of a run by name, in the arena's memory.
type Held map[string]*block

// Release gives memory back: of the named outputs, or of all that are left.
func (a *Arena) Release(h Held, outputs ...string) {
	if len(outputs) == 0 {
		outputs = slices.Sorted(maps.Keys(h))
	}
	for _, name := range outputs {
		if b := h[name]; b != nil {
			a.give(b)
			delete(h, name)
		}
	}
}

// Run takes and gives back what one run of a graph does, for sizes of the graph's symbols ("N": 2), and returns the outputs, which stay
// taken. An output of bound is written into a tensor of the caller's.
//
// Nodes run in the order of a depth-first search from the last result backwards, as in ONNX Runtime; a value's memory is free again
// after its last reader, views share memory, and element-wise nodes write over an operand that nothing reads any more. What the
// library's own rewriting of the graph saves is not known here.
func (a *Arena) Run(g *Graph, sizes map[string]int, bound func(output string) bool) (Held, error) {
	nodes, _ := g.live()
	readers := map[*Value]int{}
	for _, n := range nodes {
		for _, v := range n.in {
			readers[v]++
		}
	}
	// A buffer lives from the node that makes it to the last reader of any value in it. It has no block if it is the caller's.
	type buffer struct {
		block   *block
		bytes   int64
		readers int
		kept    bool
	}
	buffers, held, outputs := map[*Value]*buffer{}, Held{}, map[*Value]string{}
	for _, o := range g.outputs {
		outputs[o.Value] = o.Name
	}
	release := func(b *buffer) {
		if b.readers == 0 && b.block != nil && !b.kept {
			a.give(b.block)
			b.block = nil
		}
	}
	for _, n := range executionOrder(nodes) {
		for _, v := range n.out {
			bytes, err := v.Bytes(sizes)
			if err != nil {
				return nil, fmt.Errorf("graph %s: %w", g.name, err)
			}
			name, isOutput := outputs[v]
			var shared *buffer
			switch {
			case isOutput && bound != nil && bound(name):
				shared = &buffer{}
			case isOutput:
			case isView(n.op):
				if shared = buffers[n.in[0]]; shared == nil { // of an input or a constant
					shared = &buffer{}
				}
			case overwrites[n.op]:
				for _, x := range n.in[:min(len(n.in), 2)] {
					if b := buffers[x]; b != nil && b.block != nil && !b.kept && b.readers == 1 && b.bytes == bytes {
						shared = b
						break
					}
				}
			}
			if shared == nil {
				shared = &buffer{block: a.take(bytes), bytes: bytes, kept: isOutput}
				if isOutput {
					held[name] = shared.block
				}
			}
			shared.readers += readers[v]
			buffers[v] = shared
		}
		for _, v := range n.in {
			if b := buffers[v]; b != nil {
				b.readers--
				release(b)
			}
		}
		for _, v := range n.out {
			release(buffers[v]) // a second result that nothing reads
		}
	}
	return held, nil
}

// overwrites are the ops whose CPU kernels may write over an operand.
var overwrites = map[string]bool{
	"Add": true, "Sub": true, "Mul": true, "Div": true, "Neg": true, "Exp": true, "Log": true, "Sqrt": true, "Relu": true,
	"Sigmoid": true, "Clip": true, "Cast": true, "ScatterElements": true,
}

// executionOrder sorts nodes as ONNX Runtime runs them: a depth-first search over operands, from the results that no node reads, the
// last one first, and of a node's operands the one made last first.
func executionOrder(nodes []*node) []*node {
	at, read := map[*node]int{}, map[*node]bool{}
	for i, n := range nodes {
		at[n] = i
		for _, v := range n.in {
			if v.from != nil {
				read[v.from] = true
			}
		}
	}
	type visit struct {
		n     *node
		leave bool
	}
	var stack []visit
	for _, n := range nodes {
		if !read[n] {
			stack = append(stack, visit{n, false})
		}
	}
	seen := map[*node]bool{}
	var order []*node
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if v.leave {
			order = append(order, v.n)
			continue
		}
		if seen[v.n] {
			continue
		}
		seen[v.n] = true
		stack = append(stack, visit{v.n, true})
		var operands []*node
		for _, x := range v.n.in {
			if x.from != nil && !seen[x.from] {
				operands = append(operands, x.from)
			}
		}
		slices.SortFunc(operands, func(a, b *node) int { return at[a] - at[b] })
		for _, n := range operands {
			stack = append(stack, visit{n, false})
		}
	}
	return order
}

// Bytes is the size of a value for sizes of the graph's symbols.
func (v *Value) Bytes(sizes map[string]int) (int64, error) {
	n := int64(map[DType]int{F32: 4, I32: 4, I64: 8, F64: 8, Bool: 1}[v.dtype])
	for _, d := range v.shape {
		size, err := d.eval(sizes)
		if err != nil {
			return 0, fmt.Errorf("%s %v: %w", v.name, v.shape, err)
		}
		n *= size
	}
	return n, nil
}

// eval is the size of a dim for sizes of its symbols.
func (d Dim) eval(sizes map[string]int) (int64, error) {
	n := int64(d.n)
	for _, f := range d.factors() {
		if !strings.HasPrefix(f, "(") {
			size, ok := sizes[f]
			if !ok {
				return 0, fmt.Errorf("no size is given for %s", f)
			}
			n *= int64(size)
			continue
		}
		sum := int64(0)
		for _, t := range (Dim{1, f}).terms() {
			size, err := t.eval(sizes)
			if err != nil {
				return 0, err
			}
			sum += size
		}
		n *= sum
	}
	return n, nil
}

// Nodes is the number of nodes that the outputs need.
func (g *Graph) Nodes() int {
	nodes, _ := g.live()
	return len(nodes)
}

// Sizes finds what the symbols of the graph's inputs are when the named inputs have the given shapes, and adds it to sizes. Only dims of
// one symbol, perhaps with a factor ("4*M"), tell something.
func (g *Graph) Sizes(sizes map[string]int, input string, shape []int) {
	i := slices.IndexFunc(g.inputs, func(v *Value) bool { return v.name == input })
	if i < 0 || len(g.inputs[i].shape) != len(shape) {
		return
	}
	for j, d := range g.inputs[i].shape {
		if f := d.factors(); len(f) == 1 && !isSum(d.syms) && d.n > 0 {
			sizes[f[0]] = shape[j] / d.n
		}
	}
}
