package modernbert

import (
	"encoding/json"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/graph"
	"mixr/runtime/models/modeltest"
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
	Hidden    fixture.Floats            // of the tokens of all rows, without padding
	Gradients map[string]fixture.Floats // of sum(hidden * Noise("loss")) by each parameter, or none
}

func TestParity(t *testing.T) {
	var cases []parity
	fixture.Load(t, "parity.json", &cases)
	for _, test := range cases {
		t.Run(test.Name, func(t *testing.T) {
			c, err := ParseConfig(test.Config)
			fixture.Check(t, err)
			f, err := c.Feed(test.Rows)
			fixture.Check(t, err)
			e := newEncoder(t, c, modeltest.Weights(Specs(c)))
			fixture.Close(t, "hidden states", e.hidden(f), test.Hidden, parityTolerance)
			if test.Gradients != nil {
				testGradients(t, c, test, f)
			}
		})
	}
}

// gradientTolerance is below the goal for gradients, 1e-3. Measured 4.5e-5, and autograd in float32 is up to 2.2e-5 from itself in
// float64: norms over 8 components are ill-conditioned.
const gradientTolerance = 3e-4

// testGradients compares the gradient of every parameter with autograd's.
func testGradients(t *testing.T, c *Config, test parity, f *Feed) {
	specs := Specs(c)
	feeds := modeltest.Weights(specs)
	feed(f, feeds)
	loss := modeltest.Pad(fixture.Noise("loss", len(test.Hidden)), f.Mask, c.HiddenSize) // padding has no part in it
	got := modeltest.Gradients(t, specs, feeds, loss, func(g *graph.Graph, p *nn.Params) *graph.Value { return encode(g, p, c) })
	if len(specs) != len(test.Gradients) {
		t.Errorf("%d parameters, the fixture has gradients of %d", len(specs), len(test.Gradients))
	}
	for _, s := range specs {
		fixture.Close(t, s.Name, got[s.Name], test.Gradients[s.Name], gradientTolerance)
	}
}

// What stands beside a text in the batch must not show in its hidden states.
func TestPaddingChangesNothing(t *testing.T) {
	var cases []parity
	fixture.Load(t, "parity.json", &cases)
	c, err := ParseConfig(cases[0].Config)
	fixture.Check(t, err)
	texts := cases[0].Rows
	e := newEncoder(t, c, modeltest.Weights(Specs(c)))
	batch, err := c.Feed(texts)
	fixture.Check(t, err)
	together := e.hidden(batch)
	var alone []float32
	for i := range texts {
		f, err := c.Feed(texts[i : i+1])
		fixture.Check(t, err)
		alone = append(alone, e.hidden(f)...)
	}
	fixture.Close(t, "hidden states", together, alone, parityTolerance)
}
