package train

import (
	"slices"
	"testing"
)

// collected draws the groups of a step.
func collected(t *testing.T, r *runner, step int) []*group {
	t.Helper()
	drawn, err := r.collect(t.Context(), step, newRecord(step))
	check(t, err)
	return drawn
}

// names are the examples of groups with the tokens that they drew.
func names(groups []*group) (out []string) {
	for _, g := range groups {
		name := g.prompt.example.ID
		for _, c := range g.completions {
			name += " " + string(rune(len(c.tokens)+'0')) + g.texts[0]
		}
		out = append(out, name)
	}
	return out
}

// With flat keep every prompt has its group; drop takes those of equal rewards out and nothing else; resample puts other prompts in their
// slots, the same ones whenever and by whomever they are drawn, and no more than the limit.
func TestFlatGroups(t *testing.T) {
	w := newWorld(t)
	sets := []string{frozen, "grpo.batch_size=20", "grpo.group_size=2", "grpo.max_completion_tokens=3", "rewards.format.weight=0"}
	open := func(more ...string) *runner { return w.prepared(w.open(tiny, append(slices.Clone(sets), more...)...)) }
	keep := collected(t, open(), 1)
	flat := 0
	for i, g := range keep {
		if g.dropped || g.slot != i {
			t.Errorf("keep: group %d is dropped (%t) or in slot %d", i, g.dropped, g.slot)
		}
		if spread(g.results) == 0 {
			flat++
		}
	}
	if flat < 2 || flat > 9 {
		t.Fatalf("%d of 10 groups are flat: the test tests nothing", flat)
	}

	drop := collected(t, open("grpo.advantage.flat=drop"), 1)
	if !slices.Equal(names(drop), names(keep)) {
		t.Errorf("drop draws %v, want %v", names(drop), names(keep))
	}
	for i, g := range drop {
		if g.dropped != (spread(g.results) == 0) || g.slot != i {
			t.Errorf("drop: group %d of spread %v is dropped: %t", i, spread(g.results), g.dropped)
		}
	}

	r := open("grpo.advantage.flat=resample", "grpo.advantage.resample_limit=20")
	drawn := collected(t, r, 1)
	if !slices.Equal(names(drawn[:10]), names(keep)) {
		t.Errorf("resample begins with %v, want %v", names(drawn[:10]), names(keep))
	}
	groups := used(drawn)
	for slot, g := range groups {
		if g.slot != slot || spread(g.results) == 0 {
			t.Errorf("slot %d holds a group of slot %d with spread %v", slot, g.slot, spread(g.results))
		}
		if kept := keep[slot]; spread(kept.results) > 0 && names([]*group{g})[0] != names([]*group{kept})[0] {
			t.Errorf("slot %d, whose first group has spread, holds another", slot)
		}
	}
	if len(groups) != 10 {
		t.Errorf("%d slots are filled, want 10", len(groups))
	}
	if again := names(collected(t, r, 1)); !slices.Equal(again, names(drawn)) {
		t.Errorf("drawn again: %v, want %v", again, names(drawn))
	}
	first := collected(t, r, 2)[10:]
	if len(first) > 0 && names(first[:1])[0] == names(drawn[10:11])[0] {
		t.Error("two steps draw the same replacement")
	}

	bounded := collected(t, open("grpo.advantage.flat=resample", "grpo.advantage.resample_limit=2", "grpo.max_completion_tokens=1",
		"rewards.matching.weight=1e-300", "rewards.chart.weight=1e-300", "rewards.iou.weight=1e-300", "rewards.bmas.weight=1e-300"), 1)
	if len(bounded) > 20 || len(used(bounded)) == 10 {
		t.Errorf("%d groups drawn, %d used: want at most twice the prompts, and the rest dropped", len(bounded), len(used(bounded)))
	}
}

// A step all of whose groups are flat makes no update, and is a step all the same: weights and schedule are as if it had not learnt.
func TestStepWithoutGroups(t *testing.T) {
	w := newWorld(t)
	// One token each, which is nearly never an answer.
	r := w.prepared(w.open(tiny, frozen, "grpo.advantage.flat=drop", "grpo.iterations=2", "grpo.minibatches=3", "grpo.max_completion_tokens=1",
		"grpo.group_size=2", "grpo.batch_size=6", "rewards.format.weight=0", "grpo.weight_decay=0.5"))
	for step := 1; ; step++ {
		if step == 20 {
			t.Fatal("every step has a group with spread")
		}
		if len(used(collected(t, r, step))) > 0 {
			continue
		}
		before := r.model.bits()
		rec, err := r.grpoStep(t.Context(), step)
		check(t, err)
		sameBits(t, "a step without groups", r.model.bits(), before)
		if m := rec.metrics; m.Loss != nil || m.GradNorm != nil || m.RewardMean == nil || m.NumCompletions != 6 || len(rec.completions) != 6 {
			t.Errorf("loss %v, norm %v, reward %v, %d completions, %d rows", m.Loss, m.GradNorm, m.RewardMean, m.NumCompletions, len(rec.completions))
		}
		return
	}
}
