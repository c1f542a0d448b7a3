package qwen25vl

import (
	"math"
	"slices"
	"strconv"

	"mixr/runtime/models"
)

// The reference is Qwen2_5_VLForConditionalGeneration of Hugging Face transformers, restated in float64 with plain loops: its
// reordering of patches by window, its three-axis rotary embedding and its repeated key heads are kept, and nothing is shared
// with the graphs or with the host code that feeds them. It exists to be compared with.
type reference struct {
	c *Config
	w map[string][]float64
}

type matrix [][]float64

func zeros(rows, cols int) matrix {
	m := make(matrix, rows)
	for i := range m {
		m[i] = make([]float64, cols)
	}
	return m
}

// linear is x W' + b, W as stored: [out, in]. Without a bias of that name there is none.
func (r *reference) linear(name string, x matrix) matrix {
	w, b := r.w[name+".weight"], r.w[name+".bias"]
	in := len(x[0])
	out := len(w) / in
	y := zeros(len(x), out)
	for t := range x {
		for o := range out {
			if b != nil {
				y[t][o] = b[o]
			}
			for i := range in {
				y[t][o] += x[t][i] * w[o*in+i]
			}
		}
	}
	return y
}

func (r *reference) norm(name string, x matrix, eps float64) matrix {
	g := r.w[name+".weight"]
	y := zeros(len(x), len(g))
	for t := range x {
		sum := 0.0
		for _, v := range x[t] {
			sum += v * v
		}
		scale := 1 / math.Sqrt(sum/float64(len(g))+eps)
		for i := range g {
			y[t][i] = x[t][i] * scale * g[i]
		}
	}
	return y
}

func (r *reference) mlp(name string, x matrix) matrix {
	gate, up := r.linear(name+".gate_proj", x), r.linear(name+".up_proj", x)
	for t := range gate {
		for i, v := range gate[t] {
			gate[t][i] = v / (1 + math.Exp(-v)) * up[t][i]
		}
	}
	return r.linear(name+".down_proj", gate)
}

func add(x, y matrix) matrix {
	z := zeros(len(x), len(x[0]))
	for t := range x {
		for i := range x[t] {
			z[t][i] = x[t][i] + y[t][i]
		}
	}
	return z
}

// rotate is x*cos + rotate_half(x)*sin on the head of width e that starts at column from; angles has e entries.
func rotate(x []float64, from, e int, angles []float64) []float64 {
	y := make([]float64, e)
	for i := range e {
		other := -1.0
		j := i + e/2
		if i >= e/2 {
			other, j = 1, i-e/2
		}
		y[i] = x[from+i]*math.Cos(angles[i]) + other*x[from+j]*math.Sin(angles[i])
	}
	return y
}

// attend is attention of every query over the keys that see allows; q, k, v are [tokens][heads][e].
func attend(q, k, v [][][]float64, see func(i, j int) bool) matrix {
	heads, e := len(q[0]), len(q[0][0])
	out := zeros(len(q), heads*e)
	for h := range heads {
		for i := range q {
			scores, top := make([]float64, len(k)), math.Inf(-1)
			for j := range k {
				scores[j] = math.Inf(-1)
				if see(i, j) {
					scores[j] = 0
					for d := range e {
						scores[j] += q[i][h][d] * k[j][h][d] / math.Sqrt(float64(e))
					}
				}
				top = max(top, scores[j])
			}
			sum := 0.0
			for j := range scores {
				scores[j] = math.Exp(scores[j] - top)
				sum += scores[j]
			}
			for j := range scores {
				for d := range e {
					out[i][h*e+d] += scores[j] / sum * v[j][h][d]
				}
			}
		}
	}
	return out
}

// vision is Qwen2_5_VisionTransformerPretrainedModel. Grids are [steps, rows, columns] in patches.
func (r *reference) vision(pixels matrix, grids [][3]int) matrix {
	c := r.c.Vision
	const merge, unit = 2, 4
	x := r.linear("visual.patch_embed.proj", pixels)

	// rot_pos_emb
	e := c.HiddenSize / c.NumHeads
	var angles matrix
	for _, g := range grids {
		var step matrix
		for by := 0; by < g[1]; by += merge {
			for bx := 0; bx < g[2]; bx += merge {
				for dy := range merge {
					for dx := range merge {
						var half []float64
						for _, pos := range []int{by + dy, bx + dx} {
							for i := range e / 4 {
								half = append(half, float64(pos)*math.Pow(10000, -float64(2*i)/float64(e/2)))
							}
						}
						step = append(step, append(half, half...))
					}
				}
			}
		}
		for range g[0] {
			angles = append(angles, step...)
		}
	}

	// get_window_index: units in window order, and where windows and steps end, in patches
	var order []int
	windowEnds, stepEnds := []int{0}, []int{0}
	side, first := c.WindowSize/merge/c.PatchSize, 0
	for _, g := range grids {
		rows, cols := g[1]/merge, g[2]/merge
		for range g[0] {
			for wy := range rows/side + 1 {
				for wx := range cols/side + 1 {
					count := 0
					for y := wy * side; y < (wy+1)*side && y < rows; y++ {
						for x := wx * side; x < (wx+1)*side && x < cols; x++ {
							order = append(order, first+y*cols+x)
							count++
						}
					}
					if count > 0 {
						windowEnds = append(windowEnds, windowEnds[len(windowEnds)-1]+count*unit)
					}
				}
			}
			first += rows * cols
			stepEnds = append(stepEnds, stepEnds[len(stepEnds)-1]+g[1]*g[2])
		}
	}
	reorder := func(m matrix) (out matrix) {
		for _, u := range order {
			out = append(out, m[u*unit:(u+1)*unit]...)
		}
		return out
	}
	x, angles = reorder(x), reorder(angles)

	for l := range c.Depth {
		name := "visual.blocks." + strconv.Itoa(l)
		ends := windowEnds
		if slices.Contains(c.FullAttBlocks, l) {
			ends = stepEnds
		}
		segment := func(i int) int { n, _ := slices.BinarySearch(ends, i+1); return n }
		qkv := r.linear(name+".attn.qkv", r.norm(name+".norm1", x, 1e-6))
		var q, k, v [][][]float64
		for t := range qkv {
			var qt, kt, vt [][]float64
			for h := range c.NumHeads {
				qt = append(qt, rotate(qkv[t], h*e, e, angles[t]))
				kt = append(kt, rotate(qkv[t], c.HiddenSize+h*e, e, angles[t]))
				vt = append(vt, qkv[t][2*c.HiddenSize+h*e:2*c.HiddenSize+(h+1)*e])
			}
			q, k, v = append(q, qt), append(k, kt), append(v, vt)
		}
		o := attend(q, k, v, func(i, j int) bool { return segment(i) == segment(j) })
		x = add(x, r.linear(name+".attn.proj", o))
		x = add(x, r.mlp(name+".mlp", r.norm(name+".norm2", x, 1e-6)))
	}

	x = r.norm("visual.merger.ln_q", x, 1e-6)
	var joined matrix
	for t := 0; t < len(x); t += unit {
		joined = append(joined, slices.Concat(x[t:t+unit]...))
	}
	joined = r.linear("visual.merger.mlp.0", joined)
	for t := range joined {
		for i, v := range joined[t] {
			joined[t][i] = v / 2 * (1 + math.Erf(v/math.Sqrt2))
		}
	}
	joined = r.linear("visual.merger.mlp.2", joined)
	out := make(matrix, len(joined))
	for i, u := range order { // reverse_indices
		out[u] = joined[i]
	}
	return out
}

// positions is get_rope_index.
func (r *reference) positions(ids []int, pictures []*models.Picture) (pos [3][]float64) {
	next := 0.0
	for i := 0; i < len(ids); {
		if ids[i] != r.c.ImageTokenID && ids[i] != r.c.VideoTokenID {
			for axis := range pos {
				pos[axis] = append(pos[axis], next)
			}
			next++
			i++
			continue
		}
		g, interval := pictures[0].Grid, 0.0
		if pictures[0].Video {
			interval = r.c.Vision.TokensPerSecond * 2 / pictures[0].FPS
		}
		rows, cols := g[1]/2, g[2]/2
		for t := range g[0] {
			for y := range rows {
				for x := range cols {
					pos[0] = append(pos[0], next+math.Floor(float64(t)*interval))
					pos[1] = append(pos[1], next+float64(y))
					pos[2] = append(pos[2], next+float64(x))
				}
			}
		}
		next += float64(max(rows, cols))
		i += g[0] * rows * cols
		pictures = pictures[1:]
	}
	return pos
}

// logits is the whole model on one sequence, causal: [T][V].
func (r *reference) logits(ids []int, pixels matrix, pictures []*models.Picture) matrix {
	c := r.c
	d := c.HiddenSize
	e := d / c.NumHeads
	var features matrix
	if len(pictures) > 0 {
		var grids [][3]int
		for _, p := range pictures {
			grids = append(grids, p.Grid)
		}
		features = r.vision(pixels, grids)
	}
	x, embed := zeros(len(ids), d), r.w["model.embed_tokens.weight"]
	for t, id := range ids {
		copy(x[t], embed[id*d:(id+1)*d])
		if id == c.ImageTokenID || id == c.VideoTokenID {
			copy(x[t], features[0])
			features = features[1:]
		}
	}

	// apply_multimodal_rotary_pos_emb: the angles of the three axes, each doubled to width e, are cut into twice the
	// sections and piece i is taken from axis i mod 3.
	pos := r.positions(ids, pictures)
	angles := zeros(len(ids), e)
	section := append(slices.Clone(c.RopeScaling.MRopeSection), c.RopeScaling.MRopeSection...)
	for t := range ids {
		j := 0
		for i, n := range section {
			for range n {
				angles[t][j] = pos[i%3][t] * math.Pow(c.RopeTheta, -float64(2*(j%(e/2)))/float64(e))
				j++
			}
		}
	}

	for l := range c.NumLayers {
		name := "model.layers." + strconv.Itoa(l)
		h := r.norm(name+".input_layernorm", x, c.RMSNormEps)
		queries, keys, values := r.linear(name+".self_attn.q_proj", h), r.linear(name+".self_attn.k_proj", h), r.linear(name+".self_attn.v_proj", h)
		var q, k, v [][][]float64
		for t := range x {
			var qt, kt, vt [][]float64
			for i := range c.NumHeads {
				kv := i / (c.NumHeads / c.NumKVHeads) // repeat_kv
				qt = append(qt, rotate(queries[t], i*e, e, angles[t]))
				kt = append(kt, rotate(keys[t], kv*e, e, angles[t]))
				vt = append(vt, values[t][kv*e:(kv+1)*e])
			}
			q, k, v = append(q, qt), append(k, kt), append(v, vt)
		}
		o := attend(q, k, v, func(i, j int) bool { return j <= i })
		x = add(x, r.linear(name+".self_attn.o_proj", o))
		x = add(x, r.mlp(name+".mlp", r.norm(name+".post_attention_layernorm", x, c.RMSNormEps)))
	}
	x = r.norm("model.norm", x, c.RMSNormEps)
	if c.TieEmbeddings {
		return r.linear("model.embed_tokens", x)
	}
	return r.linear("lm_head", x)
}
