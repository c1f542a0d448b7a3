package compile

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/models/qwen25vl"
	"mixr/runtime/spec"
)

// tiny is a configuration in which sizes that could be mixed up are distinct.
func tiny() *qwen25vl.Config {
	return &qwen25vl.Config{
		ModelType: "qwen2_5_vl", VocabSize: 60, HiddenSize: 32, IntermediateSize: 40, NumLayers: 2, NumHeads: 4, NumKVHeads: 2,
		RMSNormEps: 1e-6, RopeTheta: 10000, RopeScaling: qwen25vl.RopeScaling{MRopeSection: []int{1, 2, 1}},
		TieEmbeddings: true, InitializerRange: 0.02, EOSTokenID: 50, VisionStartTokenID: 51, VisionEndTokenID: 52,
		ImageTokenID: 53, VideoTokenID: 54, StopIDs: []int{50},
		Vision: qwen25vl.VisionConfig{
			Depth: 3, HiddenSize: 24, IntermediateSize: 20, NumHeads: 3, InChannels: 3, OutHiddenSize: 32,
			PatchSize: 14, TemporalPatchSize: 2, SpatialMergeSize: 2, WindowSize: 56, FullAttBlocks: []int{1},
		},
	}
}

var adamw = spec.Optimizer{LearningRate: 1e-3, Schedule: "constant", AdamBeta1: 0.9, AdamBeta2: 0.999, AdamEps: 1e-8, GradClip: 1}

// grpoWith is an experiment of the grpo stage, changed by the edits.
func grpoWith(edits ...func(*spec.Experiment)) *spec.Experiment {
	e := &spec.Experiment{Stage: "grpo", GRPO: &spec.GRPO{
		Steps: 1, BatchSize: 8, GroupSize: 4, Temperature: 1, MaxCompletionTokens: 8, Loss: "grpo",
		ClipLow: 0.2, ClipHigh: 0.2, Iterations: 1, Minibatches: 1, EntropyShare: 1, Correction: "none", Optimizer: adamw,
	}}
	for _, edit := range edits {
		edit(e)
	}
	return e
}

func sft(edits ...func(*spec.Experiment)) *spec.Experiment {
	e := &spec.Experiment{Stage: "sft", SFT: &spec.SFT{Steps: 1, BatchSize: 8, Optimizer: adamw}}
	for _, edit := range edits {
		edit(e)
	}
	return e
}

func freeze(modules ...string) func(*spec.Experiment) {
	return func(e *spec.Experiment) { e.Policy.Freeze = modules }
}

func kl(weight float64) func(*spec.Experiment) {
	return func(e *spec.Experiment) { e.GRPO.KL = weight }
}

func iterations(n int) func(*spec.Experiment) {
	return func(e *spec.Experiment) { e.GRPO.Iterations = n }
}

func lora(dropout float64, targets ...string) func(*spec.Experiment) {
	return func(e *spec.Experiment) {
		if targets == nil {
			targets = []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
		}
		e.Policy.LoRA = &spec.LoRA{Rank: 3, Alpha: 6, Targets: targets, Dropout: dropout}
	}
}

func recompute(e *spec.Experiment) { e.Policy.Recompute = true }

func compiled(t *testing.T, e *spec.Experiment, c *qwen25vl.Config) *Program {
	t.Helper()
	p, err := Compile(e, c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGolden compares what the graphs take, give and cost with testdata/*.txt: a formulation that needs more nodes, another input or
// more memory shows as a difference to be read. MIXR_UPDATE=1 rewrites the files.
func TestGolden(t *testing.T) {
	for name, e := range map[string]*spec.Experiment{
		"grpo_frozen": grpoWith(freeze("vision", "merger"), kl(0.04)),
		"grpo_whole":  grpoWith(kl(0.04), iterations(2)),
		"sft_whole":   sft(),
		"grpo_lora":   grpoWith(lora(0.1), kl(0.04)),
		"grpo_layers": grpoWith(lora(0.1), kl(0.04), recompute),
		"sft_layers":  sft(recompute),
	} {
		t.Run(name, func(t *testing.T) {
			got := summary(compiled(t, e, tiny()))
			path := filepath.Join("testdata", name+".txt")
			if os.Getenv("MIXR_UPDATE") == "1" {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s has changed: MIXR_UPDATE=1 rewrites it; read the difference\n got:\n%s\nwant:\n%s", path, got, want)
			}
		})
	}
}

// summary writes a program's parameters and, for each graph, the inputs and outputs that are not parameters or their state, and how
// many nodes of each kind it has.
func summary(p *Program) string {
	var b strings.Builder
	params, state := map[string]bool{}, 0
	size := func(q Param) int {
		n := 4
		for _, d := range q.Shape {
			n *= d
		}
		return n
	}
	bytesOf := map[string]int{}
	for _, q := range p.Params {
		params[q.Name] = true
		bytesOf[q.Module] += size(q)
	}
	for _, q := range p.Trainable() {
		state += size(q)
	}
	for _, module := range []string{"vision", "merger", "embedding", "decoder", Adapter} {
		if module == Adapter && p.LoRA == nil {
			continue
		}
		fmt.Fprintf(&b, "%s %d bytes\n", module, bytesOf[module])
	}
	fmt.Fprintf(&b, "%d parameters, %d trainable with %d bytes\n", len(p.Params), len(p.Trainable()), state)
	isState := func(name string) bool {
		for _, prefix := range []string{"", "g.", "m.", "v.", "acc.", "o.", "o.m.", "o.v.", "o.acc."} {
			if base, ok := strings.CutPrefix(name, prefix); ok && params[base] {
				return true
			}
		}
		return false
	}
	for _, g := range p.Graphs() {
		ops := opCounts(g)
		total := 0
		for _, n := range ops {
			total += n
		}
		fmt.Fprintf(&b, "\n%s: %d nodes\n", g.Name(), total)
		bound := 0
		for _, in := range g.Inputs() {
			if isState(in.Name()) {
				bound++
				continue
			}
			fmt.Fprintf(&b, "  in  %s %v %v\n", in.Name(), in.DType(), in.Shape())
		}
		fmt.Fprintf(&b, "  in  %d parameters and their state\n", bound)
		bound = 0
		for _, o := range g.Outputs() {
			if isState(o.Name) {
				bound++
				continue
			}
			fmt.Fprintf(&b, "  out %s %v %v\n", o.Name, o.Value.DType(), o.Value.Shape())
		}
		fmt.Fprintf(&b, "  out %d parameters and their state\n", bound)
		for _, op := range slices.Sorted(maps.Keys(ops)) {
			fmt.Fprintf(&b, "  %5d %s\n", ops[op], op)
		}
	}
	return b.String()
}

// opCounts counts the live nodes of a graph by op, from its canonical text.
func opCounts(g *graph.Graph) map[string]int {
	n := map[string]int{}
	for line := range strings.Lines(g.String()) {
		kind, _, _ := strings.Cut(line, " ")
		if _, call, ok := strings.Cut(line, " = "); ok && kind != "const" && kind != "input" {
			op, _, _ := strings.Cut(call, "(")
			n[op]++
		}
	}
	return n
}

// The gradient graph gives a gradient for exactly the trainable parameters, whatever is frozen, and the optimizer takes the same.
func TestGradientsOfWhatTrains(t *testing.T) {
	untied := tiny()
	untied.TieEmbeddings = false
	for _, c := range []*qwen25vl.Config{tiny(), untied} {
		for _, frozen := range [][]string{
			nil, {"vision"}, {"merger"}, {"embedding"}, {"decoder"}, {"vision", "merger"}, {"vision", "embedding"}, {"merger", "decoder"},
			{"vision", "merger", "embedding"}, {"vision", "merger", "decoder"}, {"merger", "embedding", "decoder"}, {"vision", "embedding", "decoder"},
		} {
			for _, e := range []*spec.Experiment{grpoWith(freeze(frozen...), kl(0.1)), sft(freeze(frozen...))} {
				t.Run(fmt.Sprint(e.Stage, frozen, c.TieEmbeddings), func(t *testing.T) {
					p := compiled(t, e, c)
					var want []string
					for _, q := range p.Params {
						if trains := !slices.Contains(frozen, q.Module); trains != q.Trainable {
							t.Errorf("%s of module %s: trainable is %t", q.Name, q.Module, q.Trainable)
						} else if trains {
							want = append(want, q.Name)
						}
					}
					var got []string
					for _, o := range p.Gradient.Outputs() {
						if name, ok := strings.CutPrefix(o.Name, "g."); ok {
							got = append(got, name)
							if in := input(p.Gradient, name); in == nil || !in.Shape().Equal(o.Value.Shape()) {
								t.Errorf("the gradient of %s has shape %v", name, o.Value.Shape())
							}
						}
					}
					if !slices.Equal(got, want) {
						t.Errorf("gradients of %v, want %v", got, want)
					}
					for _, q := range p.Params {
						for g, prefix := range map[*graph.Graph]string{p.Optimizer: "m.", p.Norm: "g.", p.Accumulate: "acc."} {
							if has := input(g, prefix+q.Name) != nil; has != q.Trainable {
								t.Errorf("%s has %s%s: %t", g.Name(), prefix, q.Name, has)
							}
						}
					}
					trainsVision := !slices.Contains(frozen, "vision") || !slices.Contains(frozen, "merger")
					if p.TrainsVision != trainsVision || (input(p.Gradient, "pixels") != nil) != trainsVision || (input(p.Gradient, "features") != nil) == trainsVision {
						t.Errorf("TrainsVision is %t, and the gradient graph reads pixels: %t", p.TrainsVision, input(p.Gradient, "pixels") != nil)
					}
				})
			}
		}
	}
}

// With adapters nothing else trains, whatever is frozen; they stand on the targets of the decoder's layers alone, in every graph that
// runs the decoder; and only the gradient drops anything.
func TestAdapters(t *testing.T) {
	for _, e := range []*spec.Experiment{grpoWith(lora(0.1, "q_proj", "down_proj"), kl(0.1)), sft(lora(0, "q_proj", "down_proj"), freeze("embedding"))} {
		p := compiled(t, e, tiny())
		var got []string
		for _, q := range p.Trainable() {
			got = append(got, fmt.Sprint(q.Name, q.Shape))
		}
		var want []string
		for i := range 2 {
			layer := fmt.Sprintf("model.layers.%d.", i)
			want = append(want, layer+"self_attn.q_proj.lora_A.weight[3 32]", layer+"self_attn.q_proj.lora_B.weight[32 3]",
				layer+"mlp.down_proj.lora_A.weight[3 40]", layer+"mlp.down_proj.lora_B.weight[32 3]")
		}
		if !slices.Equal(got, want) {
			t.Errorf("trainable are %v, want %v", got, want)
		}
		if n := len(p.Base()); n != len(tiny().Specs()) || p.TrainsVision {
			t.Errorf("%d parameters of the base, want %d; the vision tower trains: %t", n, len(tiny().Specs()), p.TrainsVision)
		}
		for _, g := range p.Graphs() {
			reads := g != p.Vision && g != p.Accumulate && g != p.Norm && g != p.Optimizer
			if has := input(g, "model.layers.1.mlp.down_proj.lora_A.weight") != nil; g != p.Optimizer && has != reads {
				t.Errorf("%s reads adapters: %t", g.Name(), has)
			}
			if has := input(g, "dropout") != nil; has != (g == p.Gradient && p.Drops()) {
				t.Errorf("%s reads keys of dropout: %t", g.Name(), has)
			}
		}
	}
}

// With recompute no graph of all layers is differentiated; the parts give a gradient for exactly the trainable parameters, those of a
// layer under the names of layer 0.
func TestLayeredGivesEveryGradient(t *testing.T) {
	untied := tiny()
	untied.TieEmbeddings = false
	for _, c := range []*qwen25vl.Config{tiny(), untied} {
		for _, frozen := range [][]string{nil, {"vision", "merger"}, {"vision", "embedding"}, {"vision", "merger", "embedding"}, {"merger", "decoder"}, {"vision", "embedding", "decoder"}} {
			for _, edits := range [][]func(*spec.Experiment){{freeze(frozen...)}, {freeze(frozen...), lora(0.2)}} {
				e := grpoWith(append(edits, recompute, kl(0.1))...)
				p := compiled(t, e, c)
				if p.Gradient != nil || p.Score != nil || p.Layered.Score == nil {
					t.Error("a graph of all layers is scored or differentiated")
				}
				var want, got []string
				for _, q := range p.Trainable() {
					want = append(want, q.Name)
				}
				layers := p.Model.Decoder().Layers
				for _, g := range p.Layered.Graphs() {
					for _, o := range g.Outputs() {
						name, ok := strings.CutPrefix(o.Name, "g.")
						if !ok {
							continue
						}
						if in := input(g, name); in == nil || !in.Shape().Equal(o.Value.Shape()) {
							t.Errorf("%s: the gradient of %s has shape %v", g.Name(), name, o.Value.Shape())
						}
						for i := range layers {
							if n := p.InLayer(name, i); !slices.Contains(got, n) { // that of a tied head comes twice
								got = append(got, n)
							}
						}
					}
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%v: gradients of %v, want %v", frozen, got, want)
				}
				if (p.Layered.Train != nil) != p.Drops() || (p.Layered.VisionGradient != nil) != p.TrainsVision {
					t.Error("a part is there that nothing needs, or is missing")
				}
			}
		}
	}
	if p := compiled(t, sft(recompute), tiny()); p.Layered.Score != nil || p.Layered.Train != nil {
		t.Error("the sft stage scores, or drops without adapters")
	}
}

func input(g *graph.Graph, name string) *graph.Value {
	for _, in := range g.Inputs() {
		if in.Name() == name {
			return in
		}
	}
	return nil
}

// Every output that is meant to be written into an input's buffer, o.NAME into NAME, may be.
func TestAliasesAreSafe(t *testing.T) {
	for _, e := range []*spec.Experiment{grpoWith(kl(0.04), iterations(2)), grpoWith(freeze("vision", "merger")), sft()} {
		p := compiled(t, e, tiny())
		pairs := map[string]int{}
		for _, g := range p.Graphs() {
			bound := map[string]string{}
			for _, o := range g.Outputs() {
				if in, ok := strings.CutPrefix(o.Name, "o."); ok {
					pairs[g.Name()]++
					bound[o.Name] = in
				}
			}
			if err := g.CheckAliases(bound); err != nil {
				t.Error(err)
			}
		}
		n := len(p.Trainable())
		want := map[string]int{"decode": 2 * p.Model.Decoder().Layers, "accumulate": n, "optimizer": 3 * n}
		if !maps.Equal(pairs, want) {
			t.Errorf("aliased pairs %v, want %v", pairs, want)
		}
	}
}

// The inputs of the loss follow from the experiment: what is not needed is neither computed nor fed.
func TestLossInputs(t *testing.T) {
	for _, c := range []struct {
		exp                 *spec.Experiment
		onPolicy, reference bool
	}{
		{grpoWith(), true, false},
		{grpoWith(kl(0.04)), true, true},
		{grpoWith(iterations(2)), false, false},
		{grpoWith(iterations(3), kl(1)), false, true},
	} {
		for _, loss := range []string{"grpo", "dr_grpo", "bnpo", "dapo"} {
			c.exp.GRPO.Loss = loss
			p := compiled(t, c.exp, tiny())
			old, ref := input(p.Gradient, "old") != nil, input(p.Gradient, "ref") != nil
			if p.OnPolicy != c.onPolicy || old == c.onPolicy || p.HasReference != c.reference || ref != c.reference {
				t.Errorf("%s, %d iterations, kl %v: on policy %t (old is fed: %t), reference %t (ref is fed: %t)",
					loss, c.exp.GRPO.Iterations, c.exp.GRPO.KL, p.OnPolicy, old, p.HasReference, ref)
			}
			if p.Score == nil {
				t.Error("no score graph")
			}
		}
	}
	if p := compiled(t, sft(), tiny()); p.Score != nil || input(p.Gradient, "advantage") != nil || input(p.Gradient, "weight") == nil {
		t.Error("the sft stage scores, or reads advantages, or no weights")
	}
}

// The same experiment gives the same bytes: graphs are written to the run folder and compared.
func TestCompileIsDeterministic(t *testing.T) {
	e := grpoWith(kl(0.04), iterations(2))
	first := compiled(t, e, tiny()).Graphs()
	for range 5 {
		for i, g := range compiled(t, e, tiny()).Graphs() {
			want, err := first[i].Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got, err := g.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%s: other bytes at the second compilation", g.Name())
			}
		}
	}
}

func TestWhatCannotBeCompiled(t *testing.T) {
	for want, e := range map[string]*spec.Experiment{
		"nothing is left to train": grpoWith(freeze("vision", "merger", "embedding", "decoder")),
		`unknown stage "dpo"`:      {Stage: "dpo"},
		"ppo":                      grpoWith(func(e *spec.Experiment) { e.GRPO.Loss = "ppo" }),
	} {
		if _, err := Compile(e, tiny()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
