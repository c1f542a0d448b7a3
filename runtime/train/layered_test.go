package train

import (
	"math"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/compile"
	"mixr/runtime/data"
)

// Layer by layer, with the head in one piece or in several, everything is what the whole graphs give.
func TestLayeredEqualsWhole(t *testing.T) {
	for name, c := range map[string]struct {
		file      string
		overrides []string
	}{
		"everything":    {"tiny.cue", []string{"grpo.iterations=2"}},
		"frozen":        {"tiny.cue", []string{frozen}},
		"embedding":     {"tiny.cue", []string{`policy.freeze=["vision", "merger", "decoder"]`}},
		"merger":        {"tiny.cue", []string{`policy.freeze=["vision", "embedding", "decoder"]`}},
		"adapters":      {"tiny.cue", []string{frozen, adapters}},
		"rows":          {"tiny.cue", []string{frozen, "grpo.iterations=2", "grpo.loss=gspo", "grpo.kl_gradient=k2"}},
		"rows, dropped": {"tiny.cue", []string{frozen, adapters, "grpo.iterations=2", "grpo.loss=luspo", "grpo.entropy_share=0.5", "grpo.entropy_bonus=0.1"}},
		"sft":           {"tiny_sft.cue", nil},
		"sft, adapters": {"tiny_sft.cue", []string{frozen, adapters}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			in := w.open(c.file, c.overrides...)
			whole := w.prepared(in)
			layered := w.prepared(w.open(c.file, append(c.overrides, "policy.recompute=true")...))
			stir(whole.model)
			stir(layered.model)
			examples := append(in.Data.Train("mcq")[:2:2], withoutImage(t, in))
			work := func(r *runner) *unit {
				l := r.lanes[0]
				if in.Experiment.Stage == "sft" {
					u, err := r.sftUnit(l, r.lessons(t, examples, 5), 40)
					check(t, err)
					return u
				}
				return r.groupUnit(t, w, examples[0])
			}
			want := work(whole)
			defer free(want.gradients)
			if len(want.logp) < 10 || want.loss == 0 {
				t.Fatalf("%d tokens, loss %v: the case tests nothing", len(want.logp), want.loss)
			}
			for _, rows := range []int{compile.HeadRows, 7} {
				layered.model.headRows = rows
				got := work(layered)
				compareUnits(t, got, want)
				free(got.gradients)
			}
			if in.Experiment.Stage == "grpo" { // the scores of the forward graphs are equal to the bit
				g := w.draw(whole, examples[0], 0, 4)
				want, err := whole.logp(whole.lanes[0], &whole.lanes[0].policy, g, 1)
				check(t, err)
				layered.model.headRows = compile.HeadRows
				got, err := layered.logp(layered.lanes[0], &layered.lanes[0].policy, g, 1)
				check(t, err)
				if !slices.Equal(got, want) {
					t.Errorf("scores %v, want %v", got, want)
				}
			}
		})
	}
}

// groupUnit samples, scores and differentiates one group with set advantages.
func (r *runner) groupUnit(t *testing.T, w *world, ex data.Example) *unit {
	t.Helper()
	g := w.draw(r, ex, 0, 4)
	check(t, r.score(r.lanes[0], g, r.exp.GRPO.Temperature))
	g.advantage = []float64{1, -0.5, 0.25, -0.75}
	for i := range g.ref { // as if the policy had moved
		g.ref[i] += 0.1 * float32(i%5)
	}
	for i := range g.old {
		g.old[i] += 0.05 * float32(i%3)
	}
	b := minibatches([]*group{g}, r.exp.GRPO)[0]
	check(t, r.weigh(t.Context(), b, true))
	u, err := r.grpoUnit(r.lanes[0], b, 0, 3, true)
	check(t, err)
	return u
}

// compareUnits wants values of tokens within a few float32 quanta, and gradients within 1e-6 of each one's norm. They are not equal to
// the bit: ONNX Runtime fuses the norms of a forward graph, and cannot where a gradient reads what stands inside; and the gradients of a
// tied embedding, or of several pieces of the head, are added in another order.
func compareUnits(t *testing.T, got, want *unit) {
	t.Helper()
	for name, pair := range map[string][2][]float32{"logp": {got.logp, want.logp}, "entropy": {got.entropy, want.entropy}, "kl": {got.kl, want.kl}} {
		if len(pair[0]) != len(pair[1]) {
			t.Fatalf("%s: %d values, want %d", name, len(pair[0]), len(pair[1]))
		}
		for i := range pair[0] {
			if d := math.Abs(float64(pair[0][i] - pair[1][i])); d > 4e-6 {
				t.Errorf("%s[%d] is %v, want %v", name, i, pair[0][i], pair[1][i])
			}
		}
	}
	if d := math.Abs(got.loss - want.loss); d > 1e-6*math.Abs(want.loss)+4e-7 { // a sum of terms of both signs, by float32 log-probabilities of magnitude 5
		t.Errorf("loss %v, want %v", got.loss, want.loss)
	}
	if len(got.gradients) != len(want.gradients) {
		t.Errorf("%d gradients, want %d", len(got.gradients), len(want.gradients))
	}
	worst := 0.0
	for name, g := range want.gradients {
		if got.gradients[name] == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		norm, diff := 0.0, 0.0
		for i, v := range g.Float32() {
			d := float64(got.gradients[name].Float32()[i] - v)
			norm, diff = norm+float64(v)*float64(v), diff+d*d
		}
		if norm == 0 && !strings.Contains(name, "visual") { // an example without a picture has none
			t.Errorf("%s is 0: the case tests nothing", name)
		}
		e := math.Sqrt(diff / max(norm, 1e-30))
		if e > 1e-6 {
			t.Errorf("%s differs by %.1e of its norm", name, e)
		}
		worst = max(worst, e)
	}
	t.Logf("%d gradients within %.1e of their norms", len(want.gradients), worst)
}
