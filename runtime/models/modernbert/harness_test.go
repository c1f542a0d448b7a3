package modernbert

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
	"mixr/runtime/nn"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// load reads a file of testdata, written by bench/encoder_fixture.py.
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

// inputs declares what Encode reads.
func inputs(g *graph.Graph, c *Config) In {
	angles := func(kind string) Angles {
		half := c.heads().Width / 2
		return Angles{g.Input(kind+"_cos", graph.F32, "T", half), g.Input(kind+"_sin", graph.F32, "T", half)}
	}
	return In{
		IDs:    g.Input("ids", graph.I64, "N", "T"),
		Pos:    g.Input("pos", graph.I64, "N", "T"),
		Global: angles("global"),
		Local:  angles("local"),
		Mask:   g.Input("mask", graph.F32, "N", 1, 1, "T"),
		Window: g.Input("window", graph.F32, 1, 1, "T", "T"),
	}
}

// runner is a session with its parameters bound, to be run on any number of batches.
type runner struct {
	t       *testing.T
	engine  *ort.Engine
	graph   *graph.Graph
	session *ort.Session
	params  map[string]*ort.Tensor
}

func newRunner(t *testing.T, specs []nn.Spec, read func(s nn.Spec, dst []float32), build func(g *graph.Graph)) *runner {
	t.Helper()
	g, err := graph.Build(t.Name(), build)
	check(t, err)
	r := &runner{t, orttest.Open(t), g, nil, map[string]*ort.Tensor{}}
	r.session, err = r.engine.NewSession(g, ort.SessionOptions{Level: 1, Threads: 2})
	check(t, err)
	t.Cleanup(func() { check(t, r.session.Close()) })
	for _, s := range specs {
		x, err := r.engine.NewTensor(graph.F32, s.Shape...)
		check(t, err)
		t.Cleanup(x.Free)
		read(s, x.Float32())
		r.params[s.Name] = x
	}
	return r
}

// run feeds a batch, and the weights of a loss, and returns all results.
func (r *runner) run(f *Feed, loss []float32) map[string][]float32 {
	t := r.t
	t.Helper()
	b, err := r.session.NewBinding()
	check(t, err)
	defer b.Close()
	n, tokens := f.Texts, f.Tokens
	half := len(f.GlobalCos) / tokens
	feeds := map[string]struct {
		f32   []float32
		i64   []int64
		shape []int
	}{
		"ids": {nil, f.IDs, []int{n, tokens}}, "pos": {nil, f.Pos, []int{n, tokens}},
		"global_cos": {f.GlobalCos, nil, []int{tokens, half}}, "global_sin": {f.GlobalSin, nil, []int{tokens, half}},
		"local_cos": {f.LocalCos, nil, []int{tokens, half}}, "local_sin": {f.LocalSin, nil, []int{tokens, half}},
		"mask": {f.Mask, nil, []int{n, 1, 1, tokens}}, "window": {f.Window, nil, []int{1, 1, tokens, tokens}},
		"loss": {loss, nil, []int{len(loss)}},
	}
	for _, in := range r.graph.Inputs() {
		x, bound := r.params[in.Name()]
		if !bound {
			feed := feeds[in.Name()]
			x, err = r.engine.NewTensor(in.DType(), feed.shape...)
			check(t, err)
			defer x.Free()
			if feed.i64 != nil {
				copy(x.Int64(), feed.i64)
			} else {
				copy(x.Float32(), feed.f32)
			}
		}
		check(t, b.Input(in.Name(), x))
	}
	for _, o := range r.graph.Outputs() {
		check(t, b.OutputAuto(o.Name))
	}
	check(t, b.Run())
	outs, err := b.Outputs()
	check(t, err)
	got := map[string][]float32{}
	for name, x := range outs {
		got[name] = append([]float32(nil), x.Float32()...)
		x.Free()
	}
	return got
}

// tokens drops the padding: rows [N, T, D] of the texts' tokens, one after the other.
func tokens(hidden []float32, texts [][]int, f *Feed) (rows []float32) {
	d := len(hidden) / (f.Texts * f.Tokens)
	for i, ids := range texts {
		rows = append(rows, hidden[i*f.Tokens*d:][:len(ids)*d]...)
	}
	return rows
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
