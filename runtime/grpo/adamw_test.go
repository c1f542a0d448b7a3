package grpo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"mixr/runtime/fixture"
)

// adamParams have dims that are all distinct, one tensor of rank 1 that is not decayed, and one with a learning rate of its own.
var adamParams = []Param{{"a.weight", []int{3, 5}, "decoder"}, {"a.bias", []int{7}, "decoder"}, {"conv.weight", []int{2, 3, 4}, "vision"}}

// rates are the learning rates of the modules where the experiment's is lr.
func rates(lr float64) map[string]float64 {
	return map[string]float64{"decoder": lr, "vision": lr * 0.2, "merger": 7}
}

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
		lr := rates(lr)[adamParams[i].Module]
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

// adam is the optimizer with its norm, bound as in training.
type adam struct {
	AdamW
	norm, step *runner
	scalars    []string // that the graph reads
	inPlace    bool
}

// newAdam binds both graphs, with outputs in the buffers of the inputs if inPlace. Weights are random.
func newAdam(t *testing.T, o AdamW, inPlace bool) *adam {
	t.Helper()
	g, err := BuildAdamW(adamParams, o)
	noError(t, err)
	for _, p := range adamParams {
		for _, prefix := range []string{"", "m.", "v."} {
			noError(t, g.CheckAlias(prefix+p.Name, "o."+prefix+p.Name))
		}
	}
	n, err := BuildNorm(adamParams)
	noError(t, err)
	a := &adam{AdamW: o, norm: newRunner(t, n), step: newRunner(t, g), inPlace: inPlace}
	a.norm.out("norm", 1)
	rng := rand.New(rand.NewPCG(30, 31))
	for _, p := range adamParams {
		w := make([]float32, size(p.Shape))
		for i := range w {
			w[i] = float32(rng.NormFloat64())
		}
		a.norm.in("g."+p.Name, nil, p.Shape...)
		a.step.in(p.Name, w, p.Shape...)
		a.step.in("g."+p.Name, nil, p.Shape...)
		a.step.in("m."+p.Name, nil, p.Shape...)
		a.step.in("v."+p.Name, nil, p.Shape...)
		for _, prefix := range []string{"", "m.", "v."} {
			if inPlace {
				noError(t, a.step.binding.Output("o."+prefix+p.Name, a.step.tensors[prefix+p.Name]))
			} else {
				a.step.out("o."+prefix+p.Name, p.Shape...)
			}
		}
	}
	for _, in := range g.Inputs() {
		if shape, fixed := in.Shape().Ints(); fixed && slices.Equal(shape, []int{1}) {
			a.scalars = append(a.scalars, in.Name())
			a.step.in(in.Name(), nil, 1)
		}
	}
	return a
}

// update runs one step at learning rate lr, unless the gradient's norm, which it returns, is not finite; if double-buffered, it copies
// the outputs back.
func (a *adam) update(grads [][]float32, lr float64, step int) float64 {
	t := a.step.t
	t.Helper()
	for i, p := range adamParams {
		copy(a.norm.tensors["g."+p.Name].Float32(), grads[i])
		copy(a.step.tensors["g."+p.Name].Float32(), grads[i])
	}
	noError(t, a.norm.binding.Run())
	norm := a.norm.tensors["norm"].Float32()[0]
	if x := float64(norm); math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	scalars := a.Scalars(norm, step, rates(lr))
	for _, name := range a.scalars {
		x, ok := scalars[name]
		if !ok {
			t.Fatalf("the graph reads %s, which Scalars does not give", name)
		}
		a.step.tensors[name].Float32()[0] = x
	}
	noError(t, a.step.binding.Run())
	if !a.inPlace {
		for _, p := range adamParams {
			for _, prefix := range []string{"", "m.", "v."} {
				copy(a.step.tensors[prefix+p.Name].Float32(), a.step.tensors["o."+prefix+p.Name].Float32())
			}
		}
	}
	return float64(norm)
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
	for _, c := range []struct{ clip, decay float64 }{{0, 0.1}, {1, 0.1}, {1, 0}} {
		t.Run(fmt.Sprintf("grad_clip=%v,weight_decay=%v", c.clip, c.decay), func(t *testing.T) {
			o := AdamW{Beta1: 0.9, Beta2: 0.99, AdamEps: 1e-8, WeightDecay: c.decay, GradClip: c.clip}
			aliased, buffered := newAdam(t, o, true), newAdam(t, o, false)
			host := &adamState{}
			for _, p := range adamParams {
				var w []float64
				for _, x := range aliased.step.tensors[p.Name].Float32() {
					w = append(w, float64(x))
				}
				host.w, host.m, host.v = append(host.w, w), append(host.m, make([]float64, len(w))), append(host.v, make([]float64, len(w)))
			}
			rng := rand.New(rand.NewPCG(32, 33))
			for step := 1; step <= 20; step++ {
				lr := 0.05 * float64(step%5) // passes through 0, a valid step
				grads := randomGrads(rng, math.Pow(10, float64(step%4)-2))
				want := host.update(o, grads, lr, step)
				got := aliased.update(grads, lr, step)
				if other := buffered.update(grads, lr, step); other != got {
					t.Fatalf("step %d: norm %v in place, %v double-buffered", step, got, other)
				}
				near(t, "norm", got/want, 1, 1e-6)
				for i, p := range adamParams {
					for _, prefix := range []string{"", "m.", "v."} {
						a, b := aliased.step.tensors[prefix+p.Name].Float32(), buffered.step.tensors[prefix+p.Name].Float32()
						for k := range a {
							if math.Float32bits(a[k]) != math.Float32bits(b[k]) {
								t.Fatalf("step %d: %s%s[%d]: %v in place, %v double-buffered", step, prefix, p.Name, k, a[k], b[k])
							}
						}
					}
					for k, x := range aliased.step.tensors[p.Name].Float32() {
						near(t, fmt.Sprintf("step %d: %s[%d]", step, p.Name, k), float64(x), host.w[i][k], 1e-5)
					}
				}
			}
		})
	}
}

// TestAdamWEqualsTorch makes eleven updates, and skips one whose gradient overflows, with what bench/optimizer_fixture.py gave to
// torch.optim.AdamW (two groups by rank, learning rates by module) behind clip_grad_norm_. Both compute in float32, in another order:
// 1e-6 is some 10 roundings of values near 1.
func TestAdamWEqualsTorch(t *testing.T) {
	var want struct {
		AdamW struct {
			Norms   []float64
			Tensors map[string][]float32
		}
	}
	fixture.Load(t, "optimizer/torch.json", &want)
	const steps, skipped = 12, 5
	a := newAdam(t, AdamW{Beta1: 0.9, Beta2: 0.99, AdamEps: 1e-8, WeightDecay: 0.1, GradClip: 1}, true)
	for p, q := range adamParams {
		for i := range a.step.tensors[q.Name].Float32() {
			a.step.tensors[q.Name].Float32()[i] = float32(math.Sin(float64(1 + 17*p + i)))
		}
	}
	applied := 0
	for step := range steps {
		var grads [][]float32
		for p, q := range adamParams {
			g := make([]float32, size(q.Shape))
			for i := range g {
				g[i] = float32(math.Pow(10, float64(step%3-2)) * math.Cos(float64(3+11*p+5*i+7*step)))
			}
			grads = append(grads, g)
		}
		if step == skipped {
			grads[1][3] = float32(math.Inf(1))
		}
		norm := a.update(grads, 0.05, applied+1)
		if step == skipped {
			if !math.IsInf(norm, 1) {
				t.Errorf("norm %v of an infinite gradient", norm)
			}
			continue
		}
		near(t, fmt.Sprintf("norm %d", applied), norm/want.AdamW.Norms[applied], 1, 1e-6)
		applied++
	}
	if applied != len(want.AdamW.Norms) || len(want.AdamW.Tensors) != 3*len(adamParams) {
		t.Fatalf("%d updates, want %d; %d tensors", applied, len(want.AdamW.Norms), len(want.AdamW.Tensors))
	}
	for name, values := range want.AdamW.Tensors {
		for i, x := range a.step.tensors[name].Float32() {
			near(t, fmt.Sprintf("%s[%d]", name, i), float64(x), float64(values[i]), 1e-6)
		}
	}
}

// TestNormShowsWhatIsNotFinite: NaN, infinities and squares beyond float32 make the norm not finite, by which an update is skipped; one
// that is just below is found finite.
func TestNormShowsWhatIsNotFinite(t *testing.T) {
	a := newAdam(t, AdamW{Beta1: 0.9, Beta2: 0.99, AdamEps: 1e-8, GradClip: 1}, true)
	before := slices.Clone(a.step.tensors["a.bias"].Float32())
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e30} {
		grads := randomGrads(rand.New(rand.NewPCG(34, 35)), 1)
		grads[1][3] = bad
		if norm := a.update(grads, 0.1, 1); !math.IsNaN(norm) && !math.IsInf(norm, 0) {
			t.Errorf("gradient %v: norm %v hides it", bad, norm)
		}
	}
	if !slices.Equal(a.step.tensors["a.bias"].Float32(), before) {
		t.Error("the test applied an update that is skipped")
	}
	grads := randomGrads(rand.New(rand.NewPCG(34, 35)), 1)
	grads[1][3] = 1e19
	near(t, "norm", a.update(grads, 0.1, 1)/1e19, 1, 1e-6)
	for i, x := range a.step.tensors["a.bias"].Float32() {
		near(t, fmt.Sprintf("a.bias[%d]", i), float64(x), float64(before[i]), 0.101) // a first step is lr at most
	}
}

// TestAdamWOnThreads: the optimizer is element by element, so that more threads in a session give the same bits.
func TestAdamWOnThreads(t *testing.T) {
	params := []Param{{"w", []int{700, 900}, "decoder"}} // large enough to be cut
	g, err := BuildAdamW(params, AdamW{Beta1: 0.9, Beta2: 0.99, AdamEps: 1e-8, WeightDecay: 0.1})
	noError(t, err)
	var want *runner
	for _, threads := range []int{1, 2, 4} {
		r := newRunnerOn(t, g, threads)
		rng := rand.New(rand.NewPCG(36, 37))
		for _, name := range []string{"w", "g.w", "m.w", "v.w"} {
			values := make([]float32, size(params[0].Shape))
			for i := range values {
				values[i] = float32(math.Exp(20 * rng.NormFloat64())) // down to what is flushed to 0
			}
			r.in(name, values, params[0].Shape...)
		}
		for name, x := range map[string]float32{"gain1": 0.03, "gain2": 0.07, "eps": 1e-9, "rate.decoder": 0.1, "keep.decoder": 0.99} {
			r.in(name, []float32{x}, 1)
		}
		for _, name := range []string{"w", "m.w", "v.w"} {
			noError(t, r.binding.Output("o."+name, r.tensors[name]))
		}
		for range 3 {
			noError(t, r.binding.Run())
		}
		if want == nil {
			want = r
			continue
		}
		for _, name := range []string{"w", "m.w", "v.w"} {
			got := r.tensors[name].Float32()
			for i, x := range want.tensors[name].Float32() {
				if math.Float32bits(got[i]) != math.Float32bits(x) {
					t.Fatalf("%s[%d] is %v on %d threads, %v on one", name, i, got[i], threads, x)
				}
			}
		}
	}
}

func TestAccumulate(t *testing.T) {
	params := []Param{{Name: "w", Shape: []int{2, 3}}}
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
