package nn

import (
	"math"
	"slices"
	"testing"

	"mixr/runtime/graph"
)

// A pre-norm block's second half, LayerNorm then MLP, against the definition in float64, for every activation.
func TestMLPIsTheDefinition(t *testing.T) {
	const d, f, rows, normEps = 3, 4, 2, 1e-5
	definitions := map[string]func(x float64) float64{
		"gelu":              func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 },
		"gelu_new":          geluTanh,
		"gelu_pytorch_tanh": geluTanh,
		"relu":              func(x float64) float64 { return max(x, 0) },
		"silu":              func(x float64) float64 { return x / (1 + math.Exp(-x)) },
	}
	x := []float32{0.5, -1, 2, 3, 0.25, -0.75}
	gain, shift := []float32{1.5, 0.5, -1}, []float32{0.1, -0.2, 0.3}
	w1 := []float32{0.3, -0.5, 1, 0.7, 0.2, -1, -0.4, 0.9, 0.6, 1.1, -0.8, 0.5}
	b1 := []float32{0.05, -0.1, 0.2, 0.3}
	w2 := []float32{0.5, -1, 0.25, 0.75, -0.5, 0.4, 1, -0.3, 0.2, 0.6, -0.7, 0.8}
	b2 := []float32{-0.15, 0.25, 0.35}
	for name, act := range definitions {
		var specs []Spec
		g, err := graph.Build(name, func(g *graph.Graph) {
			p := NewParams(g)
			h := LayerNorm(p.At("norm"), g.Input("x", graph.F32, "N", d), d, normEps, WithBias)
			g.Output("y", MLP(p.At("mlp"), h, d, f, ActivationNamed(name), WithBias))
			specs = p.List()
		})
		if err != nil {
			t.Fatal(err)
		}
		names := []string{"norm.weight", "norm.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias"}
		if !slices.EqualFunc(specs, names, func(s Spec, name string) bool { return s.Name == name }) {
			t.Fatalf("parameters %v, want %v", specs, names)
		}
		got := run(t, g, map[string]feed{
			"x": {x, []int{rows, d}}, "norm.weight": {gain, []int{d}}, "norm.bias": {shift, []int{d}},
			"mlp.fc1.weight": {w1, []int{f, d}}, "mlp.fc1.bias": {b1, []int{f}},
			"mlp.fc2.weight": {w2, []int{d, f}}, "mlp.fc2.bias": {b2, []int{d}},
		})
		for r := range rows {
			row := x[r*d:][:d]
			mean, variance := 0.0, 0.0
			for _, v := range row {
				mean += float64(v) / d
			}
			for _, v := range row {
				variance += (float64(v) - mean) * (float64(v) - mean) / d
			}
			var h [d]float64
			for i, v := range row {
				h[i] = (float64(v)-mean)/math.Sqrt(variance+normEps)*float64(gain[i]) + float64(shift[i])
			}
			var u [f]float64
			for j := range u {
				u[j] = float64(b1[j])
				for i := range h {
					u[j] += float64(w1[j*d+i]) * h[i]
				}
				u[j] = act(u[j])
			}
			for i := range d {
				want := float64(b2[i])
				for j := range u {
					want += float64(w2[i*f+j]) * u[j]
				}
				if diff := math.Abs(float64(got[r*d+i]) - want); !(diff < 2e-6) { // float32 sums of four terms of size 1
					t.Errorf("%s: row %d, column %d: got %g, want %g", name, r, i, got[r*d+i], want)
				}
			}
		}
	}
	if ActivationNamed("swish7") != nil {
		t.Error("an unknown name gave an activation")
	}
}

func geluTanh(x float64) float64 {
	return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) / 2
}
