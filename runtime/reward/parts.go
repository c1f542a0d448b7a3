package reward

import "mixr/runtime/spec"

// Parts are the components that an experiment's reward is a weighted sum of, for advantages that normalise each of them by itself:
//
//	Reward = sum of weight * value over the values that are there
//
// in the order matching, chart, iou, bmas, text, format, overlong, repetition.
type Parts struct {
	Weights []float64
	gated   bool
}

// NewParts returns the components of an experiment's rewards. What the experiment does not declare has weight 0 and no values.
func NewParts(r spec.Rewards) Parts {
	p := Parts{Weights: make([]float64, 8), gated: r.Combine == "gated"}
	task := 1.0 // of the task's weight, that rewards.combine leaves
	if r.Combine == "convex" && r.Format != nil {
		task -= r.Format.Weight
	}
	if r.Matching != nil {
		p.Weights[0] = task * r.Matching.Weight
	}
	if r.Chart != nil {
		p.Weights[1] = task * r.Chart.Weight
	}
	if r.IoU != nil {
		p.Weights[2] = task * r.IoU.Weight
	}
	if r.BMAS != nil {
		p.Weights[3] = task * r.BMAS.Weight
	}
	if r.Text != nil {
		p.Weights[4] = task * r.Text.Weight
	}
	if r.Format != nil {
		p.Weights[5] = r.Format.Weight
	}
	if r.Overlong != nil {
		p.Weights[6] = r.Overlong.Weight
	}
	if r.Repetition != nil {
		p.Weights[7] = r.Repetition.Weight
	}
	return p
}

// Values are the components of a result, nil where one does not apply. With rewards.combine gated the task counts 0 behind a form that
// is not whole, whatever its own value is.
func (p Parts) Values(r Result) []*float64 {
	out := []*float64{r.Matching, r.Chart, r.IoU, r.BMAS, r.Text, r.Format, r.Overlong, r.Repetition}
	if p.gated && r.Format != nil && *r.Format < 1 {
		for i := range out[:5] {
			if out[i] != nil {
				out[i] = new(float64)
			}
		}
	}
	return out
}
