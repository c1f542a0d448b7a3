package qwen25vl

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/nn"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// tiny is a configuration in which all sizes that could be mixed up are distinct.
func tiny() *Config {
	return &Config{
		VocabSize: 60, HiddenSize: 32, IntermediateSize: 40, NumLayers: 2, NumHeads: 4, NumKVHeads: 2,
		RMSNormEps: 1e-6, RopeTheta: 10000, RopeScaling: RopeScaling{MRopeSection: []int{1, 2, 1}},
		TieEmbeddings: true, InitializerRange: 0.02, EOSTokenID: 50, VisionStartTokenID: 51, VisionEndTokenID: 52,
		ImageTokenID: 53, VideoTokenID: 54,
		Vision: VisionConfig{
			Depth: 3, HiddenSize: 24, IntermediateSize: 20, NumHeads: 3, InChannels: 3, OutHiddenSize: 32,
			PatchSize: 14, TemporalPatchSize: 2, SpatialMergeSize: 2, WindowSize: 56, FullAttBlocks: []int{1},
		},
	}
}

// model is a configuration with weights large enough that every term of the model shows in its outputs.
type model struct {
	c     *Config
	specs []nn.Spec
	w     map[string][]float32
}

func newModel(c *Config) *model {
	m := &model{c: c, specs: Specs(c), w: map[string][]float32{}}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range m.specs {
		w := make([]float32, s.Size())
		for i := range w {
			switch x := rng.NormFloat64(); {
			case len(s.Shape) == 2:
				w[i] = float32(x / math.Sqrt(float64(s.Shape[1])))
			case strings.HasSuffix(s.Name, ".bias"):
				w[i] = float32(0.3 * x)
			default:
				w[i] = float32(1 + 0.3*x)
			}
		}
		m.w[s.Name] = w
	}
	return m
}

func (m *model) reference() *reference {
	r := &reference{m.c, map[string][]float64{}}
	for name, w := range m.w {
		for _, x := range w {
			r.w[name] = append(r.w[name], float64(x))
		}
	}
	return r
}

// prompt is a token sequence with its images.
type prompt struct {
	ids    []int
	grids  []Grid
	pixels []float32 // [P, 1176]
}

// newPrompt writes two text tokens, then each image followed by three text tokens, and text more tokens.
func newPrompt(c *Config, seed uint64, text int, grids ...Grid) prompt {
	rng := rand.New(rand.NewPCG(seed, 3))
	p := prompt{grids: grids}
	words := func(n int) {
		for range n {
			p.ids = append(p.ids, rng.IntN(50))
		}
	}
	words(2)
	for _, g := range grids {
		for range g.Merged() {
			p.ids = append(p.ids, c.ImageTokenID)
		}
		words(3)
		for range g.Patches() * PatchDim {
			p.pixels = append(p.pixels, float32(rng.NormFloat64()))
		}
	}
	words(text)
	return p
}

// logits are the reference's, [T][V].
func (p prompt) logits(r *reference) matrix {
	var pixels matrix
	for i := 0; i < len(p.pixels); i += PatchDim {
		row := make([]float64, PatchDim)
		for j := range row {
			row[j] = float64(p.pixels[i+j])
		}
		pixels = append(pixels, row)
	}
	var grids [][2]int
	for _, g := range p.grids {
		grids = append(grids, [2]int{g.H, g.W})
	}
	return r.logits(p.ids, pixels, grids)
}

// value is a tensor to feed or one that came back; data is []float32, []int64 or []bool.
type value struct {
	shape []int
	data  any
}

func f32(data []float32, shape ...int) value { return value{shape, data} }
func i64(data []int64, shape ...int) value   { return value{shape, data} }

func (v value) floats() []float32 { return v.data.([]float32) }

// runner is a session that is run again and again with the weights of m.
type runner struct {
	t       *testing.T
	engine  *ort.Engine
	graph   *graph.Graph
	session *ort.Session
}

func newRunner(t *testing.T, name string, build func(g *graph.Graph)) *runner {
	t.Helper()
	g, err := graph.Build(name, build)
	check(t, err)
	e := orttest.Open(t)
	s, err := e.NewSession(g, ort.SessionOptions{Level: 1})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return &runner{t, e, g, s}
}

// run feeds the weights of m and the feeds, and returns copies of all outputs.
func (r *runner) run(m *model, feeds map[string]value) map[string]value {
	t := r.t
	t.Helper()
	b, err := r.session.NewBinding()
	check(t, err)
	defer b.Close()
	for _, s := range m.specs {
		feeds[s.Name] = f32(m.w[s.Name], s.Shape...)
	}
	for _, in := range r.graph.Inputs() {
		v, ok := feeds[in.Name()]
		if !ok {
			t.Fatalf("%s: input %s is not fed", r.graph.Name(), in.Name())
		}
		x, err := r.engine.NewTensor(in.DType(), v.shape...)
		check(t, err)
		defer x.Free()
		n := 0
		switch data := v.data.(type) {
		case []float32:
			n = copy(x.Float32(), data)
		case []int64:
			n = copy(x.Int64(), data)
		case []bool:
			n = copy(x.Bool(), data)
		}
		if n != x.Len() {
			t.Fatalf("%s: input %s %v got %d elements", r.graph.Name(), in.Name(), v.shape, n)
		}
		check(t, b.Input(in.Name(), x))
	}
	for _, o := range r.graph.Outputs() {
		check(t, b.OutputAuto(o.Name))
	}
	check(t, b.Run())
	outs, err := b.Outputs()
	check(t, err)
	got := map[string]value{}
	for name, x := range outs {
		if x.DType() == graph.F32 {
			got[name] = f32(append([]float32(nil), x.Float32()...), x.Shape()...)
		} else {
			got[name] = i64(append([]int64(nil), x.Int64()...), x.Shape()...)
		}
		x.Free()
	}
	return got
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// visionIn declares the inputs of the vision tower, and visionFeeds fills them.
func visionIn(g *graph.Graph, c *Config) VisionIn {
	half := c.Vision.HeadDim() / 2
	windows := func(name string) Windows {
		return Windows{
			Index:   g.Input(name+"_index", graph.I64, "W_"+name, "S_"+name),
			Inverse: g.Input(name+"_inverse", graph.I64, "4*M"),
			Mask:    g.Input(name+"_mask", graph.F32, "W_"+name, 1, 1, "S_"+name),
		}
	}
	return VisionIn{
		Pixels: g.Input("pixels", graph.F32, "4*M", PatchDim),
		Pos:    g.Input("patch_pos", graph.I64, 1, "4*M"),
		Cos:    g.Input("patch_cos", graph.F32, "4*M", half),
		Sin:    g.Input("patch_sin", graph.F32, "4*M", half),
		Window: windows("window"),
		Full:   windows("full"),
	}
}

func visionFeeds(c *Config, p prompt, feeds map[string]value) {
	f, half := c.VisionFeed(p.grids), c.Vision.HeadDim()/2
	n := len(p.pixels) / PatchDim
	feeds["pixels"] = f32(p.pixels, n, PatchDim)
	feeds["patch_pos"] = i64(f.Pos, 1, n)
	feeds["patch_cos"], feeds["patch_sin"] = f32(f.Cos, n, half), f32(f.Sin, n, half)
	for name, l := range map[string]Layout{"window": f.Window, "full": f.Full} {
		feeds[name+"_index"] = i64(l.Index, l.Groups, l.Slots)
		feeds[name+"_inverse"] = i64(l.Inverse, n)
		feeds[name+"_mask"] = f32(l.Mask, l.Groups, 1, 1, l.Slots)
	}
}

// text declares the inputs of rows of tokens and builds the decoder over them; textFeeds fills them.
func text(g *graph.Graph, p *nn.Params, c *Config, features *graph.Value) (*graph.Value, []KV) {
	ids := g.Input("ids", graph.I64, "N", "T")
	var index, isImage *graph.Value
	if features != nil {
		index, isImage = g.Input("image_index", graph.I64, "N", "T"), g.Input("is_image", graph.Bool, "N", "T", 1)
	}
	return Text(p, c, TextIn{
		Embeds: Embed(p, c, ids, features, index, isImage),
		Pos:    g.Input("pos", graph.I64, "N", "T"),
		Cos:    g.Input("cos", graph.F32, "L", c.HeadDim()/2),
		Sin:    g.Input("sin", graph.F32, "L", c.HeadDim()/2),
		Mask:   g.Input("mask", graph.F32, "N", 1, "T", "T"),
	})
}

// textFeeds feeds one row: a prompt, then its completions one after the other, each seeing the prompt and itself.
func textFeeds(t *testing.T, c *Config, p prompt, completions [][]int, feeds map[string]value) {
	t.Helper()
	pos, next, err := c.Positions(p.ids, p.grids)
	check(t, err)
	ids, owner := p.ids, make([]int, len(p.ids)) // owner 0 is the prompt
	for g, completion := range completions {
		ids = append(ids[:len(ids):len(ids)], completion...)
		for i := range completion {
			owner = append(owner, g+1)
			for axis := range pos {
				pos[axis] = append(pos[axis], next+i)
			}
		}
	}
	n, half := len(ids), c.HeadDim()/2
	ids64, rows, mask := make([]int64, n), make([]int64, n), make([]float32, n*n)
	for i := range n {
		ids64[i], rows[i] = int64(ids[i]), int64(i)
		for j := range n {
			if j > i || owner[j] != 0 && owner[j] != owner[i] {
				mask[i*n+j] = nn.Hidden
			}
		}
	}
	cos, sin := c.TextRope(pos)
	index, isImage := c.ImageRows(ids)
	feeds["ids"], feeds["pos"] = i64(ids64, 1, n), i64(rows, 1, n)
	feeds["cos"], feeds["sin"] = f32(cos, n, half), f32(sin, n, half)
	feeds["mask"] = f32(mask, 1, 1, n, n)
	feeds["image_index"], feeds["is_image"] = i64(index, 1, n), value{[]int{1, n, 1}, isImage}
}

// logitsGraph is pixels and tokens to logits [T, V] of the one row fed; without images the vision tower is left out.
func logitsGraph(c *Config, images bool) func(g *graph.Graph) {
	return func(g *graph.Graph) {
		p := nn.NewParams(g)
		var features *graph.Value
		if images {
			features = Vision(p, c, visionIn(g, c))
		}
		hidden, caches := text(g, p, c, features)
		g.Output("logits", graph.Linear(graph.Reshape(hidden, -1, c.HiddenSize), Head(p, c), nil))
		for i, kv := range caches {
			g.Output("k."+string(rune('0'+i)), kv.K)
			g.Output("v."+string(rune('0'+i)), kv.V)
		}
	}
}

// forward runs logitsGraph on a prompt and completions packed behind it.
func (m *model) forward(t *testing.T, p prompt, completions [][]int) map[string]value {
	t.Helper()
	feeds := map[string]value{}
	textFeeds(t, m.c, p, completions, feeds)
	if len(p.grids) > 0 {
		visionFeeds(m.c, p, feeds)
	}
	return newRunner(t, "logits", logitsGraph(m.c, len(p.grids) > 0)).run(m, feeds)
}
