package train

import "mixr/runtime/monitor"

// examine shows a step to the health monitors, and records what they find. Their state is part of the progress that a checkpoint seals.
func (r *runner) examine(rec *record) {
	if r.monitors == nil {
		r.monitors = monitor.New(r.exp.GRPO.Monitors, r.progress.Monitors)
	}
	m := &rec.metrics
	s := monitor.Step{Step: int(m.Step), KL: m.KL, Entropy: m.Entropy, Reward: m.RewardMean, Parts: rec.parts, Gradients: rec.measured}
	if n := len(r.evaluations); n > 0 {
		s.Evaluation = heldOut(r.evaluations[n-1])
	}
	rec.findings = r.monitors.Observe(s)
	m.Alerts, m.AlertSince, m.AlertValue = []string{}, []int32{}, []float64{} // looked at, and nothing found
	for _, f := range rec.findings {
		m.Alerts = append(m.Alerts, f.Name())
		m.AlertSince = append(m.AlertSince, int32(f.Since))
		m.AlertValue = append(m.AlertValue, f.Value)
	}
	r.progress.Monitors = r.monitors.State()
}

// heldOut is the score of an evaluation: the share of right answers, or the reward where nothing is right or wrong.
func heldOut(e *evaluation) *monitor.Evaluation {
	for _, name := range []string{"correct", "reward"} {
		if v := e.values[name]; v != nil {
			return &monitor.Evaluation{Step: e.step, Score: *v, Error: e.errors[name]}
		}
	}
	return nil
}
