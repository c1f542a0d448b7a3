package train

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/compile"
	"mixr/runtime/table"
	"mixr/runtime/weights"
)

const adapters = "policy.lora={rank: 4, alpha: 8, dropout: 0.2}"

// stir gives the B of every adapter random values, as training would: as zeros they hide most mistakes.
func stir(m *model) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, q := range m.program.Params {
		if q.Module == compile.Adapter && strings.Contains(q.Name, "lora_B") {
			for i := range m.weights[q.Name].Float32() {
				m.weights[q.Name].Float32()[i] = float32(0.1 * rng.NormFloat64())
			}
		}
	}
}

// A run with adapters begins as its base, changes nothing of it, and leaves checkpoints of the adapters alone.
func TestAdapterRun(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", frozen, adapters, "grpo.batch_size=20", "grpo.learning_rate=1e-2", "grpo.kl=0.1")
	dir := w.finished(in, Options{Workers: 2})
	metrics := rowsOf[table.Metrics](t, dir)
	if kl := *metrics[0].KL; kl > 1e-12 || *metrics[0].GradNorm == 0 {
		t.Errorf("step 1: KL %v with gradient norm %v: the reference is the base, and B begins as 0", kl, *metrics[0].GradNorm)
	}
	if kl := *metrics[2].KL; kl < 1e-7 {
		t.Errorf("step 3: KL %v: the adapters have not moved", kl)
	}

	stored, err := weights.Open(filepath.Join(dir, "checkpoints/step-000002", policyFile))
	check(t, err)
	defer stored.Close()
	if n := len(stored.Names()); n != 2*2*7 || slices.ContainsFunc(stored.Names(), func(s string) bool { return !strings.Contains(s, ".lora_") }) {
		t.Errorf("the checkpoint holds %d tensors: %v", n, stored.Names())
	}

	// The exported policy is the base plus scale B A; what has no adapter is the base.
	base := w.prepared(w.open("tiny.cue")).model
	policy, err := weights.Open(filepath.Join(dir, PolicyFolder))
	check(t, err)
	defer policy.Close()
	adapter, err := weights.Open(filepath.Join(dir, AdapterFolder, adapterWeights))
	check(t, err)
	defer adapter.Close()
	read := func(s *weights.Store, name string) []float32 {
		size := 1
		for _, d := range s.Shape(name) {
			size *= d
		}
		x := make([]float32, size)
		check(t, s.Float32(name, x))
		return x
	}
	if len(policy.Names()) != len(base.program.Params) {
		t.Errorf("the policy has %d tensors, want %d", len(policy.Names()), len(base.program.Params))
	}
	moved := 0
	for _, q := range base.program.Params {
		got, want := read(policy, q.Name), slices.Clone(base.weights[q.Name].Float32())
		module := "base_model.model.model.language_model." + strings.TrimSuffix(strings.TrimPrefix(q.Name, "model."), "weight")
		if adapter.Has(module + "lora_A.weight") {
			a, b, in := read(adapter, module+"lora_A.weight"), read(adapter, module+"lora_B.weight"), q.Shape[1]
			for i := range want {
				for r := range 4 {
					want[i] += 2 * b[i/in*4+r] * a[r*in+i%in]
				}
				if math.Abs(float64(want[i]-base.weights[q.Name].Float32()[i])) > 1e-4 {
					moved++
				}
			}
		}
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-6 { // the order of float32 sums
				t.Fatalf("%s[%d] is %g, want %g", q.Name, i, got[i], want[i])
			}
		}
	}
	if moved < 1000 {
		t.Errorf("%d weights moved: the case tests nothing", moved)
	}
}

// The adapters and the merged weights are one policy.
func TestMergedEqualsAdapters(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", frozen, adapters)
	r, plain := w.prepared(in), w.prepared(w.open("tiny.cue", frozen))
	g := w.draw(r, in.Data.Train("chart")[0], 0, 4)
	logp := func(r *runner) []float32 {
		out, err := r.logp(r.lanes[0], &r.lanes[0].policy, g, 1)
		check(t, err)
		return out
	}
	base := logp(plain)
	if !slices.Equal(logp(r), base) {
		t.Error("the adapters change something before they are trained")
	}
	stir(r.model)
	for _, q := range r.model.program.Base() {
		copy(plain.model.weights[q.Name].Float32(), r.model.merged(q.Spec))
	}
	got, want, far := logp(r), logp(plain), 0.0
	for i := range got {
		if d := math.Abs(float64(got[i] - want[i])); d > 1e-5 { // the order of float32 sums
			t.Errorf("token %d: logp %g with adapters, %g merged", i, got[i], want[i])
		}
		far = max(far, math.Abs(float64(want[i]-base[i])))
	}
	if far < 1e-2 {
		t.Errorf("the adapters move no log-probability by more than %g: the case tests nothing", far)
	}
}

// What PEFT reads: its own names, and targets that name the decoder's layers and not the tower's of the same name.
func TestAdapterConfig(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", frozen, "policy.lora={rank: 4, alpha: 6, targets: [\"q_proj\", \"up_proj\"]}")
	dir := t.TempDir()
	check(t, w.prepared(in).model.exportAdapter(in, dir))
	var config struct {
		Type    string  `json:"peft_type"`
		R       int     `json:"r"`
		Alpha   float64 `json:"lora_alpha"`
		Targets string  `json:"target_modules"`
	}
	text, err := os.ReadFile(filepath.Join(dir, adapterConfig))
	check(t, err)
	check(t, json.Unmarshal(text, &config))
	if config.Type != "LORA" || config.R != 4 || config.Alpha != 6 {
		t.Errorf("got %+v", config)
	}
	targets := regexp.MustCompile("^(?:" + config.Targets + ")$")
	s, err := weights.Open(filepath.Join(dir, adapterWeights))
	check(t, err)
	defer s.Close()
	if len(s.Names()) != 8 {
		t.Errorf("got %v", s.Names())
	}
	for _, name := range s.Names() {
		module, _, _ := strings.Cut(strings.TrimPrefix(name, "base_model.model."), ".lora_")
		if !targets.MatchString(module) {
			t.Errorf("%s is not among the targets %s", module, config.Targets)
		}
	}
	for _, module := range []string{"model.visual.blocks.0.mlp.up_proj", "model.language_model.layers.0.mlp.down_proj"} {
		if targets.MatchString(module) {
			t.Errorf("%s is among the targets %s", module, config.Targets)
		}
	}
}
