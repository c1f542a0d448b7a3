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
			Token: g.Input("token", graph.I64, "R"),
			Pos:   g.Input("pos", graph.I64, "R", 1),
			Cos:   g.Input("cos", graph.F32, "L", c.HeadDim()/2),
			Sin:   g.Input("sin", graph.F32, "L", c.HeadDim()/2),
			At:    g.Input("at", graph.I64, "R"),
			Slot:  g.Input("slot", graph.I64, "P", "G"),
			Back:  g.Input("back", graph.I64, "R"),
			Seen:  g.Input("seen", graph.F32, "P", 1, 1, "S"),
			Mask:  g.Input("mask", graph.F32, 1, 1, 1, "C"),
		}
		for i := range c.NumLayers {
			cache := func(name string, rows any, length string) *graph.Value {
				return g.Input(fmt.Sprintf("%s.%d", name, i), graph.F32, rows, c.NumKVHeads, length, c.HeadDim())
			}
			in.Prompt = append(in.Prompt, decoder.KV{K: cache("k", "P", "S"), V: cache("v", "P", "S")})
			in.Own = append(in.Own, decoder.KV{K: cache("own_k", "R", "C"), V: cache("own_v", "R", "C")})
		}
		hidden, own := decoder.Step(p, c.Decoder(), in)
		g.Output("logits", graph.Linear(hidden, decoder.Head(p, c.Decoder()), nil))
		for i, kv := range own {
			g.Output(fmt.Sprintf("o.own_k.%d", i), kv.K)
			g.Output(fmt.Sprintf("o.own_v.%d", i), kv.V)
		}
	}
}

// Token by token over the caches must give the logits of the whole rows at once, for completions of two prompts of different lengths that
// decode side by side, where one completion leaves and then a prompt with it, and the others take their places.
func TestDecodeEqualsForward(t *testing.T) {
	for _, kvHeads := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("K=%d", kvHeads), func(t *testing.T) {
			c := tiny()
			c.NumKVHeads = kvHeads
			m := newModel(c)
			prompts := []prompt{newPrompt(c, 8, 3, Grid{4, 6}), newPrompt(c, 5, 4, Grid{4, 4})}
			completions := [][][]int{{{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10}, {11, 12, 13, 14, 15, 16}}, {{17, 18, 19, 20, 21}}}
			var want [2][]float32
			var at [2][]int // row of want at which each completion starts
			var next [2]int
			var lengths [2]int
			shared := [2]map[string]orttest.Value{}
			for p, of := range prompts {
				want[p] = m.forward(t, of, completions[p])["logits"].Floats()
				n := len(of.ids)
				for _, y := range completions[p] {
					at[p] = append(at[p], n)
					n += len(y)
				}
				shared[p] = m.forward(t, of, nil)
				var err error
				_, next[p], err = c.Positions(of.ids, of.pictures)
				fixture.Check(t, err)
				lengths[p] = len(of.ids)
			}
			const capacity = 7
			k, e, half, longest := c.NumKVHeads, c.HeadDim(), c.HeadDim()/2, max(lengths[0], lengths[1])
			type place struct{ prompt, completion int }
			rows := []place{{0, 0}, {0, 1}, {0, 2}, {1, 0}}
			own := map[string][]float32{}
			for i := range c.NumLayers {
				for _, name := range []string{"own_k", "own_v"} {
					own[fmt.Sprintf("%s.%d", name, i)] = make([]float32, len(rows)*k*capacity*e)
				}
			}
			take := func(keep ...int) {
				var left []place
				for _, r := range keep {
					left = append(left, rows[r])
				}
				for name, x := range own {
					size, out := len(x)/len(rows), []float32(nil)
					for _, r := range keep {
						out = append(out, x[r*size:(r+1)*size]...)
					}
					own[name] = out
				}
				rows = left
			}
			step := orttest.NewRunner(t, "decode", decodeGraph(c))
			for s := range 6 {
				switch s {
				case 4:
					take(0, 3, 2) // the last one has taken the place of the second
				case 5:
					take(0, 2) // and its prompt has ended with it
				}
				numPrompts := 2
				if s == 5 {
					numPrompts = 1
				}
				n := len(rows)
				tokens, pos, where, back := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
				group, slots := 0, make([][]int64, numPrompts)
				for i, r := range rows {
					tokens[i], pos[i], where[i] = int64(completions[r.prompt][r.completion][s]), int64(r.prompt), int64(s)
					slots[r.prompt] = append(slots[r.prompt], int64(i))
					group = max(group, len(slots[r.prompt]))
				}
				var slot []int64
				seen := make([]float32, numPrompts*longest)
				var here [3][]int
				for p := range numPrompts {
					for j, r := range slots[p] {
						back[r] = int64(p*group + j)
					}
					slot = append(slot, append(slots[p], make([]int64, group-len(slots[p]))...)...)
					for j := lengths[p]; j < longest; j++ {
						seen[p*longest+j] = nn.Hidden
					}
					for d := range here {
						here[d] = append(here[d], next[p]+s)
					}
				}
				mask := slices.Repeat([]float32{nn.Hidden}, capacity)
				clear(mask[:s+1])
				cos, sin := c.Decoder().Tables(here)
				feeds := map[string]orttest.Value{
					"token": orttest.I64(tokens, n), "pos": orttest.I64(pos, n, 1), "at": orttest.I64(where, n),
					"slot": orttest.I64(slot, numPrompts, group), "back": orttest.I64(back, n),
					"cos": orttest.F32(cos, numPrompts, half), "sin": orttest.F32(sin, numPrompts, half),
					"seen": orttest.F32(seen, numPrompts, 1, 1, longest), "mask": orttest.F32(mask, 1, 1, 1, capacity),
				}
				for i := range c.NumLayers {
					for _, name := range []string{"k", "v"} {
						name = fmt.Sprintf("%s.%d", name, i)
						padded := make([]float32, numPrompts*k*longest*e)
						for p := range numPrompts {
							for head, x := 0, shared[p][name].Floats(); head < k; head++ {
								copy(padded[(p*k+head)*longest*e:], x[head*lengths[p]*e:(head+1)*lengths[p]*e])
							}
						}
						feeds[name] = orttest.F32(padded, numPrompts, k, longest, e)
						feeds["own_"+name] = orttest.F32(own["own_"+name], n, k, capacity, e)
					}
				}
				got := step.Run(m.with(feeds))
				for name := range own {
					own[name] = got["o."+name].Floats()
				}
				v := c.VocabSize
				for i, r := range rows {
					from := at[r.prompt][r.completion] + s
					expect := want[r.prompt][from*v : (from+1)*v]
					for j, x := range got["logits"].Floats()[i*v : (i+1)*v] {
						if d := x - expect[j]; !(d < 1e-4 && d > -1e-4) {
							t.Fatalf("completion %v, token %d: logit %d is %g, want %g", r, s, j, x, expect[j])
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
