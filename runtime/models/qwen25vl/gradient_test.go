package qwen25vl

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
	"mixr/runtime/ort/orttest"
)

// sum of weighted log-probabilities of the tokens of completions packed behind one prompt, and its gradients.
type scoring struct {
	p           prompt
	completions [][]int
	weight      []float32 // of each completion token
	temperature float32
}

func (s scoring) graph(m *model) func(g *graph.Graph) {
	return func(g *graph.Graph) {
		c := m.c
		p := nn.NewParams(g)
		hidden, _ := text(g, p, c, c.Tower(g, p))
		rows := graph.Gather(graph.Reshape(hidden, -1, c.HiddenSize), g.Input("select", graph.I64, "C")) // [C, D]
		logp, _ := graph.LogProb(rows, decoder.Head(p, c.Decoder()), g.Input("target", graph.I64, "C"), g.Input("temperature", graph.F32, 1))
		loss := graph.SumAll(graph.Mul(logp, g.Input("weight", graph.F32, "C")))
		g.Output("loss", loss)
		wrt := make([]*graph.Value, len(m.specs))
		for i, spec := range m.specs {
			wrt[i] = p.Weight(spec.Name, spec.Shape...)
		}
		for i, d := range graph.Gradients(loss, wrt...) {
			g.Output("g."+m.specs[i].Name, d)
		}
	}
}

func (s scoring) feeds(t *testing.T, m *model) map[string]orttest.Value {
	feeds := map[string]orttest.Value{}
	textFeeds(t, m.c, s.p, s.completions, feeds)
	visionFeeds(m.c, s.p, feeds)
	var at, target []int64
	row := len(s.p.ids)
	for _, completion := range s.completions {
		for i, token := range completion {
			before := row + i - 1
			if i == 0 {
				before = len(s.p.ids) - 1 // the prompt's last token foretells the first of every completion
			}
			at, target = append(at, int64(before)), append(target, int64(token))
		}
		row += len(completion)
	}
	n := len(target)
	feeds["select"], feeds["target"] = orttest.I64(at, n), orttest.I64(target, n)
	feeds["weight"], feeds["temperature"] = orttest.F32(s.weight, n), orttest.F32([]float32{s.temperature}, 1)
	return feeds
}

// reference is the same sum from the float64 model, one sequence a completion.
func (s scoring) reference(r *reference) float64 {
	sum, n := 0.0, 0
	for _, completion := range s.completions {
		whole := s.p
		whole.ids = slices.Concat(s.p.ids, completion)
		logits := whole.logits(r)
		for i, token := range completion {
			lse := 0.0
			row := logits[len(s.p.ids)+i-1]
			for _, x := range row {
				lse += math.Exp(x / float64(s.temperature))
			}
			sum += float64(s.weight[n]) * (row[token]/float64(s.temperature) - math.Log(lse))
			n++
		}
	}
	return sum
}

// Every parameter of the model, vision tower included: the graph's gradient against central differences of the float64 reference,
// along a random direction of the whole tensor and along its element of largest gradient.
//
// The step is 1e-4 of a unit direction, which leaves the differences exact to about 1e-7; float32 gradients are then good to
// 1e-4 of the gradient's norm (measured 2e-6), and a missing term would show as 1e-2 or more.
func TestGradients(t *testing.T) {
	const step, tolerance = 1e-4, 1e-4
	for name, change := range map[string]func(*Config){
		"tied head": func(c *Config) {},
		"untied head, one key head": func(c *Config) {
			c.TieEmbeddings, c.NumKVHeads, c.NumLayers, c.Vision.Depth = false, 1, 1, 2
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := tiny()
			change(c)
			m := newModel(c)
			s := scoring{
				p:           newPrompt(c, 11, 2, Grid{2, 6}, Grid{6, 2}), // windows cut, images of unlike windows: padding
				completions: [][]int{{1, 2, 3}, {1, 4}},
				weight:      []float32{0.5, -0.3, 0.8, 0.4, -0.7},
				temperature: 0.7,
			}
			out := orttest.NewRunner(t, "gradient", s.graph(m)).Run(m.with(s.feeds(t, m)))
			r := m.reference()
			if got, want := float64(out["loss"].Floats()[0]), s.reference(r); math.Abs(got-want) > 1e-5 {
				t.Fatalf("loss: got %g, want %g", got, want)
			}
			rng := rand.New(rand.NewPCG(12, 13))
			worst := 0.0
			for _, spec := range m.specs {
				gradient, w := out["g."+spec.Name].Floats(), r.w[spec.Name]
				saved := slices.Clone(w)
				largest, norm := 0, 0.0
				for i, x := range gradient {
					norm += float64(x) * float64(x)
					if math.Abs(float64(x)) > math.Abs(float64(gradient[largest])) {
						largest = i
					}
				}
				norm = math.Sqrt(norm)
				if norm < 1e-3 {
					t.Errorf("%s: gradient has norm %g: the test says nothing", spec.Name, norm)
				}
				random, unit := make([]float64, len(w)), make([]float64, len(w))
				unit[largest] = 1
				for i := range random {
					random[i] = rng.NormFloat64()
				}
				for _, direction := range [][]float64{random, unit} {
					analytic, length := 0.0, 0.0
					for i, d := range direction {
						analytic += d * float64(gradient[i])
						length += d * d
					}
					length = math.Sqrt(length)
					analytic /= length
					at := func(h float64) float64 {
						for i, d := range direction {
							w[i] = saved[i] + h*d/length
						}
						defer copy(w, saved)
						return s.reference(r)
					}
					numeric := (at(step) - at(-step)) / (2 * step)
					off := math.Abs(numeric-analytic) / norm
					worst = max(worst, off)
					if !(off <= tolerance) {
						t.Errorf("%s: slope %g by the graph, %g by differences: off by %.1e of the gradient's norm %g",
							spec.Name, analytic, numeric, off, norm)
					}
				}
			}
			t.Logf("%d parameters, worst error %.1e of the gradient's norm", len(m.specs), worst)
		})
	}
}

// What stands at padded places must not change a bit of any value or gradient.
func TestPaddingIsInert(t *testing.T) {
	c := tiny()
	m := newModel(c)
	s := scoring{
		p:           newPrompt(c, 14, 2, Grid{2, 6}, Grid{6, 6}),
		completions: [][]int{{1, 2}},
		weight:      []float32{1, 2},
		temperature: 1,
	}
	r := orttest.NewRunner(t, "gradient", s.graph(m))
	want := r.Run(m.with(s.feeds(t, m)))
	feeds := s.feeds(t, m)
	padded, patches := 0, len(feeds["patch_pos"].Data.([]int64))
	for _, name := range []string{"window", "full"} {
		mask, index := feeds[name+"_mask"].Floats(), feeds[name+"_index"].Data.([]int64)
		for i := range index {
			if mask[i] != 0 {
				index[i] = int64((7*i + 3) % patches)
				padded++
			}
		}
	}
	if padded < 10 {
		t.Fatalf("%d padded places: the test says nothing", padded)
	}
	for name, got := range r.Run(m.with(feeds)) {
		if !slices.Equal(got.Floats(), want[name].Floats()) {
			t.Errorf("%s depends on padding", name)
		}
	}
}
