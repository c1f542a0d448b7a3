package train

import (
	"math"
	"strings"
	"testing"

	"mixr/runtime/table"
)

// oneGroup draws a group with exactly one rewarded completion and fills its advantages from the rewards.
func oneGroup(t *testing.T, w *world, r *runner) (g *group, best int) {
	t.Helper()
	const size = 4
	for _, ex := range r.in.Data.Train("chart") {
		for first := 0; first < 40*size; first += size {
			g = w.draw(r, ex, first, size)
			rewarded := 0
			for j, res := range g.results {
				if res.Reward > 0 {
					rewarded, best = rewarded+1, j
				}
			}
			if rewarded == 1 {
				check(t, r.score(r.lanes[0], g, r.exp.GRPO.Temperature))
				advantaged(t, r, g)
				return g, best
			}
		}
	}
	t.Fatal("no group has one rewarded completion")
	return nil, 0
}

// advantaged fills the group's advantages, as the only one of a step.
func advantaged(t *testing.T, r *runner, g *group) {
	t.Helper()
	_, err := r.advantages([]*group{g})
	check(t, err)
}

// testUpdate makes one update on a group whose advantages are set.
func (r *runner) testUpdate(t *testing.T, index int, g *group) *updated {
	t.Helper()
	u, err := r.grpoUpdate(t.Context(), minibatches([]*group{g}, r.exp.GRPO)[0], index, index > 0)
	check(t, err)
	return u
}

// sums are the log-probabilities of the group's completions.
func (r *runner) sums(t *testing.T, g *group) []float64 {
	t.Helper()
	logp, err := r.logp(r.lanes[0], &r.lanes[0].policy, g, r.exp.GRPO.Temperature)
	check(t, err)
	out := make([]float64, len(g.completions))
	at := 0
	for j, c := range g.completions {
		for range c.tokens {
			out[j] += float64(logp[at])
			at++
		}
	}
	return out
}

// losses are all that there are, each with what it needs.
var losses = []string{
	"grpo.loss=grpo", "grpo.loss=dr_grpo", "grpo.loss=bnpo", "grpo.loss=dapo", "grpo.loss=gspo", "grpo.loss=luspo", "grpo.loss=cispo grpo.ratio_cap=5",
	"grpo.loss=sapo", "grpo.loss=dapo grpo.level=sequence grpo.correction=token_truncate",
}

// One rewarded completion in a group: an update makes it more probable and the others less; with the rewards' sign flipped
// the other way round. For every loss.
func TestUpdateMovesTowardsTheRewarded(t *testing.T) {
	w := newWorld(t)
	for _, loss := range losses {
		for _, sign := range []float64{1, -1} {
			in := w.open("tiny.cue", append(strings.Fields(loss), frozen, "grpo.kl=0", "grpo.learning_rate=2e-4")...)
			r := w.prepared(in)
			g, best := oneGroup(t, w, r)
			for j := range g.advantage {
				g.advantage[j] *= sign
			}
			before := r.sums(t, g)
			u := r.testUpdate(t, 0, g)
			if u.gradNorm == 0 {
				t.Fatalf("%s: the gradient is 0", loss)
			}
			others := 0.0 // together: one may be pulled along by tokens that it shares with the rewarded
			for j, after := range r.sums(t, g) {
				if j != best {
					others += after - before[j]
				} else if (after-before[j])*sign <= 0 {
					t.Errorf("%s, sign %+.0f: the rewarded completion went from %v to %v", loss, sign, before[j], after)
				}
			}
			if others*sign >= 0 {
				t.Errorf("%s, sign %+.0f: the other completions moved by %v", loss, sign, others)
			}
		}
	}
}

// A group whose rewards are equal teaches nothing: without KL, entropy bonus and weight decay the parameters keep their bits, whatever the
// loss, also where the policy is not the one any more that sampled.
func TestEqualRewardsLeaveThePolicy(t *testing.T) {
	w := newWorld(t)
	for _, loss := range append(losses, "grpo.entropy_share=0.5", "grpo.correction=sequence_mask", "grpo.off_policy_drift=1e-6",
		"grpo.advantage.combine=normalize_then_sum", "grpo.advantage.scale=task", "grpo.advantage.baseline=leave_one_out grpo.advantage.scale=none") {
		r := w.prepared(w.open("tiny.cue", append(strings.Fields(loss), frozen, "grpo.kl=0", "grpo.iterations=2")...))
		g, _ := oneGroup(t, w, r)
		for j := range g.results {
			g.results[j] = g.results[0]
		}
		advantaged(t, r, g)
		for i := range g.old { // as if the policy had moved
			g.old[i] += 0.1 * float32(i%5-2)
		}
		before := map[string][]float32{}
		for name, x := range r.model.weights {
			before[name] = append([]float32(nil), x.Float32()...)
		}
		for i := range 2 {
			if u := r.testUpdate(t, i, g); u.gradNorm != 0 || u.loss != 0 {
				t.Errorf("%s, update %d: loss %v, gradient norm %v, want 0", loss, i, u.loss, u.gradNorm)
			}
		}
		for name, x := range r.model.weights {
			for i, v := range x.Float32() {
				if math.Float32bits(v) != math.Float32bits(before[name][i]) {
					t.Fatalf("%s: %s[%d] went from %v to %v", loss, name, i, before[name][i], v)
				}
			}
		}
	}
}

// The format reward alone, from random weights: the tiny policy learns to answer in form, and the mean format reward of the held-out
// examples rises with it.
func TestFormatIsLearned(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "rewards.matching.weight=0.001", "rewards.chart.weight=0.001", "rewards.iou.weight=0.001", "rewards.bmas.weight=0.001",
		"grpo.kl=0", "grpo.steps=24", "grpo.batch_size=40", "grpo.group_size=20", "grpo.max_completion_tokens=1", "grpo.learning_rate=1e-2",
		"eval.samples=8", "eval.temperature=1", "eval.max_completion_tokens=1", "checkpoint.every=50")
	dir := w.finished(in, Options{Workers: 2})
	var format []float64
	for _, m := range rowsOf[table.Metrics](t, dir) {
		format = append(format, *m.FormatMean)
	}
	if first, final := format[0], average(format[len(format)-3:]); first > 0.3 || final < 0.9 {
		t.Errorf("mean format reward goes from %v to %v, want from chance (0.08) to above 0.9: %v", first, final, format)
	}
	var before, after []float64
	for _, e := range rowsOf[table.Eval](t, dir) {
		if e.When == "before" {
			before = append(before, *e.Format)
		} else {
			after = append(after, *e.Format)
		}
	}
	if average(before) > 0.3 || average(after) < 0.9 {
		t.Errorf("held-out format reward: %v before, %v after", average(before), average(after))
	}
}

// A large KL weight holds the policy at the reference; a tiny one measures how far it goes when it is free.
func TestKLHoldsThePolicy(t *testing.T) {
	w := newWorld(t)
	last := func(kl string) float64 {
		in := w.open("tiny.cue", "grpo.kl="+kl, "grpo.steps=16", "grpo.learning_rate=3e-3", "grpo.schedule=linear", "eval.examples=0", "checkpoint.every=50")
		rows := rowsOf[table.Metrics](t, w.finished(in, Options{Workers: 2}))
		if d := *rows[0].KL; d != 0 {
			t.Errorf("kl %s: distance %v before the first update, want 0", kl, d)
		}
		return *rows[len(rows)-1].KL
	}
	free, held := last("1e-9"), last("100")
	t.Logf("KL to the reference: free %.4g, held %.4g", free, held)
	if free < 0.02 || held > free/10 {
		t.Errorf("KL to the reference: %v free, %v held, want held below a tenth of free", free, held)
	}
}
