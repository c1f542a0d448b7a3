package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort/orttest"
)

// adapted builds y = q(x) + o(x) with an adapter on q alone, in layer `layer` of two, and the sum of y's gradient.
func adapted(t *testing.T, l *LoRA, in, out, layer int) *orttest.Runner {
	t.Helper()
	return orttest.NewRunner(t, "adapted", func(g *graph.Graph) {
		p := NewParams(g)
		x := g.Input("x", graph.F32, "N", "T", in)
		p.Adapt(l, g.Input("dropout", graph.I64, 2, "N", "T"))
		part := p.At("layers.%d", layer).Layer(layer)
		y := graph.Add(Linear(part.At("attn.q"), x, in, out, NoBias), Linear(part.At("attn.o"), x, in, out, NoBias))
		g.Output("y", y)
		a := part.At("attn.q").Weight("lora_A.weight", l.Rank, in)
		g.Output("dA", graph.Gradients(graph.SumAll(y), a)[0])
	})
}

// keys draws a key for each of two layers and n*t tokens.
func keys(n, t int) orttest.Value {
	rng, k := rand.New(rand.NewPCG(7, 7)), make([]int64, 2*n*t)
	for i := range k {
		k[i] = fieldElement(rng)
	}
	return orttest.I64(k, 2, n, t)
}

// With A the identity, B the identity and W zero, y shows what dropout let through.
func dropped(t *testing.T, dropout float64, width, n, tokens, layer int) []float32 {
	t.Helper()
	l := &LoRA{Rank: width, Scale: 1, Targets: []string{"q"}, Dropout: dropout}
	identity, ones := make([]float32, width*width), slices.Repeat([]float32{1}, n*tokens*width)
	for i := range width {
		identity[i*width+i] = 1
	}
	name, zero := []string{"layers.0.attn.", "layers.1.attn."}[layer], orttest.F32(make([]float32, width*width), width, width)
	return adapted(t, l, width, width, layer).Run(map[string]orttest.Value{
		"x": orttest.F32(ones, n, tokens, width), "dropout": keys(n, tokens), name + "q.weight": zero, name + "o.weight": zero,
		name + "q.lora_A.weight": orttest.F32(identity, width, width), name + "q.lora_B.weight": orttest.F32(identity, width, width),
	})["y"].Floats()
}

// The output and the gradient of A against the definition in float64, with the elements that dropout removed read off a run that shows
// them. o is no target and stays a plain layer.
func TestAdapterIsTheDefinition(t *testing.T) {
	const in, out, rank, n, tokens, dropout, scale = 6, 4, 2, 2, 3, 0.4, 1.5
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(shape ...int) orttest.Value {
		size := 1
		for _, d := range shape {
			size *= d
		}
		x := make([]float32, size)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return orttest.F32(x, shape...)
	}
	x, w, o, a, b := random(n, tokens, in), random(out, in), random(out, in), random(rank, in), random(out, rank)
	got := adapted(t, &LoRA{rank, scale, []string{"q"}, dropout}, in, out, 0).Run(map[string]orttest.Value{
		"x": x, "dropout": keys(n, tokens), "layers.0.attn.q.weight": w, "layers.0.attn.o.weight": o,
		"layers.0.attn.q.lora_A.weight": a, "layers.0.attn.q.lora_B.weight": b,
	})
	kept := dropped(t, dropout, in, n, tokens, 0)
	dA := make([]float64, rank*in)
	for row := range n * tokens {
		low, seen := make([]float64, rank), make([]float64, in)
		for i := range in {
			if kept[row*in+i] != 0 {
				seen[i] = float64(x.Floats()[row*in+i]) / (1 - dropout)
			}
		}
		for r := range rank {
			for i := range in {
				low[r] += float64(a.Floats()[r*in+i]) * seen[i]
			}
		}
		for j := range out {
			want := 0.0
			for i := range in {
				want += float64(w.Floats()[j*in+i]+o.Floats()[j*in+i]) * float64(x.Floats()[row*in+i])
			}
			for r := range rank {
				want += scale * float64(b.Floats()[j*rank+r]) * low[r]
				for i := range in {
					dA[r*in+i] += scale * float64(b.Floats()[j*rank+r]) * seen[i]
				}
			}
			if y := got["y"].Floats()[row*out+j]; math.Abs(float64(y)-want) > 1e-5 { // float32 sums of some ten terms of size 1
				t.Errorf("token %d, column %d: got %g, want %g", row, j, y, want)
			}
		}
	}
	for i, want := range dA {
		if d := got["dA"].Floats()[i]; math.Abs(float64(d)-want) > 5e-5 { // sums over all tokens and columns
			t.Errorf("gradient of A, element %d: got %g, want %g", i, d, want)
		}
	}
}

// Dropout removes each element with the given probability, independently of other columns, tokens and layers. Bounds are five standard
// deviations of the binomial counts.
func TestDropoutIsIndependent(t *testing.T) {
	const width, n, tokens, p = 48, 2, 400, 0.3
	near := func(what string, count, trials int, q float64) {
		t.Helper()
		if d := math.Abs(float64(count) - float64(trials)*q); d > 5*math.Sqrt(float64(trials)*q*(1-q)) {
			t.Errorf("%s: %d of %d, want a share of %.3f", what, count, trials, q)
		}
	}
	y := dropped(t, p, width, n, tokens, 0)
	other := dropped(t, p, width, n, tokens, 1)
	gone := func(row, column int) bool { return y[row*width+column] == 0 }
	rows, all, both := n*tokens, 0, 0
	for i := range y {
		if y[i] == 0 {
			all++
			if other[i] == 0 {
				both++
			}
		} else if math.Abs(float64(y[i])-1/(1-p)) > 1e-6 {
			t.Fatalf("an element that stays is %g, want %g", y[i], 1/(1-p))
		}
	}
	near("elements", all, rows*width, p)
	near("pairs of layers", both, rows*width, p*p)
	columns, inToken := make([]int, width), make([]int, rows)
	pairs, tokenPairs, squares := make([]int, width), 0, 0
	for row := range rows {
		for c := range width {
			if !gone(row, c) {
				continue
			}
			columns[c]++
			inToken[row]++
			if gone(row, (c+1)%width) {
				pairs[c]++
			}
			if gone((row+1)%rows, c) {
				tokenPairs++
				if gone(row, (c+7)%width) && gone((row+1)%rows, (c+7)%width) {
					squares++ // two tokens and two columns: what a sum of keys would get wrong
				}
			}
		}
	}
	for c := range width {
		near("a column", columns[c], rows, p)
		near("a column and the next", pairs[c], rows, p*p)
	}
	for row := range rows {
		near("a token", inToken[row], width, p)
	}
	near("a token and the next", tokenPairs, rows*width, p*p)
	near("two tokens in two columns", squares, rows*width, p*p*p*p)
}

// The same key drops the same elements, wherever the token stands.
func TestDropoutFollowsTheKey(t *testing.T) {
	wide, tall := dropped(t, 0.5, 16, 1, 12, 0), dropped(t, 0.5, 16, 12, 1, 0)
	if !slices.Equal(wide, tall) {
		t.Error("another packing of the same keys drops other elements")
	}
}

func TestInitAdapter(t *testing.T) {
	draw := func(name string, seed uint64, shape ...int) []float32 {
		x := slices.Repeat([]float32{9}, shape[0]*shape[1])
		InitAdapter(Spec{name, shape}, seed, x)
		return x
	}
	const in, rank = 256, 8
	a, bound, square := draw("layers.0.q_proj.lora_A.weight", 1, rank, in), 1/math.Sqrt(in), 0.0
	for _, x := range a {
		if math.Abs(float64(x)) > bound {
			t.Fatalf("%g lies beyond %g", x, bound)
		}
		square += float64(x) * float64(x)
	}
	// The mean square of a uniform is bound^2/3, that of its square bound^4/5: a standard deviation of 0.89/sqrt(n) of the mean.
	if got, want := square/float64(len(a)), bound*bound/3; math.Abs(got/want-1) > 5*0.89/math.Sqrt(float64(len(a))) {
		t.Errorf("mean square %g, want %g", got, want)
	}
	if slices.ContainsFunc(draw("layers.0.q_proj.lora_B.weight", 1, in, rank), func(x float32) bool { return x != 0 }) {
		t.Error("B does not begin as 0")
	}
	if !slices.Equal(a, draw("layers.0.q_proj.lora_A.weight", 1, rank, in)) || slices.Equal(a, draw("layers.1.q_proj.lora_A.weight", 1, rank, in)) ||
		slices.Equal(a, draw("layers.0.q_proj.lora_A.weight", 2, rank, in)) {
		t.Error("the values must follow from seed and name")
	}
}
