package qwen25vl

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/graph"
	"mixr/runtime/models"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
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
			PatchSize: 14, TemporalPatchSize: 2, SpatialMergeSize: 2, WindowSize: 56, FullAttBlocks: []int{1}, TokensPerSecond: 3,
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

// with adds the weights to the feeds.
func (m *model) with(feeds map[string]orttest.Value) map[string]orttest.Value {
	for _, s := range m.specs {
		feeds[s.Name] = orttest.F32(m.w[s.Name], s.Shape...)
	}
	return feeds
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

// prompt is a token sequence with its pictures.
type prompt struct {
	ids      []int
	pictures []*models.Picture
}

// stillImages are pictures of those grids, without pixels.
func stillImages(grids ...Grid) (pictures []*models.Picture) {
	for _, g := range grids {
		pictures = append(pictures, &models.Picture{Tokens: g.Merged(), Grid: [3]int{1, g.H, g.W}})
	}
	return pictures
}

// video is a picture of that grid, without pixels.
func video(fps float64, t, h, w int) *models.Picture {
	return &models.Picture{Tokens: t * h * w / MergeUnit, Grid: [3]int{t, h, w}, Video: true, FPS: fps}
}

// newPrompt is mixed for images.
func newPrompt(c *Config, seed uint64, text int, grids ...Grid) prompt {
	return mixed(c, seed, text, stillImages(grids...)...)
}

// mixed writes two text tokens, then each picture, filled with noise, and three text tokens, and text more tokens.
func mixed(c *Config, seed uint64, text int, pictures ...*models.Picture) prompt {
	rng := rand.New(rand.NewPCG(seed, 3))
	p := prompt{pictures: pictures}
	words := func(n int) {
		for range n {
			p.ids = append(p.ids, rng.IntN(50))
		}
	}
	words(2)
	for _, picture := range pictures {
		for range picture.Tokens {
			p.ids = append(p.ids, c.pad(picture))
		}
		words(3)
		for range picture.Tokens * MergeUnit * PatchDim {
			picture.Pixels = append(picture.Pixels, float32(rng.NormFloat64()))
		}
	}
	words(text)
	return p
}

// logits are the reference's, [T][V].
func (p prompt) logits(r *reference) matrix {
	var pixels matrix
	for _, picture := range p.pictures {
		for i := 0; i < len(picture.Pixels); i += PatchDim {
			row := make([]float64, PatchDim)
			for j := range row {
				row[j] = float64(picture.Pixels[i+j])
			}
			pixels = append(pixels, row)
		}
	}
	return r.logits(p.ids, pixels, p.pictures)
}

// visionFeeds fills the inputs that Tower declares.
func visionFeeds(c *Config, p prompt, feeds map[string]orttest.Value) {
	for _, in := range c.Feed(p.pictures) {
		if in.F32 != nil {
			feeds[in.Name] = orttest.F32(in.F32, in.Shape...)
		} else {
			feeds[in.Name] = orttest.I64(in.I64, in.Shape...)
		}
	}
}

// text declares the inputs of rows of tokens and builds the decoder over them; textFeeds fills them.
func text(g *graph.Graph, p *nn.Params, c *Config, features *graph.Value) (*graph.Value, []decoder.KV) {
	ids := g.Input("ids", graph.I64, "N", "T")
	var index, isImage *graph.Value
	if features != nil {
		index, isImage = g.Input("image_index", graph.I64, "N", "T"), g.Input("is_image", graph.Bool, "N", "T", 1)
	}
	return decoder.Text(p, c.Decoder(), decoder.TextIn{
		Embeds: decoder.Embed(p, c.Decoder(), ids, features, index, isImage),
		Pos:    g.Input("pos", graph.I64, "N", "T"),
		Cos:    g.Input("cos", graph.F32, "L", c.HeadDim()/2),
		Sin:    g.Input("sin", graph.F32, "L", c.HeadDim()/2),
		Mask:   g.Input("mask", graph.F32, "N", 1, "T", "T"),
	})
}

// textFeeds feeds one row: a prompt, then its completions one after the other, each seeing the prompt and itself.
func textFeeds(t *testing.T, c *Config, p prompt, completions [][]int, feeds map[string]orttest.Value) {
	t.Helper()
	pos, next, err := c.Positions(p.ids, p.pictures)
	fixture.Check(t, err)
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
	cos, sin := c.Decoder().Tables(pos)
	index, isImage := make([]int64, n), make([]bool, n)
	for i, row := range c.featureRows(ids) {
		if row >= 0 {
			index[i], isImage[i] = int64(row), true
		}
	}
	feeds["ids"], feeds["pos"] = orttest.I64(ids64, 1, n), orttest.I64(rows, 1, n)
	feeds["cos"], feeds["sin"] = orttest.F32(cos, n, half), orttest.F32(sin, n, half)
	feeds["mask"] = orttest.F32(mask, 1, 1, n, n)
	feeds["image_index"], feeds["is_image"] = orttest.I64(index, 1, n), orttest.Value{Shape: []int{1, n, 1}, Data: isImage}
}

// logitsGraph is pixels and tokens to logits [T, V] of the one row fed; without images the vision tower is left out.
func logitsGraph(c *Config, images bool) func(g *graph.Graph) {
	return func(g *graph.Graph) {
		p := nn.NewParams(g)
		var features *graph.Value
		if images {
			features = c.Tower(g, p)
		}
		hidden, caches := text(g, p, c, features)
		g.Output("logits", graph.Linear(graph.Reshape(hidden, -1, c.HiddenSize), decoder.Head(p, c.Decoder()), nil))
		for i, kv := range caches {
			g.Output("k."+string(rune('0'+i)), kv.K)
			g.Output("v."+string(rune('0'+i)), kv.V)
		}
	}
}

// forward runs logitsGraph on a prompt and completions packed behind it.
func (m *model) forward(t *testing.T, p prompt, completions [][]int) map[string]orttest.Value {
	t.Helper()
	feeds := map[string]orttest.Value{}
	textFeeds(t, m.c, p, completions, feeds)
	if len(p.pictures) > 0 {
		visionFeeds(m.c, p, feeds)
	}
	return orttest.NewRunner(t, "logits", logitsGraph(m.c, len(p.pictures) > 0)).Run(m.with(feeds))
}
