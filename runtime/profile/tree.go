package profile

import (
	"cmp"
	"fmt"
	"slices"
)

// frame is a box of a flame graph: lane-seconds (or bytes) under a name, and what they are made of.
type frame struct {
	name string
	tip  string // what is said where the box is too small for words
	kind string // a class of the style sheet
	size float64
	of   []frame
}

// tree is a step, by phase, graph, operation and shapes.
func (p *Profile) tree() frame {
	root := frame{name: fmt.Sprintf("step: %s on %s", seconds(p.WallS), counted(p.Workers, "lane")), kind: "step", size: p.LaneS()}
	root.tip = root.name
	for i := range p.Phases {
		ph := &p.Phases[i]
		f := frame{name: ph.Name, kind: "phase", size: ph.WallS * float64(p.Workers)}
		f.tip = fmt.Sprintf("%s: %s, %s of the step", ph.Name, seconds(ph.WallS), percent(f.size, root.size))
		for _, g := range ph.Graphs {
			f.of = append(f.of, p.graphFrame(ph.Name, g))
		}
		for _, rest := range []struct {
			name, what string
			size       float64
		}{{"host", "Go code, outside ONNX Runtime", ph.HostS}, {"waiting", "lanes that had nothing to do", ph.WaitS}} {
			tip := fmt.Sprintf("%s, %s: %s of %s, %s", ph.Name, rest.what, seconds(rest.size), seconds(f.size), percent(rest.size, f.size))
			f.of = append(f.of, frame{name: rest.name, tip: tip, kind: rest.name, size: rest.size})
		}
		root.of = append(root.of, f)
	}
	return root
}

// graphFrame is the runs of a graph in a phase, by operation and shapes.
func (p *Profile) graphFrame(phase string, r Runs) frame {
	f := frame{name: r.Graph, kind: "graph", size: r.Seconds}
	f.tip = fmt.Sprintf("%s, graph %s: %s lane-seconds, %s runs of %s, %s of the step", phase, r.Graph, number(r.Seconds), number(r.N),
		seconds(r.Seconds/max(r.N, 1)), percent(r.Seconds, p.LaneS()))
	g := p.graph(r.Graph)
	if g == nil {
		return f
	}
	byOp := map[string]int{}
	for _, o := range g.Ops {
		i, known := byOp[o.Op]
		if !known {
			i = len(f.of)
			byOp[o.Op] = i
			f.of = append(f.of, frame{name: o.Op, kind: o.kind()})
		}
		leaf := frame{name: o.Shape, kind: o.kind(), size: o.F * r.Seconds}
		leaf.tip = fmt.Sprintf("%s %s in %s: %s lane-seconds, %s of the step, %s a run", o.Op, o.Shape, r.Graph,
			number(leaf.size), percent(leaf.size, p.LaneS()), number(o.N))
		if o.GFLOPS > 0 {
			leaf.tip += fmt.Sprintf(", %s GFLOP/s", number(o.GFLOPS))
		}
		f.of[i].of = append(f.of[i].of, leaf)
		f.of[i].size += leaf.size
	}
	for i := range f.of {
		f.of[i].tip = fmt.Sprintf("%s in %s: %s lane-seconds, %s of the step", f.of[i].name, r.Graph, number(f.of[i].size),
			percent(f.of[i].size, p.LaneS()))
	}
	between := g.BetweenF * r.Seconds
	f.of = append(f.of, frame{name: "between", kind: "between", size: between,
		tip: fmt.Sprintf("%s, between operations: %s lane-seconds, %s of the step", r.Graph, number(between), percent(between, p.LaneS()))})
	slices.SortStableFunc(f.of, func(a, b frame) int { return -cmp.Compare(a.size, b.size) })
	return f
}

func (o Op) kind() string {
	if o.Product {
		return "product"
	}
	return "op"
}

// number prints three digits.
func number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// seconds prints a time with three digits.
func seconds(s float64) string {
	switch {
	case s >= 1:
		return number(s) + " s"
	case s >= 1e-3:
		return number(s*1e3) + " ms"
	}
	return number(s*1e6) + " µs"
}

// percent is a share of a whole.
func percent(part, whole float64) string {
	if whole <= 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.1f %%", 100*part/whole)
}

// megabytes prints a size with three digits.
func megabytes(n int64) string {
	if n >= 1e9 {
		return number(float64(n)/1e9) + " GB"
	}
	return number(float64(n)/1e6) + " MB"
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
