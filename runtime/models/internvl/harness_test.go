package internvl

import (
	"mixr/runtime/graph"
	"mixr/runtime/models"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
	"mixr/runtime/ort/orttest"
)

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
