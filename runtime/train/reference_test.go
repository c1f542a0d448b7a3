package train

import (
	"math"
	"slices"
	"testing"
)

// The reference moves by its share towards the policy, where it is not the policy's own tensor; what rewards compare by does not move.
func TestReferenceFollows(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open(tiny, frozen, "grpo.reference_sync=2", "grpo.reference_mix=0.25", "grpo.steps=4", "grpo.learning_rate=1e-2"))
	table := r.initialEmbedding()
	initial := slices.Clone(table)
	name := r.model.program.Model.Decoder().Embedding()
	start := slices.Clone(r.model.reference[name].Float32())
	for step := 1; step <= 2; step++ {
		_, err := r.grpoStep(t.Context(), step)
		check(t, err)
		if moved := !slices.Equal(r.model.reference[name].Float32(), start); moved != (step == 2) || r.model.synced != moved {
			t.Fatalf("after step %d the reference has moved: %t, and checkpoints hold it: %t", step, moved, r.model.synced)
		}
	}
	for i, got := range r.model.reference[name].Float32() {
		want := 0.25*float64(r.model.weights[name].Float32()[i]) + 0.75*float64(start[i])
		if math.Abs(float64(got)-want) > 1e-7 { // two roundings of weights below 1
			t.Fatalf("%s[%d] is %v, want %v", name, i, got, want)
		}
	}
	if !slices.Equal(table, initial) {
		t.Error("the embedding that bmas compares by has moved")
	}
}
