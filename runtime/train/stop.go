package train

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// watch follows the stop rules through what a run records, step by step.
type watch struct {
	rules []spec.StopRule
	held  []int     // steps, or evaluations, in a row for which each rule has held
	value []float64 // that each looked at last
}

func newWatch(rules []spec.StopRule) *watch {
	return &watch{rules: rules, held: make([]int, len(rules)), value: make([]float64, len(rules))}
}

// hours is the stop metric that no table has: the time spent on the run.
const hours = "hours"

// see looks at a step that is recorded. spent is the time that the run has taken by then; negative: not known.
func (w *watch) see(m *table.Metrics, spent time.Duration) {
	for i, r := range w.rules {
		switch _, evaluated := r.Evaluated(); {
		case evaluated:
		case r.Monitor != "":
			alert := slices.IndexFunc(m.Alerts, func(a string) bool { name, _, _ := strings.Cut(a, " "); return name == r.Monitor })
			var x *float64
			if alert >= 0 && alert < len(m.AlertValue) {
				x = &m.AlertValue[alert]
			}
			w.note(i, int(m.Step), alert >= 0, x)
		case r.Metric == hours:
			if h := spent.Hours(); spent >= 0 {
				w.note(i, int(m.Step), r.Beyond(&h), &h)
			}
		default:
			x := table.Number(m, r.Metric)
			w.note(i, int(m.Step), r.Beyond(x), x)
		}
	}
}

// seeEvaluation looks at an evaluation.
func (w *watch) seeEvaluation(e *evaluation) {
	for i, r := range w.rules {
		if column, ok := r.Evaluated(); ok {
			w.note(i, e.step, r.Beyond(e.values[column]), e.values[column])
		}
	}
}

// note counts one look of a rule; steps up to its After do not count.
func (w *watch) note(i, step int, holds bool, value *float64) {
	if value != nil {
		w.value[i] = *value
	}
	switch {
	case !holds || step <= w.rules[i].After:
		w.held[i] = 0
	default:
		w.held[i]++
	}
}

// stop is the first rule that has held for long enough; nil if none has.
func (w *watch) stop(step int) *table.Stop {
	for i, r := range w.rules {
		if w.held[i] >= r.For {
			return &table.Stop{Step: step, Rule: r.String(), Value: w.value[i]}
		}
	}
	return nil
}

// stands reports whether the rules still have the one that stopped a run.
func stands(rules []spec.StopRule, stop *table.Stop) bool {
	return slices.ContainsFunc(rules, func(r spec.StopRule) bool { return stop != nil && r.String() == stop.Rule })
}

// recall takes up what earlier attempts recorded up to the checkpoint: the evaluations, what the stop rules have seen, and the time.
func (r *runner) recall() error {
	r.watch = newWatch(r.exp.StopWhen)
	evaluations, err := recorded[table.Eval](r)
	if err != nil {
		return err
	}
	for len(evaluations) > 0 {
		n := slices.IndexFunc(evaluations, func(row table.Eval) bool { return row.Step != evaluations[0].Step })
		if n < 0 {
			n = len(evaluations)
		}
		r.evaluated(evaluations[:n])
		evaluations = evaluations[n:]
	}
	if len(r.exp.StopWhen) == 0 {
		return nil
	}
	metrics, err := recorded[table.Metrics](r)
	if err != nil {
		return err
	}
	for i := range metrics {
		r.watch.see(&metrics[i], -1)
	}
	timing, err := recorded[table.Timing](r)
	if err != nil {
		return err
	}
	r.before = spent(r.run.Manifest().Attempts, timing)
	return nil
}

// recorded reads the rows of a table that are there already.
func recorded[R table.Row](r *runner) ([]R, error) {
	rows, err := table.Read[R](r.run.Dir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return rows, err
}

// spent is the time that the attempts before the last have taken. One that was killed counts up to the last step that it saved.
func spent(attempts []table.Attempt, timing []table.Timing) time.Duration {
	var sum time.Duration
	for i, a := range attempts[:len(attempts)-1] {
		end := a.End
		if end.IsZero() {
			for _, t := range timing {
				if int(t.Attempt) == i+1 && t.TEnd.After(end) {
					end = t.TEnd
				}
			}
		}
		sum += max(end.Sub(a.Start), 0)
	}
	return sum
}

// ending is where training ended.
type ending struct {
	step       int
	stop       *table.Stop  // nil: all steps were made
	evaluation []table.Eval // of the policy as it then is, if it took one to know
}

// settle does what is due at a checkpoint before the last step: the evaluation of eval.every, and what the stop rules say. It returns the
// ending, nil to go on. A run that died in it comes here again, with the same outcome.
func (r *runner) settle(ctx context.Context, step int) (*ending, error) {
	due := r.evaluates(step)
	if step == 0 || due && r.run.Covers(table.Name[table.Eval](), step) {
		return nil, nil // done before, and the run went on
	}
	if stop := r.watch.stop(step); stop != nil {
		return &ending{step: step, stop: stop}, nil
	}
	if !due {
		return nil, nil
	}
	rows, err := r.evaluate(ctx, step, during)
	if err != nil {
		return nil, err
	}
	r.evaluated(rows)
	if stop := r.watch.stop(step); stop != nil {
		for i := range rows {
			rows[i].When = after
		}
		return &ending{step, stop, rows}, nil
	}
	if err := table.Write(r.run, step, step, rows); err != nil {
		return nil, err
	}
	return nil, r.run.Commit(step)
}

// evaluates reports whether eval.every falls on a step. The last step's evaluation is the one after training.
func (r *runner) evaluates(step int) bool {
	o := r.exp.Eval
	return o.Examples > 0 && o.Every > 0 && step > 0 && step < r.steps && step%o.Every == 0
}

// evaluated takes up an evaluation that was made.
func (r *runner) evaluated(rows []table.Eval) {
	e := summarise(rows)
	r.evaluations = append(r.evaluations, e)
	r.watch.seeEvaluation(e)
}

// evaluation is what the run itself looks at of an evaluation.
type evaluation struct {
	step   int
	values map[string]*float64 // means over all samples of reward, correct, format and parsed; nil where no sample has a value
	errors map[string]float64  // the standard error of each, over examples; 0 for fewer than two
}

// summarise takes the rows of one evaluation, at least one. Completions beside the samples are left out.
func summarise(rows []table.Eval) *evaluation {
	e := &evaluation{step: int(rows[0].Step), values: map[string]*float64{}, errors: map[string]float64{}}
	for name, of := range map[string]func(*table.Eval) *float64{
		"reward":  func(r *table.Eval) *float64 { return &r.Reward },
		"correct": func(r *table.Eval) *float64 { return truth(r.Correct) },
		"format":  func(r *table.Eval) *float64 { return r.Format },
		"parsed":  func(r *table.Eval) *float64 { return truth(&r.Parsed) },
	} {
		sum, n := 0.0, 0
		type key struct{ source, id string }
		var order []key
		values := map[key][]float64{}
		for i := range rows {
			row := &rows[i]
			v := of(row)
			if v == nil || row.Beside() {
				continue
			}
			sum, n = sum+*v, n+1
			k := key{row.Source, row.ExampleID}
			if values[k] == nil {
				order = append(order, k)
			}
			values[k] = append(values[k], *v)
		}
		if n == 0 {
			continue
		}
		mean := sum / float64(n)
		e.values[name] = &mean
		if len(order) > 1 {
			var means []float64
			for _, k := range order {
				means = append(means, average(values[k]))
			}
			e.errors[name] = deviation(means) / math.Sqrt(float64(len(means)))
		}
	}
	return e
}

// truth is 1 for true, 0 for false, nil for nil.
func truth(b *bool) *float64 {
	if b == nil {
		return nil
	}
	x := 0.0
	if *b {
		x = 1
	}
	return &x
}
