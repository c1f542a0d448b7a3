package qwen25vl

import (
	"strings"

	"mixr/runtime/graph"
	"mixr/runtime/images"
	"mixr/runtime/models"
	"mixr/runtime/nn"
	"mixr/runtime/token"
)

// The methods below make *Config a models.Model.
var _ models.Model = (*Config)(nil)

func (c *Config) Family() string             { return "qwen25vl" }
func (c *Config) EndOfTurn() int             { return c.EOSTokenID }
func (c *Config) Specs() []nn.Spec           { return Specs(c) }
func (c *Config) Module(param string) string { return Module(param) }

// Stop are the tokens that end a completion: eos_token_id of generation_config.json where that file has one, else of config.json.
func (c *Config) Stop() []int { return c.StopIDs }

// Init draws matrices and embeddings with the standard deviation initializer_range.
func (c *Config) Init(s nn.Spec, seed uint64, dst []float32) {
	nn.Init(s, c.InitializerRange, seed, dst)
}

// Locate finds a parameter under the name that released checkpoints have, visual.* and model.*, or under that of newer libraries,
// model.visual.* and model.language_model.*.
func (c *Config) Locate(param string, has func(tensor string) bool) []models.Piece {
	newer := param
	switch {
	case strings.HasPrefix(param, "visual."):
		newer = "model." + param
	case strings.HasPrefix(param, "model."):
		newer = "model.language_model." + strings.TrimPrefix(param, "model.")
	}
	if !has(param) && has(newer) {
		return models.Whole(newer)
	}
	return models.Whole(param)
}

// StoredShape is the parameter's own but for the patch embedding, a convolution whose stride is its kernel.
func (c *Config) StoredShape(s nn.Spec) []int {
	if s.Name == "visual.patch_embed.proj.weight" {
		return []int{s.Shape[0], channels, TemporalPatch, PatchSize, PatchSize}
	}
	return s.Shape
}

// Tower declares the vision inputs (see VisionFeed) and returns the features [M, D]. P is written 4*M, the patches of M merge units,
// so that the two stay tied.
func (c *Config) Tower(g *graph.Graph, p *nn.Params) *graph.Value {
	const patches = "4*M"
	half := c.Vision.HeadDim() / 2
	windows := func(name string) Windows {
		w, s := "W_"+name, "S_"+name
		return Windows{
			Index:   g.Input(name+"_index", graph.I64, w, s),
			Inverse: g.Input(name+"_inverse", graph.I64, patches),
			Mask:    g.Input(name+"_mask", graph.F32, w, 1, 1, s),
		}
	}
	return Vision(p, c, VisionIn{
		Pixels: g.Input("pixels", graph.F32, patches, PatchDim),
		Pos:    g.Input("patch_pos", graph.I64, 1, patches),
		Cos:    g.Input("patch_cos", graph.F32, patches, half),
		Sin:    g.Input("patch_sin", graph.F32, patches, half),
		Window: windows("window"),
		Full:   windows("full"),
	})
}

// Feed lays out the pictures for Tower.
func (c *Config) Feed(pictures []*models.Picture) []models.Input {
	var pixels []float32
	for _, p := range pictures {
		pixels = append(pixels, p.Pixels...)
	}
	f := c.VisionFeed(stills(pictures))
	n := len(f.Pos)
	in := []models.Input{
		{Name: "pixels", Shape: []int{n, PatchDim}, F32: pixels},
		{Name: "patch_pos", Shape: []int{1, n}, I64: f.Pos},
		{Name: "patch_cos", Shape: []int{n, len(f.Cos) / n}, F32: f.Cos},
		{Name: "patch_sin", Shape: []int{n, len(f.Sin) / n}, F32: f.Sin},
	}
	for _, l := range [...]struct {
		name string
		Layout
	}{{"window", f.Window}, {"full", f.Full}} {
		in = append(in,
			models.Input{Name: l.name + "_index", Shape: []int{l.Groups, l.Slots}, I64: l.Index},
			models.Input{Name: l.name + "_inverse", Shape: []int{n}, I64: l.Inverse},
			models.Input{Name: l.name + "_mask", Shape: []int{l.Groups, 1, 1, l.Slots}, F32: l.Mask})
	}
	return in
}

// stills are the grids that attention stays within: one for an image, one a step for a video. The tower knows no time beyond the two
// frames in a patch: each step has its own windows, its own full attention, and the rotary angles of rows and columns alone.
func stills(pictures []*models.Picture) []Grid {
	var out []Grid
	for _, p := range pictures {
		for range p.Grid[0] {
			out = append(out, Grid{H: p.Grid[1], W: p.Grid[2]})
		}
	}
	return out
}

// Picture is Preprocess.
func (c *Config) Picture(frames []images.RGB, limits models.Limits) (*models.Picture, error) {
	return Preprocess(frames, limits)
}

// Blank is one merge unit of zeros.
func (c *Config) Blank() *models.Picture {
	return &models.Picture{
		Pixels: make([]float32, MergeUnit*PatchDim), Tokens: 1, Grid: [3]int{1, MergeSize, MergeSize},
		Width: MergeSize * PatchSize, Height: MergeSize * PatchSize,
	}
}

// Prompt is the tokens of a rendered conversation with their M-RoPE positions; see Positions.
func (c *Config) Prompt(tok *token.Tokenizer, text string, pictures []*models.Picture) (*models.Prompt, error) {
	ids, err := c.expand(tok, text, pictures)
	if err != nil {
		return nil, err
	}
	return c.Place(ids, pictures)
}

// Place is Prompt for tokens in which every picture's placeholder is already as many as the picture has merged visual tokens.
func (c *Config) Place(ids []int, pictures []*models.Picture) (*models.Prompt, error) {
	pos, next, err := c.Positions(ids, pictures)
	if err != nil {
		return nil, err
	}
	return &models.Prompt{IDs: ids, Pos: pos, Next: next, Feature: c.featureRows(ids)}, nil
}
