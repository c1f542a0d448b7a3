package internvl

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/graph"
	"mixr/runtime/models"
	"mixr/runtime/models/modeltest"
	"mixr/runtime/nn"
	"mixr/runtime/ort/orttest"
)

// parityTolerance is relative to the root mean square of the values compared. Both sides compute in float32, in another order of sums.
const parityTolerance = 1e-5

// parity is a case of testdata/parity.json: what transformers makes of a small model.
type parity struct {
	Name      string
	Config    json.RawMessage
	Tiles     []int // of each picture
	IDs       []int
	Features  fixture.Floats
	Logits    fixture.Floats
	Gradients map[string]fixture.Floats // of sum(logits * Noise("loss")) by each parameter, or none
}

func TestParity(t *testing.T) {
	var cases []parity
	fixture.Load(t, "parity.json", &cases)
	for _, test := range cases {
		t.Run(test.Name, func(t *testing.T) {
			c, err := ParseConfig(test.Config)
			fixture.Check(t, err)
			pictures := test.pictures(c)
			prompt, err := c.Place(test.IDs, pictures)
			fixture.Check(t, err)
			feeds := modeltest.Weights(c.Specs())
			feed(c, feeds, prompt, pictures)
			got := orttest.NewRunner(t, "parity", func(g *graph.Graph) {
				features, logits := whole(g, nn.NewParams(g), c)
				g.Output("features", features)
				g.Output("logits", logits)
			}).Run(feeds)
			fixture.Close(t, "features", got["features"].Floats(), test.Features, parityTolerance)
			fixture.Close(t, "logits", got["logits"].Floats(), test.Logits, parityTolerance)
			if test.Gradients != nil {
				testGradients(t, c, test, feeds)
			}
		})
	}
}

// pictures are those of the fixture: one stretch of noise cut in pieces.
func (p parity) pictures(c *Config) (out []*models.Picture) {
	tiles := 0
	for _, n := range p.Tiles {
		tiles += n
	}
	tile := c.Vision.patches() * c.Vision.patchDim()
	pixels := fixture.Noise("pixels", tiles*tile)
	for _, n := range p.Tiles {
		out = append(out, &models.Picture{Pixels: pixels[:n*tile], Tokens: n * c.tileTokens(), Grid: [3]int{1, 1, n}})
		pixels = pixels[n*tile:]
	}
	return out
}

// gradientTolerance is the goal for gradients, 1e-3, with room to spare.
const gradientTolerance = 1e-4

// testGradients compares the gradient of every parameter with autograd's.
func testGradients(t *testing.T, c *Config, test parity, feeds map[string]orttest.Value) {
	specs := c.Specs()
	got := modeltest.Gradients(t, specs, feeds, fixture.Noise("loss", len(test.Logits)), func(g *graph.Graph, p *nn.Params) *graph.Value {
		_, logits := whole(g, p, c)
		return logits
	})
	if len(specs) != len(test.Gradients) {
		t.Errorf("%d parameters, the fixture has gradients of %d", len(specs), len(test.Gradients))
	}
	for _, s := range specs {
		fixture.Close(t, s.Name, got[s.Name], test.Gradients[s.Name], gradientTolerance)
	}
}

// Both layouts say and hold the same: the configurations agree, and the weights that Locate finds in the original one are the canonical
// ones, all of them read.
func TestOriginalLayout(t *testing.T) {
	var cases []struct {
		Config  json.RawMessage
		Native  json.RawMessage // config.json of the same model in transformers' layout
		Tensors map[string]struct {
			Shape []int
			Data  fixture.Floats
		}
	}
	fixture.Load(t, "original.json", &cases)
	for _, test := range cases {
		c, err := ParseConfig(test.Config)
		fixture.Check(t, err)
		native, err := ParseConfig(test.Native)
		fixture.Check(t, err)
		if !reflect.DeepEqual(c.Vision, native.Vision) || !reflect.DeepEqual(c.Text, native.Text) || c.Tiling != native.Tiling {
			t.Errorf("got %+v with %+v\nwant %+v with %+v", c, c.Text, native, native.Text)
		}
		has := func(tensor string) bool { _, ok := test.Tensors[tensor]; return ok }
		read := map[string]int{} // elements of each tensor
		for _, s := range c.Specs() {
			var got []float32
			for _, piece := range c.Locate(s.Name, has) {
				tensor, ok := test.Tensors[piece.Tensor]
				if !ok {
					t.Fatalf("%s: no tensor %s", s.Name, piece.Tensor)
				}
				to := piece.To
				if to == 0 {
					to = tensor.Shape[0]
				}
				row := len(tensor.Data) / tensor.Shape[0]
				got = append(got, tensor.Data[piece.From*row:to*row]...)
				read[piece.Tensor] += (to - piece.From) * row
			}
			if !slices.Equal(got, fixture.Weight(s.Name, s.Shape...)) {
				t.Errorf("%s: the pieces hold other weights, or another order", s.Name)
			}
		}
		for name, tensor := range test.Tensors {
			if read[name] != len(tensor.Data) {
				t.Errorf("%s: %d of %d elements belong to a parameter", name, read[name], len(tensor.Data))
			}
		}
	}
}
