package train

import (
	"math"
	"testing"
)

// The KL in the reward is 0 as long as policy and reference are one, to the bit, and then is taken off each completion's reward, summed
// over its tokens, before the advantages.
func TestPenaltyInReward(t *testing.T) {
	w := newWorld(t)
	plain := w.prepared(w.open(tiny, frozen, "grpo.kl=0"))
	r := w.prepared(w.open(tiny, frozen, "grpo.kl=0.5", "grpo.kl_in=reward", "grpo.kl_estimator=k1"))
	want, got := scored(t, plain), scored(t, r)
	for i, g := range got {
		for j := range g.completions {
			if g.penalty[j] != 0 || g.advantage[j] != want[i].advantage[j] {
				t.Fatalf("group %d, completion %d: penalty %v, advantage %v; want 0 and %v", i, j, g.penalty[j], g.advantage[j], want[i].advantage[j])
			}
		}
	}
	for _, g := range got {
		for i := range g.ref {
			g.ref[i] -= 0.25
		}
	}
	_, err := r.advantages(got)
	check(t, err)
	for i, g := range got {
		mean := 0.0
		for j, c := range g.completions {
			if p := 0.5 * 0.25 * float64(len(c.tokens)); math.Abs(g.penalty[j]-p) > 1e-5 { // float32 log-probabilities of magnitude 5
				t.Errorf("group %d, completion %d of %d tokens: penalty %v, want %v", i, j, len(c.tokens), g.penalty[j], p)
			}
			mean += (g.results[j].Reward - g.penalty[j]) / 4
		}
		if math.Abs(g.mean-mean) > 1e-12 {
			t.Errorf("group %d: mean %v, want %v", i, g.mean, mean)
		}
	}
}

// The running moments of each task go on from step to step, and stand in the state that a checkpoint seals.
func TestRunningDeviation(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open(tiny, frozen, "grpo.advantage.scale=task", "grpo.advantage.task_decay=0.5", "grpo.batch_size=40"))
	for step, weight := range []float64{0.5, 0.75} { // 1 - 0.5^steps
		_, err := r.grpoStep(t.Context(), step+1)
		check(t, err)
		if len(r.progress.Tasks) != 5 {
			t.Fatalf("step %d: moments of %d tasks, want 5", step+1, len(r.progress.Tasks))
		}
		for task, m := range r.progress.Tasks {
			if math.Abs(m.Weight-weight) > 1e-15 {
				t.Errorf("step %d, %s: weight %v, want %v", step+1, task, m.Weight, weight)
			}
		}
	}
}

// Each component is normalised by itself: a form that is worth a thousandth of the answer decides as much as the answer does, once its
// weight is taken out.
func TestComponentsAreNormalised(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open(tiny, frozen, "grpo.advantage.combine=normalize_then_sum", "rewards.format.weight=1", "grpo.advantage.std_eps=0"))
	groups := scored(t, r)[:1]
	set := func(answer, form [4]float64) {
		for j := range groups[0].results {
			res := &groups[0].results[j]
			res.Matching, res.Chart, res.IoU, res.BMAS, res.Format = &answer[j], nil, nil, nil, &form[j]
		}
		_, err := r.advantages(groups)
		check(t, err)
	}
	// z of both components is (1.5, -0.5, -0.5, -0.5) and its opposite of the first two; their sum is (1, 1, -1, -1), of deviation 1.1547.
	set([4]float64{1, 0, 0, 0}, [4]float64{0, 0.001, 0, 0})
	for j, want := range []float64{0.866025, 0.866025, -0.866025, -0.866025} {
		if a := groups[0].advantage[j]; math.Abs(a-want) > 1e-6 {
			t.Errorf("completion %d: advantage %v, want %v", j, a, want)
		}
	}
	set([4]float64{1, 1, 1, 1}, [4]float64{0.5, 0.5, 0.5, 0.5})
	for j, a := range groups[0].advantage {
		if a != 0 {
			t.Errorf("completion %d of equal rewards: advantage %v", j, a)
		}
	}
}
