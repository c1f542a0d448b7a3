package train

import (
	"context"
	"slices"
	"time"

	"mixr/runtime/data"
)

// spareStream keeps prompts and noise of resampling apart from those of the mix.
const spareStream = 0x7370617265 // "spare"

// collect draws the groups of a step and scores their completions: one for each prompt of the step's batch, and with flat resample more,
// until there are as many groups with spread as prompts, or no more prompts may be drawn. It returns all of them in the order drawn. Those
// that the update is made of have their slot among its prompts; groups that flat takes out are dropped.
func (r *runner) collect(ctx context.Context, step int, rec *record) (drawn []*group, err error) {
	o := r.exp.GRPO
	prompts := o.BatchSize / o.GroupSize
	// Completions are counted by the example's place in the stream of the mix: one that comes twice in a batch (an epoch may
	// end inside it) must not draw the same noise twice, and another batch size must not change the noise.
	if drawn, err = r.draw(ctx, step, r.exp.Seed, r.mix.Batch(step-1, prompts), (step-1)*prompts, rec); err != nil {
		return nil, err
	}
	for i, g := range drawn {
		g.slot = i
	}
	if o.Advantage.Flat == "keep" {
		return drawn, nil
	}
	if err := r.dropFlat(drawn); err != nil {
		return nil, err
	}
	var empty []int // slots
	for _, g := range drawn {
		if g.dropped {
			empty = append(empty, g.slot)
		}
	}
	if o.Advantage.Flat == "drop" || len(empty) == 0 {
		return drawn, nil
	}
	// What is drawn in place of flat groups is a function of seed and step: the next prompts of a stream of which each step has its part.
	spares := prompts * (o.Advantage.ResampleLimit - 1)
	stream, err := r.data.Mix(r.exp.Seed ^ spareStream)
	if err != nil {
		return nil, err
	}
	rest, place := stream.Batch(step-1, spares), (step-1)*spares
	for len(empty) > 0 && len(rest) > 0 {
		n := min(len(empty), len(rest))
		more, err := r.draw(ctx, step, r.exp.Seed^spareStream, rest[:n], place, rec)
		if err != nil {
			return nil, err
		}
		if err := r.dropFlat(more); err != nil {
			return nil, err
		}
		for _, g := range more {
			if !g.dropped {
				g.slot, empty = empty[0], empty[1:]
			}
		}
		drawn, rest, place = append(drawn, more...), rest[n:], place+n
	}
	return drawn, nil
}

// draw samples and scores one group an example. place is that of the first in the stream of prompts that the seed belongs to.
func (r *runner) draw(ctx context.Context, step int, seed uint64, batch []data.Example, place int, rec *record) ([]*group, error) {
	o, groups := r.exp.GRPO, make([]*group, len(batch))
	spans := batches(len(batch), o.GroupSize)
	spent, err := r.each(ctx, rolloutPhase, len(spans), func(l *lane, i int) error {
		examples := batch[spans[i].from:spans[i].to]
		samplings := make([]sampling, len(examples))
		for j, ex := range examples {
			s := r.sampling(l, ex, o.Sampling, o.Temperature, o.MaxCompletionTokens)
			s.seed, s.first, s.count = seed, (place+spans[i].from+j)*o.GroupSize, o.GroupSize
			samplings[j] = s
		}
		drawn, err := r.rolloutAll(l, examples, samplings)
		copy(groups[spans[i].from:], drawn)
		return err
	})
	addSeconds(&rec.timing.RolloutS, spent)
	if err != nil {
		return nil, err
	}
	progress := float64(step) / float64(r.steps)
	spent, err = r.each(ctx, rewardPhase, len(batch), func(l *lane, i int) error { return groups[i].reward(l, progress) })
	addSeconds(&rec.timing.RewardS, spent)
	return groups, err
}

// dropFlat takes the groups out that have nothing to teach: those whose rewards, or with normalize_then_sum whose normalised sums, are equal.
func (r *runner) dropFlat(groups []*group) error {
	stats, err := r.advantage(groups, nil, nil)
	if err != nil {
		return err
	}
	for i, g := range groups {
		if g.dropped = stats.Groups[i].Flat; g.dropped {
			g.features = nil // nothing sees its pictures again
		}
	}
	return nil
}

// each runs work on the lanes for every i below n, as a phase of a profile, and says how long all of it took.
func (r *runner) each(ctx context.Context, phase string, n int, work func(l *lane, i int) error) (time.Duration, error) {
	r.profile.enter(phase)
	defer r.profile.enter(otherPhase)
	start := time.Now()
	err := ordered(ctx, n, len(r.lanes), n, func(lane, i int) (struct{}, error) {
		return struct{}{}, work(r.lanes[lane], i)
	}, func(int, struct{}) error { return nil }, nil)
	return time.Since(start), err
}

// addSeconds adds a duration to a nullable column.
func addSeconds(to **float64, d time.Duration) {
	sum := d.Seconds()
	if *to != nil {
		sum += **to
	}
	*to = &sum
}

// used are the groups that the update is made of, by slot.
func used(drawn []*group) []*group {
	var out []*group
	for _, g := range drawn {
		if !g.dropped {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b *group) int { return a.slot - b.slot })
	return out
}
