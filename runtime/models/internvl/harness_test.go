package internvl

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"math"
	"os"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/models"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
	"mixr/runtime/ort/orttest"
)

// load reads a file of testdata, written by bench/internvl_fixture.py.
func load(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	check(t, err)
	check(t, json.Unmarshal(b, into))
}

// packed is an array of float32 as the fixtures store it.
type packed []float32

func (p *packed) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	*p = make(packed, len(raw)/4)
	for i := range *p {
		(*p)[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return err
}

// noise is that of the fixture's script: n numbers in [-1, 1) from a name.
func noise(name string, n int) []float64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	state, u := h.Sum64(), make([]float64, n)
	for i := range u {
		state += 0x9e3779b97f4a7c15
		x := state
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
		u[i] = float64(x>>40)/(1<<23) - 1
	}
	return u
}

func drawn(name string, n int) []float32 {
	w := make([]float32, n)
	for i, v := range noise(name, n) {
		w[i] = float32(v)
	}
	return w
}

// weight is that of the fixture's script.
func weight(s nn.Spec) []float32 {
	u, w := noise(s.Name, s.Size()), make([]float32, s.Size())
	for i, v := range u {
		switch {
		case len(s.Shape) == 2:
			v *= math.Sqrt(3 / float64(s.Shape[1]))
		case strings.HasSuffix(s.Name, ".bias"):
			v *= 0.3
		default:
			v = 1 + float64(0.3*v)
		}
		w[i] = float32(v)
	}
	return w
}

// weights are those of all parameters, to be fed.
func weights(c *Config) map[string]orttest.Value {
	feeds := map[string]orttest.Value{}
	for _, s := range c.Specs() {
		feeds[s.Name] = orttest.F32(weight(s), s.Shape...)
	}
	return feeds
}

// whole is the model over one row of tokens: features [M, D] and logits [T, V].
func whole(g *graph.Graph, p *nn.Params, c *Config) (features, logits *graph.Value) {
	features = c.Tower(g, p)
	hidden, _ := decoder.Text(p, c.Text, decoder.TextIn{
		Embeds: decoder.Embed(p, c.Text, g.Input("ids", graph.I64, "N", "T"), features,
			g.Input("image_index", graph.I64, "N", "T"), g.Input("is_image", graph.Bool, "N", "T", 1)),
		Pos:  g.Input("pos", graph.I64, "N", "T"),
		Cos:  g.Input("cos", graph.F32, "L", c.Text.HeadWidth/2),
		Sin:  g.Input("sin", graph.F32, "L", c.Text.HeadWidth/2),
		Mask: g.Input("mask", graph.F32, "N", 1, "T", "T"),
	})
	return features, graph.Linear(graph.Reshape(hidden, -1, c.Text.Width), decoder.Head(p, c.Text), nil)
}

// feed adds the inputs of whole.
func feed(c *Config, feeds map[string]orttest.Value, prompt *models.Prompt, pictures []*models.Picture) {
	for _, in := range c.Feed(pictures) {
		feeds[in.Name] = orttest.F32(in.F32, in.Shape...)
	}
	n, half := len(prompt.IDs), c.Text.HeadWidth/2
	ids, index, pos := make([]int64, n), make([]int64, n), make([]int64, n)
	isImage, mask := make([]bool, n), make([]float32, n*n)
	for i, id := range prompt.IDs {
		ids[i], pos[i] = int64(id), int64(i)
		if row := prompt.Feature[i]; row >= 0 {
			index[i], isImage[i] = int64(row), true
		}
		for j := i + 1; j < n; j++ {
			mask[i*n+j] = nn.Hidden
		}
	}
	cos, sin := c.Text.Tables(prompt.Pos)
	feeds["ids"], feeds["pos"], feeds["image_index"] = orttest.I64(ids, 1, n), orttest.I64(pos, 1, n), orttest.I64(index, 1, n)
	feeds["is_image"] = orttest.Value{Shape: []int{1, n, 1}, Data: isImage}
	feeds["cos"], feeds["sin"], feeds["mask"] = orttest.F32(cos, n, half), orttest.F32(sin, n, half), orttest.F32(mask, 1, 1, n, n)
}

// closeTo fails unless every element of got is within tolerance of want, relative to the root mean square of want.
func closeTo(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%s: got %d elements, want %d", what, len(got), len(want))
	}
	scale, worst := 0.0, 0.0
	for i, w := range want {
		scale += float64(w) * float64(w)
		if d := math.Abs(float64(got[i]) - float64(w)); d > worst || math.IsNaN(d) {
			worst = d
		}
	}
	scale = math.Sqrt(scale / float64(len(want)))
	t.Logf("%s: worst difference %.1e of the root mean square %.3g", what, worst/scale, scale)
	if !(worst <= tolerance*scale) {
		t.Errorf("%s: off by %.2e of the root mean square %.3g, want %.0e", what, worst/scale, scale, tolerance)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
