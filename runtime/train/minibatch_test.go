package train

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// scored draws, scores and judges the groups of the first step.
func scored(t *testing.T, r *runner) []*group {
	t.Helper()
	drawn := collected(t, r, 1)
	for _, g := range drawn {
		check(t, r.score(r.lanes[0], g, r.exp.GRPO.Temperature))
	}
	_, err := r.advantages(drawn)
	check(t, err)
	return drawn
}

// The normaliser is that of the update: of each of two minibatches the weights of dapo's tokens add up to 1, those of grpo's completions
// to 1 in all and the same for each (TRL #5619 counted the tokens of the whole rollout). So do the weights of the KL term, whatever masks
// leave of the policy term.
func TestWeightsAreOfTheUpdate(t *testing.T) {
	w := newWorld(t)
	for _, set := range []string{
		"grpo.loss=dapo", "grpo.loss=grpo", "grpo.loss=bnpo", "grpo.loss=gspo", "grpo.loss=dapo grpo.entropy_share=0.3", "grpo.loss=grpo grpo.correction=token_truncate",
	} {
		r := w.prepared(w.open(tiny, append(strings.Fields(set), frozen, "grpo.batch_size=16", "grpo.minibatches=2")...))
		batches := minibatches(scored(t, r), r.exp.GRPO)
		if len(batches) != 2 {
			t.Fatalf("%d minibatches", len(batches))
		}
		for i, b := range batches {
			check(t, r.weigh(t.Context(), b, i > 0))
			rows := b.weights.KL
			if rows == nil {
				rows = b.weights.Policy
			}
			sum, first := 0.0, 0.0
			for j, row := range rows {
				own := 0.0
				for _, x := range row {
					own += x
				}
				if sum += own; j == 0 {
					first = own
				} else if strings.Contains(set, "loss=grpo") && math.Abs(own-first) > 1e-12 {
					t.Errorf("%s, minibatch %d: completion %d weighs %v, the first %v", set, i, j, own, first)
				}
			}
			if len(rows) != 8 || math.Abs(sum-1) > 1e-12 { // some hundred roundings of numbers below 1
				t.Errorf("%s, minibatch %d: %d completions weigh %v together, want 8 and 1", set, i, len(rows), sum)
			}
		}
	}
}

// Where nothing reads them the log-probabilities of the policy are not computed twice, and those of the reference once.
func TestScoringIsSaved(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		set               string
		old, entropy, ref bool
	}{
		{"grpo.kl=0", false, false, false}, {"grpo.kl=0.1", false, false, true}, {"grpo.minibatches=3", true, false, true},
		{"grpo.iterations=2 grpo.kl=0", true, false, false}, {"grpo.entropy_share=0.5 grpo.kl=0", true, true, false},
		{"grpo.correction=token_mask grpo.kl=0", true, false, false}, {"grpo.kl_in=reward", true, false, true},
		{"grpo.entropy_bonus=0.1 grpo.kl=0", false, false, false},
	} {
		r := w.prepared(w.open(tiny, append(strings.Fields(c.set), frozen)...))
		g := w.draw(r, r.in.Data.Train("chart")[0], 0, 4)
		check(t, r.score(r.lanes[0], g, 1))
		if g.old != nil != c.old || g.entropy != nil != c.entropy || g.ref != nil != c.ref {
			t.Errorf("%s: old %t, entropy %t, reference %t; want %t, %t, %t", c.set, g.old != nil, g.entropy != nil, g.ref != nil, c.old, c.entropy, c.ref)
		}
	}
}

// A token that the trainer finds more probable than the sampler did weighs more, up to the bound; of a group that is in the way of what
// the policy has become, the completions to be discouraged are left out; those that were cut count nowhere.
func TestMasksAndCorrections(t *testing.T) {
	w := newWorld(t)
	prepared := func(set string) (*runner, *minibatch) {
		r := w.prepared(w.open(tiny, append(strings.Fields(set), frozen, "grpo.batch_size=4", "grpo.kl=0", "grpo.max_completion_tokens=6")...))
		return r, minibatches(scored(t, r), r.exp.GRPO)[0]
	}
	r, b := prepared("grpo.loss=dapo grpo.correction=token_truncate grpo.correction_max=1.5")
	g := b.groups[0]
	for i := range g.old {
		g.old[i] = g.drawnLogp()[i] + []float32{0.2, 1, -0.3}[i%3]
	}
	check(t, r.weigh(t.Context(), b, false))
	n, got := float64(len(g.old)), b.of(0, b.weights.Policy)
	for i, x := range got {
		want := []float64{math.Exp(0.2), 1.5, math.Exp(-0.3)}[i%3] / n
		if math.Abs(float64(x)-want) > 1e-6*want { // float32 log-probabilities of magnitude 5
			t.Errorf("token %d weighs %v, want %v", i, x, want)
		}
	}

	r, b = prepared("grpo.loss=grpo grpo.iterations=2 grpo.off_policy_drift=0.05")
	g = b.groups[0]
	for i := range g.old {
		g.old[i] += 0.1 // as if the policy had lost a tenth
	}
	g.advantage = []float64{1, -1, 0, -0.5}
	check(t, r.weigh(t.Context(), b, true))
	if want := []bool{true, false, true, false}; !slices.Equal(b.factors.Keep, want) {
		t.Errorf("kept %v, want %v", b.factors.Keep, want)
	}
	for j, row := range b.weights.Policy {
		if row[0] != 0 != b.factors.Keep[j] {
			t.Errorf("completion %d weighs %v", j, row)
		}
	}

	r, b = prepared("grpo.loss=dapo grpo.truncated=mask grpo.entropy_bonus=0.1")
	g = b.groups[0]
	g.completions[0].finish, g.completions[1].finish, g.completions[2].finish, g.completions[3].finish = "length", "eos", "eos", "length"
	b = minibatches(b.groups, r.exp.GRPO)[0]
	check(t, r.weigh(t.Context(), b, false))
	counted := float64(len(g.completions[1].tokens) + len(g.completions[2].tokens))
	for j, row := range b.weights.Policy {
		want := 0.0
		if g.completions[j].finish == "eos" {
			want = 1 / counted
		}
		for i, x := range row {
			if math.Abs(x-want) > 1e-15 || math.Abs(b.weights.Entropy[j][i]-0.1*want) > 1e-15 {
				t.Errorf("completion %d (%s): weight %v and of the entropy %v, want %v and a tenth", j, g.completions[j].finish, x, b.weights.Entropy[j][i], want)
			}
		}
	}
	for j := range g.completions { // all are cut: nothing is learnt, and nothing breaks
		g.completions[j].finish = "length"
	}
	before := r.model.bits()
	u, err := r.grpoUpdate(t.Context(), minibatches(b.groups, r.exp.GRPO)[0], 0, false)
	check(t, err)
	if u.loss != 0 || u.gradNorm != 0 {
		t.Errorf("all completions are cut: loss %v, gradient norm %v", u.loss, u.gradNorm)
	}
	sameBits(t, "all completions are cut", r.model.bits(), before)
}
