package train

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"mixr/runtime/compile"
	"mixr/runtime/data"
	"mixr/runtime/images"
	"mixr/runtime/models"
	"mixr/runtime/models/family"
	"mixr/runtime/ort/orttest"
	"mixr/runtime/spec"
)

// A load is one step of a policy of a given configuration.
type load_ struct {
	Name                                      string
	Config                                    string // folder with config.json; or "" for a Llama type of the sizes below
	Vocab, D, F, Layers, Heads, KV            int
	Tied                                      bool
	Prompt, Completion, Group, Units, Workers int
	Picture                                   [2]int
	Policy                                    spec.Policy
	KL                                        float64
}

var _ = color.Black

func TestPeakChild(t *testing.T) {
	text := os.Getenv("MIXR_TEST_PEAK")
	if text == "" {
		t.Skip("run by TestPeak")
	}
	var c load_
	check(t, json.Unmarshal([]byte(text), &c))
	dir := c.Config
	if dir == "" {
		dir = t.TempDir()
		b, _ := json.Marshal(map[string]any{"model_type": "llama", "vocab_size": c.Vocab, "hidden_size": c.D, "intermediate_size": c.F,
			"num_hidden_layers": c.Layers, "num_attention_heads": c.Heads, "num_key_value_heads": c.KV, "rms_norm_eps": 1e-6, "tie_word_embeddings": c.Tied, "eos_token_id": 1})
		check(t, os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644))
	}
	m, err := family.LoadModel(dir)
	check(t, err)
	e := &spec.Experiment{Stage: "grpo", Seed: 1, Policy: c.Policy, GRPO: &spec.GRPO{Steps: 1, BatchSize: c.Group * c.Units, GroupSize: c.Group,
		Temperature: 1, MaxCompletionTokens: c.Completion, Loss: "grpo", KL: c.KL, ClipLow: 0.2, ClipHigh: 0.2, Iterations: 1,
		Optimizer: spec.Optimizer{LearningRate: 1e-6, Schedule: "constant", AdamBeta1: 0.9, AdamBeta2: 0.999, AdamEps: 1e-8, GradClip: 1}}}
	program, err := compile.Compile(e, m)
	check(t, err)
	var pictures []*models.Picture
	p := &prompt{example: data.Example{ID: "x"}}
	ids := make([]int, c.Prompt)
	for i := range ids {
		ids[i] = i % 50
	}
	p.Prompt = models.TextPrompt(ids)
	if program.Sees() {
		rgb := images.RGB{W: c.Picture[0], H: c.Picture[1], Pix: make([]byte, 3*c.Picture[0]*c.Picture[1])}
		picture, err := m.Picture([]images.RGB{rgb}, models.Limits{MinPixels: 1, MaxPixels: 1 << 30})
		check(t, err)
		pictures = append(pictures, picture)
		p.pictures = pictures
		for i := range picture.Tokens {
			p.Feature[i] = i
		}
	}
	estimate, err := program.Memory(compile.Sizes{Prompt: c.Prompt, Pictures: pictures, Completion: c.Completion, Group: c.Group, Units: c.Units, Workers: c.Workers, InFlight: c.Workers + 1})
	check(t, err)

	engine := orttest.Open(t)
	t.Logf("engine open: %.1f", hwm(t))
	r := &runner{exp: e, inFlight: c.Workers + 1, updates: 1}
	r.model, err = openModel(engine, program, 1)
	check(t, err)
	r.model.drawAdapters(1)
	for _, q := range program.Base() {
		m.Init(q.Spec, 1, r.model.weights[q.Name].Float32())
	}
	r.model.keepReference()
	t.Logf("model open: %.1f", hwm(t))
	for range c.Workers {
		l, err := r.model.openLane(nil, nil)
		check(t, err)
		r.lanes = append(r.lanes, l)
	}
	check(t, r.bindUpdate())
	g := make([]*group, c.Units)
	each := func(f func(l *lane, i int) error) {
		check(t, ordered(t.Context(), len(g), len(r.lanes), len(g), func(lane, i int) (struct{}, error) {
			return struct{}{}, f(r.lanes[lane], i)
		}, func(int, struct{}) error { return nil }, nil))
	}
	for range 2 {
		each(func(l *lane, i int) error {
			features, err := r.model.features(l.policy.vision, p)
			if err != nil {
				return err
			}
			defer features.Free()
			_, err = r.model.sample(l, p, features, sampling{seed: 1, count: c.Group, temperature: 1, maxTokens: c.Completion, stop: []int{2}})
			g[i] = &group{prompt: p}
			if features != nil && !program.TrainsVision {
				g[i].features = append(g[i].features, features.Float32()...)
			}
			return err
		})
		t.Logf("rollout: %.1f", hwm(t))
		for i := range g {
			for j := range c.Group {
				tokens := make([]int, c.Completion)
				for k := range tokens {
					tokens[k] = (k + j) % 50
				}
				g[i].completions = append(g[i].completions, completion{tokens: tokens})
				g[i].advantage = append(g[i].advantage, float64(j)-1)
			}
		}
		each(func(l *lane, i int) error { return r.score(l, g[i], 1) })
		t.Logf("score: %.1f", hwm(t))
		w, err := r.tokenWeights(g)
		check(t, err)
		_, err = r.update(t.Context(), len(g), 0, func(l *lane, i int) (*unit, error) { return r.grpoUnit(l, g[i], w[i], i) })
		check(t, err)
		t.Logf("update: %.1f", hwm(t))
		debug.FreeOSMemory()
	}
	for _, part := range estimate {
		t.Logf("  %-22s %8.1f %s", part.Name, float64(part.Bytes)/1e6, part.What)
	}
	t.Logf("RESULT %s estimate %.1f measured %.1f ratio %.3f", c.Name, float64(estimate.Total())/1e6, hwm(t), float64(estimate.Total())/1e6/hwm(t))
}

func hwm(t *testing.T) float64 {
	b, err := os.ReadFile("/proc/self/status")
	check(t, err)
	for _, line := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(line, "VmHWM:") {
			var kb float64
			fmt.Sscan(strings.Fields(line)[1], &kb)
			return kb * 1024 / 1e6
		}
	}
	return 0
}

func TestPeak(t *testing.T) {
	all := []load_{
		{Name: "nano", Config: "/work/main/experiments/policies/nano", Prompt: 120, Completion: 64, Group: 8, Units: 8, Workers: 2, Picture: [2]int{168, 168}, Policy: spec.Policy{Freeze: []string{"vision", "merger"}}, KL: 0.04},
		{Name: "26M", Vocab: 6400, D: 512, F: 1408, Layers: 8, Heads: 8, KV: 2, Tied: true, Prompt: 200, Completion: 128, Group: 8, Units: 4, Workers: 1, KL: 0.04},
		{Name: "wide", Vocab: 20000, D: 640, F: 2048, Layers: 6, Heads: 10, KV: 5, Prompt: 300, Completion: 64, Group: 4, Units: 4, Workers: 2},
		{Name: "deep", Vocab: 1000, D: 128, F: 352, Layers: 12, Heads: 4, KV: 4, Tied: true, Prompt: 600, Completion: 150, Group: 4, Units: 2, Workers: 1},
	}
	for _, c := range all {
		for _, v := range []string{"full", "lora", "recompute", "lora recompute"} {
			c := c
			c.Name += " " + v
			if strings.Contains(v, "lora") {
				c.Policy.LoRA = &spec.LoRA{Rank: 16, Alpha: 32, Targets: []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}}
			}
			c.Policy.Recompute = strings.Contains(v, "recompute")
			if only := os.Getenv("ONLY"); only != "" && !strings.Contains(c.Name, only) {
				continue
			}
			text, _ := json.Marshal(c)
			cmd := exec.Command(os.Args[0], "-test.run=^TestPeakChild$", "-test.v")
			cmd.Env = append(os.Environ(), "MIXR_TEST_PEAK="+string(text))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s", out)
				continue
			}
			for _, line := range bytes.Split(out, []byte("\n")) {
				if i := bytes.Index(line, []byte(".go:")); i >= 0 && (os.Getenv("ALL") != "" || bytes.Contains(line, []byte("RESULT"))) {
					t.Logf("%s", bytes.TrimSpace(line[i+8:]))
				}
			}
		}
	}
}
