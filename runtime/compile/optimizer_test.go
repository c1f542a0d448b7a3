package compile

import (
	"slices"
	"testing"

	"mixr/runtime/grpo"
	"mixr/runtime/spec"
)

// Each module's learning rate is the experiment's times its factor, and the optimizer reads those of the modules that train.
func TestModuleRates(t *testing.T) {
	e := sft(freeze("vision"))
	e.SFT.WeightDecay = 0.1
	e.SFT.ModuleRate = spec.ModuleRate{Vision: 2, Merger: 3, Embedding: 0.5, Decoder: 1, Adapter: 7}
	p := compiled(t, e, tiny())
	scalars := p.AdamW().Scalars(1, 1, p.Rates(1e-3))
	want := grpo.AdamW{Beta1: 0.9, Beta2: 0.999, AdamEps: 1e-8, WeightDecay: 0.1, GradClip: 1}.Scalars(1, 1, map[string]float64{
		"vision": 1e-3 * 2, "merger": 1e-3 * 3, "embedding": 1e-3 * 0.5, "decoder": 1e-3, "adapter": 1e-3 * 7,
	})
	var reads []string
	for _, in := range p.Optimizer.Inputs() {
		if shape, fixed := in.Shape().Ints(); fixed && slices.Equal(shape, []int{1}) {
			reads = append(reads, in.Name())
			if scalars[in.Name()] != want[in.Name()] {
				t.Errorf("%s is %v, want %v", in.Name(), scalars[in.Name()], want[in.Name()])
			}
		}
	}
	slices.Sort(reads)
	if w := []string{"eps", "gain1", "gain2", "keep.decoder", "keep.embedding", "keep.merger", "rate.decoder", "rate.embedding", "rate.merger"}; !slices.Equal(reads, w) {
		t.Errorf("the optimizer reads %v, want %v", reads, w)
	}
}
