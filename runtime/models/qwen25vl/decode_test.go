package qwen25vl

import (
	"fmt"
	"slices"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/graph"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
	"mixr/runtime/ort/orttest"
)

// decodeGraph is DecodeStep with every cache as input and output.
func decodeGraph(c *Config) func(g *graph.Graph) {
	return func(g *graph.Graph) {
		p := nn.NewParams(g)
		in := decoder.StepIn{
			Token: g.Input("token", graph.I64, "G"),
			Pos:   g.Input("pos", graph.I64, "G", 1),
			Cos:   g.Input("cos", graph.F32, "L", c.HeadDim()/2),
			Sin:   g.Input("sin", graph.F32, "L", c.HeadDim()/2),
			At:    g.Input("at", graph.I64, "G"),
			Mask:  g.Input("mask", graph.F32, "G", 1, 1, "C"),
		}
		for i := range c.NumLayers {
			cache := func(name string, rows any, length string) *graph.Value {
				return g.Input(fmt.Sprintf("%s.%d", name, i), graph.F32, rows, c.NumKVHeads, length, c.HeadDim())
			}
			in.Prompt = append(in.Prompt, decoder.KV{K: cache("k", 1, "S"), V: cache("v", 1, "S")})
			in.Own = append(in.Own, decoder.KV{K: cache("own_k", "G", "C"), V: cache("own_v", "G", "C")})
		}
		hidden, own := decoder.Step(p, c.Decoder(), in)
		g.Output("logits", graph.Linear(hidden, decoder.Head(p, c.Decoder()), nil))
		for i, kv := range own {
			g.Output(fmt.Sprintf("o.own_k.%d", i), kv.K)
			g.Output(fmt.Sprintf("o.own_v.%d", i), kv.V)
		}
	}
}

// Token by token over the caches must give the logits of the whole row at once, for completions of different lengths and a
// group that shrinks while the others go on.
func TestDecodeEqualsForward(t *testing.T) {
	for _, kvHeads := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("K=%d", kvHeads), func(t *testing.T) {
			c := tiny()
			c.NumKVHeads = kvHeads
			m, p := newModel(c), newPrompt(c, 8, 3, Grid{4, 6})
			completions := [][]int{{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10}, {11, 12, 13, 14, 15, 16}}
			packed := m.forward(t, p, completions)
			want := packed["logits"].Floats()
			at := make([]int, len(completions)) // row of want at which each completion starts
			for i, n := 0, len(p.ids); i < len(completions); i++ {
				at[i] = n
				n += len(completions[i])
			}

			prompt := m.forward(t, p, nil)
			_, next, err := c.Positions(p.ids, p.pictures)
			fixture.Check(t, err)
			const capacity = 7
			k, e, half := c.NumKVHeads, c.HeadDim(), c.HeadDim()/2
			rows := []int{0, 1, 2}
			own := map[string][]float32{}
			for i := range c.NumLayers {
				for _, name := range []string{"own_k", "own_v"} {
					own[fmt.Sprintf("%s.%d", name, i)] = make([]float32, len(rows)*k*capacity*e)
				}
			}
			step := orttest.NewRunner(t, "decode", decodeGraph(c))
			for s := range 6 {
				if s == 4 { // the second completion has ended: its row leaves
					rows = []int{0, 2}
					for name, x := range own {
						row := len(x) / 3
						own[name] = slices.Concat(x[:row], x[2*row:])
					}
				}
				n := len(rows)
				tokens, pos, place, mask := make([]int64, n), make([]int64, n), make([]int64, n), make([]float32, n*capacity)
				for i, r := range rows {
					tokens[i], pos[i], place[i] = int64(completions[r][s]), int64(i), int64(s)
					for j := s + 1; j < capacity; j++ {
						mask[i*capacity+j] = nn.Hidden
					}
				}
				here := slices.Repeat([]int{next + s}, n)
				cos, sin := c.Decoder().Tables([3][]int{here, here, here})
				feeds := map[string]orttest.Value{
					"token": orttest.I64(tokens, n), "pos": orttest.I64(pos, n, 1), "at": orttest.I64(place, n),
					"cos": orttest.F32(cos, n, half), "sin": orttest.F32(sin, n, half), "mask": orttest.F32(mask, n, 1, 1, capacity),
				}
				for i := range c.NumLayers {
					for _, name := range []string{"k", "v"} {
						name = fmt.Sprintf("%s.%d", name, i)
						feeds[name] = prompt[name]
						feeds["own_"+name] = orttest.F32(own["own_"+name], n, k, capacity, e)
					}
				}
				got := step.Run(m.with(feeds))
				for name := range own {
					own[name] = got["o."+name].Floats()
				}
				v := c.VocabSize
				for i, r := range rows {
					expect := want[(at[r]+s)*v : (at[r]+s+1)*v]
					for j, x := range got["logits"].Floats()[i*v : (i+1)*v] {
						if d := x - expect[j]; !(d < 1e-4 && d > -1e-4) {
							t.Fatalf("completion %d, token %d: logit %d is %g, want %g", r, s, j, x, expect[j])
						}
					}
				}
			}
		})
	}
}

// The caches may be updated in place.
func TestDecodeCachesAlias(t *testing.T) {
	c := tiny()
	g, err := graph.Build("decode", decodeGraph(c))
	fixture.Check(t, err)
	for i := range c.NumLayers {
		for _, name := range []string{"own_k", "own_v"} {
			name = fmt.Sprintf("%s.%d", name, i)
			fixture.Check(t, g.CheckAlias(name, "o."+name))
		}
	}
}
