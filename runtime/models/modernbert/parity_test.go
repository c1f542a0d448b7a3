package modernbert

import (
	"encoding/json"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/nn"
)

// parityTolerance is relative to the root mean square of the values compared. Both sides compute in float32, in another order of
// sums; the worst difference measured is 3.8e-6.
const parityTolerance = 2e-5

// parity is a case of testdata/parity.json: what transformers makes of a small model.
type parity struct {
	Name      string
	Config    json.RawMessage
	Rows      [][]int
	Hidden    packed            // of the tokens of all rows, without padding
	Gradients map[string]packed // of sum(hidden * noise("loss")) by each parameter, or none
}

func TestParity(t *testing.T) {
	var cases []parity
	load(t, "parity.json", &cases)
	for _, test := range cases {
		t.Run(test.Name, func(t *testing.T) {
			c, err := ParseConfig(test.Config)
			check(t, err)
			f, err := c.Feed(test.Rows)
			check(t, err)
			specs := Specs(c)
			r := newRunner(t, specs, func(s nn.Spec, dst []float32) { copy(dst, weight(s)) }, func(g *graph.Graph) {
				g.Output("hidden", Encode(nn.NewParams(g), c, inputs(g, c)))
			})
			closeTo(t, "hidden states", tokens(r.run(f, nil)["hidden"], test.Rows, f), test.Hidden, parityTolerance)
			if test.Gradients != nil {
				testGradients(t, c, test, specs, f)
			}
		})
	}
}

// gradientTolerance is below the goal for gradients, 1e-3. Measured 4.5e-5, and autograd in float32 is up to 2.2e-5 from itself in
// float64: norms over 8 components are ill-conditioned.
const gradientTolerance = 3e-4

// testGradients compares the gradient of every parameter with autograd's.
func testGradients(t *testing.T, c *Config, test parity, specs []nn.Spec, f *Feed) {
	// The loss weighs the hidden states of tokens; those of padding have weight 0.
	w, next := make([]float32, f.Texts*f.Tokens*c.HiddenSize), 0
	loss := noise("loss", len(test.Hidden))
	for i, ids := range test.Rows {
		for j := range len(ids) * c.HiddenSize {
			w[i*f.Tokens*c.HiddenSize+j] = float32(loss[next])
			next++
		}
	}
	r := newRunner(t, specs, func(s nn.Spec, dst []float32) { copy(dst, weight(s)) }, func(g *graph.Graph) {
		p := nn.NewParams(g)
		hidden := graph.Reshape(Encode(p, c, inputs(g, c)), -1)
		sum := graph.SumAll(graph.Mul(hidden, g.Input("loss", graph.F32, hidden.Dim(0))))
		wrt := make([]*graph.Value, len(specs))
		for i, s := range specs {
			wrt[i] = p.Weight(s.Name, s.Shape...)
		}
		for i, d := range graph.Gradients(sum, wrt...) {
			g.Output("d "+specs[i].Name, d)
		}
	})
	got := r.run(f, w)
	if len(specs) != len(test.Gradients) {
		t.Errorf("%d parameters, the fixture has gradients of %d", len(specs), len(test.Gradients))
	}
	for _, s := range specs {
		closeTo(t, s.Name, got["d "+s.Name], test.Gradients[s.Name], gradientTolerance)
	}
}

// What stands beside a text in the batch must not show in its hidden states.
func TestPaddingChangesNothing(t *testing.T) {
	var cases []parity
	load(t, "parity.json", &cases)
	c, err := ParseConfig(cases[0].Config)
	check(t, err)
	texts := cases[0].Rows
	r := newRunner(t, Specs(c), func(s nn.Spec, dst []float32) { copy(dst, weight(s)) }, func(g *graph.Graph) {
		g.Output("hidden", Encode(nn.NewParams(g), c, inputs(g, c)))
	})
	batch, err := c.Feed(texts)
	check(t, err)
	together := tokens(r.run(batch, nil)["hidden"], texts, batch)
	var alone []float32
	for i := range texts {
		f, err := c.Feed(texts[i : i+1])
		check(t, err)
		alone = append(alone, r.run(f, nil)["hidden"]...)
	}
	closeTo(t, "hidden states", together, alone, parityTolerance)
}
