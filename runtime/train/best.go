package train

import (
	"fmt"
	"os"

	"mixr/runtime/table"
)

// best is the evaluation of a trained policy with the highest mean of the column that eval.keep_best names, the earliest of several; nil
// where none is asked for or made. It follows from the rows of the evaluations, so a run that was interrupted finds the same.
func (r *runner) best() *evaluation {
	var best *evaluation
	for _, e := range r.evaluations {
		v := e.values[r.exp.Eval.KeepBest]
		if e.step > 0 && v != nil && (best == nil || *v > *best.values[r.exp.Eval.KeepBest]) {
			best = e
		}
	}
	return best
}

// prune removes old checkpoints: the newest stay, and that of the best evaluation.
func (r *runner) prune() error {
	var also []int
	if b := r.best(); b != nil {
		also = append(also, b.step)
	}
	return r.run.Prune(r.exp.Checkpoint.Keep, also...)
}

// restoreBest gives the model the weights of the best evaluation, where eval.keep_best asks for them, and says which that is; nil where it
// does not. now is the step of the weights that the model has.
func (r *runner) restoreBest(now int) (*table.Best, error) {
	b := r.best()
	if b == nil {
		return nil, nil
	}
	metric := r.exp.Eval.KeepBest
	best := &table.Best{Step: b.step, Metric: metric, Value: *b.values[metric]}
	if b.step == now {
		return best, nil
	}
	dir := r.run.CheckpointDir(b.step)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("eval.keep_best: the checkpoint of step %d, the best, is missing: %w; bring it back, or delete the later ones too: "+
			"the run then makes these steps again", b.step, err)
	}
	r.opts.Log.Info().Int("step", b.step).Str("metric", metric).Float64("value", best.Value).Msg("best policy")
	return best, r.model.loadCheckpoint(dir, b.step, &progress{})
}
