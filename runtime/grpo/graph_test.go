package grpo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// Tolerances of a float32 graph against the float64 host: a loss of order 1 over tens of tokens keeps about six digits.
const (
	graphValueTol = 1e-5
	graphGradTol  = 1e-4
)

// runner owns a session with one binding and the tensors bound to it.
type runner struct {
	t       *testing.T
	engine  *ort.Engine
	binding *ort.Binding
	tensors map[string]*ort.Tensor
}

func newRunner(t *testing.T, g *graph.Graph) *runner {
	t.Helper()
	r := &runner{t: t, engine: orttest.Open(t), tensors: map[string]*ort.Tensor{}}
	s, err := r.engine.NewSession(g, ort.SessionOptions{})
	noError(t, err)
	r.binding, err = s.NewBinding()
	noError(t, err)
	t.Cleanup(func() {
		for _, err := range []error{r.binding.Close(), s.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		for _, x := range r.tensors {
			x.Free()
		}
	})
	return r
}

// tensor returns the named tensor, made with zeros the first time.
func (r *runner) tensor(name string, shape ...int) *ort.Tensor {
	r.t.Helper()
	if x, ok := r.tensors[name]; ok {
		return x
	}
	x, err := r.engine.NewTensor(graph.F32, shape...)
	noError(r.t, err)
	r.tensors[name] = x
	return x
}

func (r *runner) in(name string, values []float32, shape ...int) {
	r.t.Helper()
	x := r.tensor(name, shape...)
	copy(x.Float32(), values)
	noError(r.t, r.binding.Input(name, x))
}

func (r *runner) out(name string, shape ...int) {
	r.t.Helper()
	noError(r.t, r.binding.Output(name, r.tensor(name, shape...)))
}

// TestObjectiveAgainstHost runs each loss that specs offer, with and without KL, off and on policy, on flattened rows.
func TestObjectiveAgainstHost(t *testing.T) {
	rng := rand.New(rand.NewPCG(20, 21))
	for _, name := range []string{"grpo", "dr_grpo", "bnpo", "dapo"} {
		for _, kl := range []float64{0, 0.04} {
			for _, onPolicy := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s kl=%v on_policy=%t", name, kl, onPolicy), func(t *testing.T) {
					v, err := VariantOf(name)
					noError(t, err)
					v.KL, v.ClipHigh = kl, 0.28
					b := randomBatch(rng, 8, v)
					if onPolicy {
						b.Old = nil
					}
					compareObjective(t, v, b)
				})
			}
		}
	}
}

func compareObjective(t *testing.T, v Variant, b Batch) {
	w, err := TokenWeights(v.Aggregation, Update{Masks: b.Mask, MaxTokens: 8, MicroRows: 4})
	noError(t, err)
	want, err := Loss(v, b, w)
	noError(t, err)

	flat := map[string][]float32{}
	for i, row := range b.LogP {
		for k := range row {
			flat["logp"] = append(flat["logp"], float32(row[k]))
			flat["advantage"] = append(flat["advantage"], float32(b.Advantage[i]))
			flat["weight"] = append(flat["weight"], float32(w[i][k]))
			if b.Old != nil {
				flat["old"] = append(flat["old"], float32(b.Old[i][k]))
			}
			if b.Ref != nil {
				flat["ref"] = append(flat["ref"], float32(b.Ref[i][k]))
			}
		}
	}
	g, err := graph.Build("objective", func(g *graph.Graph) {
		in := Inputs{LogP: g.Input("logp", graph.F32, "C"), Advantage: g.Input("advantage", graph.F32, "C"), Weight: g.Input("weight", graph.F32, "C")}
		if b.Old != nil {
			in.Old = g.Input("old", graph.F32, "C")
		}
		if b.Ref != nil {
			in.Ref = g.Input("ref", graph.F32, "C")
		}
		out := Objective(in, v)
		g.Output("loss", out.Loss)
		if out.KL != nil {
			g.Output("kl", out.KL)
		}
		g.Output("grad", graph.Gradients(out.Loss, in.LogP)[0])
	})
	noError(t, err)
	r := newRunner(t, g)
	n := len(flat["logp"])
	for name, values := range flat {
		r.in(name, values, n)
	}
	r.out("loss", 1)
	r.out("grad", n)
	if b.Ref != nil {
		r.out("kl", n)
	}
	noError(t, r.binding.Run())

	near(t, "loss", float64(r.tensors["loss"].Float32()[0]), want.Loss, graphValueTol)
	at := 0
	for i, row := range b.LogP {
		for k := range row {
			where := fmt.Sprintf("[%d][%d]", i, k)
			near(t, "grad"+where, float64(r.tensors["grad"].Float32()[at]), want.Grad[i][k], graphGradTol)
			if b.Ref != nil {
				near(t, "kl"+where, float64(r.tensors["kl"].Float32()[at]), want.KL[i][k], graphValueTol)
			}
			at++
		}
	}
}

func TestSFT(t *testing.T) {
	g, err := graph.Build("sft", func(g *graph.Graph) {
		logp, weight := g.Input("logp", graph.F32, "C"), g.Input("weight", graph.F32, "C")
		loss := SFT(logp, weight)
		g.Output("loss", loss)
		g.Output("grad", graph.Gradients(loss, logp)[0])
	})
	noError(t, err)
	r := newRunner(t, g)
	r.in("logp", []float32{-1, -2, -4}, 3)
	r.in("weight", []float32{0.5, 0.25, 0}, 3)
	r.out("loss", 1)
	r.out("grad", 3)
	noError(t, r.binding.Run())
	if loss := r.tensors["loss"].Float32()[0]; loss != 1 {
		t.Errorf("loss: got %v, want 1", loss)
	}
	if got := fmt.Sprint(r.tensors["grad"].Float32()); got != "[-0.5 -0.25 0]" && got != "[-0.5 -0.25 -0]" {
		t.Errorf("grad: got %s", got)
	}
}

func TestObjectiveRefuses(t *testing.T) {
	good, err := VariantOf("grpo")
	noError(t, err)
	for _, c := range []struct {
		want string
		edit func(*Variant, *Inputs)
	}{
		{"token-level", func(v *Variant, _ *Inputs) { v.Level = Sequence }},
		{"token-level", func(v *Variant, _ *Inputs) { v.Surrogate = Gate }},
		{"token-level", func(v *Variant, _ *Inputs) { v.Delta = 2 }},
		{"reference", func(v *Variant, _ *Inputs) { v.KL = 0.1 }},
		{"reference", func(_ *Variant, in *Inputs) { in.Ref = in.Advantage }},
	} {
		_, err := graph.Build("refused", func(g *graph.Graph) {
			v := good
			in := Inputs{LogP: g.Input("logp", graph.F32, "C"), Advantage: g.Input("a", graph.F32, "C"), Weight: g.Input("w", graph.F32, "C")}
			c.edit(&v, &in)
			Objective(in, v)
		})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "graph_test.go") {
			t.Errorf("got %v, want an error with %q and this file", err, c.want)
		}
	}
	if _, err := graph.Build("refused", func(g *graph.Graph) {
		Objective(Inputs{LogP: g.Input("logp", graph.F32, "C"), Advantage: g.Input("a", graph.F32, "N"), Weight: g.Input("w", graph.F32, "C")}, good)
	}); err == nil {
		t.Error("an advantage of another length was accepted")
	}
}

// adamParams have dims that are all distinct, one tensor of rank 1 that is not decayed.
var adamParams = []Param{{"a.weight", []int{3, 5}}, {"a.bias", []int{7}}, {"conv.weight", []int{2, 3, 4}}}

// adamState is a plain float64 AdamW, textbook form.
type adamState struct{ w, m, v [][]float64 }

func (s *adamState) update(o AdamW, grads [][]float32, lr float64, step int) (norm float64) {
	for _, g := range grads {
		for _, x := range g {
			norm += float64(x) * float64(x)
		}
	}
	norm = math.Sqrt(norm)
	clip := 1.0
	if o.GradClip > 0 {
		clip = min(1, o.GradClip/(norm+1e-6))
	}
	c1, c2 := 1-math.Pow(o.Beta1, float64(step)), 1-math.Pow(o.Beta2, float64(step))
	for i := range s.w {
		for k := range s.w[i] {
			g := float64(grads[i][k]) * clip
			s.m[i][k] = o.Beta1*s.m[i][k] + (1-o.Beta1)*g
			s.v[i][k] = o.Beta2*s.v[i][k] + (1-o.Beta2)*g*g
			if len(adamParams[i].Shape) > 1 {
				s.w[i][k] -= lr * o.WeightDecay * s.w[i][k]
			}
			s.w[i][k] -= lr * (s.m[i][k] / c1) / (math.Sqrt(s.v[i][k]/c2) + o.AdamEps)
		}
	}
	return norm
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// adamRunner binds an AdamW graph, with outputs in the buffers of the inputs if inPlace.
func adamRunner(t *testing.T, o AdamW, inPlace bool) *runner {
	t.Helper()
	g, err := BuildAdamW(adamParams, o)
	noError(t, err)
	for _, p := range adamParams {
		for _, prefix := range []string{"", "m.", "v."} {
			noError(t, g.CheckAlias(prefix+p.Name, "o."+prefix+p.Name))
		}
	}
	r := newRunner(t, g)
	rng := rand.New(rand.NewPCG(30, 31))
	for _, p := range adamParams {
		w := make([]float32, size(p.Shape))
		for i := range w {
			w[i] = float32(rng.NormFloat64())
		}
		r.in(p.Name, w, p.Shape...)
		r.in("g."+p.Name, nil, p.Shape...)
		r.in("m."+p.Name, nil, p.Shape...)
		r.in("v."+p.Name, nil, p.Shape...)
		for _, prefix := range []string{"", "m.", "v."} {
			if inPlace {
				noError(t, r.binding.Output("o."+prefix+p.Name, r.tensors[prefix+p.Name]))
			} else {
				r.out("o."+prefix+p.Name, p.Shape...)
			}
		}
	}
	r.out("norm", 1)
	for _, s := range []string{"rate", "eps", "keep"} {
		r.in(s, nil, 1)
	}
	return r
}

// update runs one step and, if double-buffered, copies the outputs back.
func (r *runner) update(o AdamW, grads [][]float32, lr float64, step int, inPlace bool) float64 {
	r.t.Helper()
	rate, eps, keep := o.Scalars(lr, step)
	for name, x := range map[string]float32{"rate": rate, "eps": eps, "keep": keep} {
		r.tensors[name].Float32()[0] = x
	}
	for i, p := range adamParams {
		copy(r.tensors["g."+p.Name].Float32(), grads[i])
	}
	noError(r.t, r.binding.Run())
	if !inPlace {
		for _, p := range adamParams {
			for _, prefix := range []string{"", "m.", "v."} {
				copy(r.tensors[prefix+p.Name].Float32(), r.tensors["o."+prefix+p.Name].Float32())
			}
		}
	}
	return float64(r.tensors["norm"].Float32()[0])
}

func randomGrads(rng *rand.Rand, scale float64) [][]float32 {
	var grads [][]float32
	for _, p := range adamParams {
		g := make([]float32, size(p.Shape))
		for i := range g {
			g[i] = float32(rng.NormFloat64() * scale)
		}
		grads = append(grads, g)
	}
	return grads
}

// TestAdamW compares 20 steps with the textbook, and the in-place with the double-buffered run bit by bit.
func TestAdamW(t *testing.T) {
	for _, clip := range []float64{0, 1} {
		t.Run(fmt.Sprint("grad_clip=", clip), func(t *testing.T) {
			o := AdamW{Beta1: 0.9, Beta2: 0.99, AdamEps: 1e-8, WeightDecay: 0.1, GradClip: clip}
			aliased, buffered := adamRunner(t, o, true), adamRunner(t, o, false)
			host := &adamState{}
			for _, p := range adamParams {
				var w []float64
				for _, x := range aliased.tensors[p.Name].Float32() {
					w = append(w, float64(x))
				}
				host.w, host.m, host.v = append(host.w, w), append(host.m, make([]float64, len(w))), append(host.v, make([]float64, len(w)))
			}
			rng := rand.New(rand.NewPCG(32, 33))
			for step := 1; step <= 20; step++ {
				lr := 0.05 * float64(step%5) // passes through 0, a valid step
				grads := randomGrads(rng, math.Pow(10, float64(step%4)-2))
				want := host.update(o, grads, lr, step)
				got := aliased.update(o, grads, lr, step, true)
				if other := buffered.update(o, grads, lr, step, false); other != got {
					t.Fatalf("step %d: norm %v in place, %v double-buffered", step, got, other)
				}
				near(t, "norm", got/want, 1, 1e-6)
				for i, p := range adamParams {
					for _, prefix := range []string{"", "m.", "v."} {
						a, b := aliased.tensors[prefix+p.Name].Float32(), buffered.tensors[prefix+p.Name].Float32()
						for k := range a {
							if math.Float32bits(a[k]) != math.Float32bits(b[k]) {
								t.Fatalf("step %d: %s%s[%d]: %v in place, %v double-buffered", step, prefix, p.Name, k, a[k], b[k])
							}
						}
					}
					for k, x := range aliased.tensors[p.Name].Float32() {
						near(t, fmt.Sprintf("step %d: %s[%d]", step, p.Name, k), float64(x), host.w[i][k], 1e-5)
					}
				}
			}
		})
	}
}

// TestAdamWSkipsNonFinite: a gradient that is not finite is reported by norm and changes nothing, in place too; the next
// step goes on as if it had not been.
func TestAdamWSkipsNonFinite(t *testing.T) {
	o := AdamW{Beta1: 0.9, Beta2: 0.99, AdamEps: 1e-8, WeightDecay: 0.1, GradClip: 1}
	r := adamRunner(t, o, true)
	rng := rand.New(rand.NewPCG(34, 35))
	r.update(o, randomGrads(rng, 1), 0.1, 1, true)
	before := map[string][]float32{}
	for _, p := range adamParams {
		for _, prefix := range []string{"", "m.", "v."} {
			before[prefix+p.Name] = append([]float32{}, r.tensors[prefix+p.Name].Float32()...)
		}
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e30} {
		grads := randomGrads(rng, 1)
		grads[1][3] = bad
		norm := r.update(o, grads, 0.1, 2, true)
		if !math.IsNaN(norm) && !math.IsInf(norm, 0) {
			t.Errorf("gradient %v: norm %v hides it", bad, norm)
		}
		for name, want := range before {
			for k, x := range r.tensors[name].Float32() {
				if x != want[k] {
					t.Fatalf("gradient %v: %s[%d] moved from %v to %v", bad, name, k, want[k], x)
				}
			}
		}
	}
}

func TestAccumulate(t *testing.T) {
	params := []Param{{"w", []int{2, 3}}}
	g, err := BuildAccumulate(params)
	noError(t, err)
	noError(t, g.CheckAlias("acc.w", "o.acc.w"))
	r := newRunner(t, g)
	r.in("acc.w", []float32{1, 2, 3, 4, 5, 6}, 2, 3)
	r.in("g.w", []float32{10, 20, 30, 40, 50, 60}, 2, 3)
	noError(t, r.binding.Output("o.acc.w", r.tensors["acc.w"]))
	noError(t, r.binding.Run())
	noError(t, r.binding.Run())
	if got := fmt.Sprint(r.tensors["acc.w"].Float32()); got != "[21 42 63 84 105 126]" {
		t.Errorf("got %s", got)
	}
}

func TestAdamWErrors(t *testing.T) {
	for _, o := range []AdamW{{Beta1: 1, Beta2: 0.9, AdamEps: 1e-8}, {Beta1: 0.9, Beta2: math.NaN(), AdamEps: 1e-8}, {Beta1: 0.9, Beta2: 0.9}, {Beta1: 0.9, Beta2: 0.9, AdamEps: 1e-8, GradClip: -1}} {
		if _, err := BuildAdamW(adamParams, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if _, err := BuildAdamW(nil, AdamW{Beta1: 0.9, Beta2: 0.9, AdamEps: 1e-8}); err == nil {
		t.Error("an optimizer of nothing was accepted")
	}
}
