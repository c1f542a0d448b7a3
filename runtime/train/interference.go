package train

import (
	"cmp"
	"math"
	"slices"

	"mixr/runtime/monitor"
	"mixr/runtime/ort"
)

// sketchSize is how many numbers a task's gradient is kept in. Dot products of two sketches have a standard error of sqrt(2 / sketchSize)
// of the product of the norms: 0.6 % of a squared norm, 0.004 of a cosine of 0. A gradient that fits is kept as it is.
const sketchSize = 1 << 16

// taskGradients measures each task's share of an update's gradient while the update is made: norms, and cosines between tasks. Every
// parameter is added, with a sign, to one of sketchSize cells, both hashed from its place (count sketch: Charikar, Chen and
// Farach-Colton, ICALP 2002), which keeps dot products on average. So memory does not grow with the policy, and no pass is made again.
type taskGradients struct {
	params   []gradientOf // in a fixed order
	exact    bool         // all parameters fit
	sketches map[string][]float64
	groups   map[string]int32 // of each task
}

// gradientOf is a parameter's gradient: its name among a unit's, and the place of its first value among those of all.
type gradientOf struct {
	name  string
	place uint64
}

func (r *runner) newTaskGradients() *taskGradients {
	g := &taskGradients{sketches: map[string][]float64{}, groups: map[string]int32{}}
	place := uint64(0)
	for _, q := range r.model.program.Trainable() {
		g.params = append(g.params, gradientOf{"g." + q.Name, place})
		place += uint64(len(r.model.sum[q.Name].Float32()))
	}
	g.exact = place <= sketchSize
	return g
}

// of sees the units of an update on these groups (runner.observe).
func (g *taskGradients) of(groups []*group) func(i int, gradients map[string]*ort.Tensor) error {
	return func(i int, gradients map[string]*ort.Tensor) error {
		task := string(groups[i].prompt.example.Task)
		if g.sketches[task] == nil {
			g.sketches[task] = make([]float64, sketchSize)
		}
		g.groups[task]++
		g.add(g.sketches[task], gradients)
		return nil
	}
}

// add adds one unit's gradient to a sketch.
func (g *taskGradients) add(sketch []float64, gradients map[string]*ort.Tensor) {
	for _, p := range g.params {
		for i, v := range gradients[p.name].Float32() {
			place := p.place + uint64(i)
			if g.exact {
				sketch[place] += float64(v)
				continue
			}
			cell, sign := hashed(place)
			sketch[cell] += sign * float64(v)
		}
	}
}

// hashed is the cell and the sign of a parameter: two rounds of a 64-bit mixer.
func hashed(place uint64) (cell int, sign float64) {
	x := place * 0x9e3779b97f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return int(x % sketchSize), 1 - 2*float64(x>>63)
}

// measured is each task's gradient by its dot products, in order of task; nil where one of them is not finite.
func (g *taskGradients) measured() []monitor.Gradient {
	var out []monitor.Gradient
	for task := range g.sketches {
		out = append(out, monitor.Gradient{Task: task})
	}
	slices.SortFunc(out, func(a, b monitor.Gradient) int { return cmp.Compare(a.Task, b.Task) })
	for i := range out {
		for _, other := range out {
			dot := 0.0
			for c, v := range g.sketches[out[i].Task] {
				dot += float64(v * g.sketches[other.Task][c])
			}
			if math.IsNaN(dot) || math.IsInf(dot, 0) {
				return nil
			}
			out[i].Dots = append(out[i].Dots, dot)
		}
	}
	return out
}

// gradients records what was measured: the norm of each task's gradient, what is left of its descent under all of them (see
// monitor.Gradient), and its cosine with each other task's. n of these rows counts groups.
func (r *record) gradients(g *taskGradients) {
	r.measured = g.measured()
	for i, own := range r.measured {
		add := func(component string, v float64) {
			for range g.groups[own.Task] {
				r.table.add(own.Task, "", component, &v)
			}
		}
		norm := math.Sqrt(own.Dots[i])
		add("grad_norm", norm)
		if norm == 0 {
			continue
		}
		left := 0.0
		for j, dot := range own.Dots {
			left += dot / own.Dots[i]
			if other := math.Sqrt(r.measured[j].Dots[j]); j != i && other > 0 {
				add("grad_cos_"+r.measured[j].Task, dot/(norm*other))
			}
		}
		add("grad_left", left)
	}
}
