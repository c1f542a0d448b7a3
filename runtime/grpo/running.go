package grpo

import (
	"maps"
	"math"
)

// Running is the state of ScaleTask, by task: it goes in with Advantage and comes out of Advantaged, and belongs into a
// checkpoint. Tasks that a batch lacks, or has only rows without a total of, keep theirs.
type Running map[string]Moments

// Moments are sums over the batches so far, the newest with weight 1 - decay, the one before with (1 - decay) decay, and so
// on: Weight of 1, Mean of the batch's mean total, Square of its mean squared total. Divided by Weight they are averages from
// the first batch on, which so is normalised by its own std.
type Moments struct {
	Mean   float64 `json:"mean"`
	Square float64 `json:"square"`
	Weight float64 `json:"weight"`
}

// advance returns the running moments with a batch of totals in them.
func (o Advantage) advance(total []*float64, groups []span) Running {
	batch := map[string]*Moments{} // sums over the task's rows; Weight is their number
	for i, g := range groups {
		for _, r := range total[g.lo:g.hi] {
			if r == nil {
				continue
			}
			m := batch[o.Tasks[i]]
			if m == nil {
				m = &Moments{}
				batch[o.Tasks[i]] = m
			}
			m.Mean, m.Square, m.Weight = m.Mean+*r, m.Square+float64(*r**r), m.Weight+1
		}
	}
	out := Running{}
	maps.Copy(out, o.Running)
	for task, m := range batch {
		old, fresh := out[task], 1-o.TaskDecay
		out[task] = Moments{
			Mean:   float64(o.TaskDecay*old.Mean) + float64(fresh*(m.Mean/m.Weight)),
			Square: float64(o.TaskDecay*old.Square) + float64(fresh*(m.Square/m.Weight)),
			Weight: float64(o.TaskDecay*old.Weight) + fresh,
		}
	}
	return out
}

// spread is the running mean and std, flat if the std is 0.
func (m Moments) spread() spread {
	if m.Weight == 0 {
		return spread{flat: true}
	}
	mean := m.Mean / m.Weight
	std := math.Sqrt(max(0, m.Square/m.Weight-float64(mean*mean)))
	return spread{n: 2, mean: mean, std: std, flat: std == 0} // n: a std is defined from 2 values on, and this one always is
}
