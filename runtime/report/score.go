package report

import (
	"errors"
	"fmt"
	"io/fs"

	"mixr/runtime/table"
)

// Evaluation is how a policy did on held-out examples, without a comparison.
type Evaluation struct {
	Scores   []Score  `json:"scores"`
	Warnings []string `json:"warnings,omitempty"`
}

// Score is the mean over the examples of a task and source. Samples of an example are averaged first.
type Score struct {
	Task             string    `json:"task"`   // empty: all tasks
	Source           string    `json:"source"` // empty: all sources of the task
	N                int       `json:"n"`      // examples
	Reward           float64   `json:"reward"`
	RewardInterval   *Interval `json:"reward_interval"`   // null where the examples show no spread
	Format           *float64  `json:"format"`            // null without a format reward
	Accuracy         *float64  `json:"accuracy"`          // share of right answers; null unless each is right or wrong
	AccuracyInterval *Interval `json:"accuracy_interval"` // null where the examples show no spread
	Parsed           float64   `json:"parsed"`            // share of answers that the reward could read
	Others           []Value   `json:"others,omitempty"`  // further metrics
}

// Value is the mean of a metric over the examples that have it.
type Value struct {
	Metric   string    `json:"metric"`
	N        int       `json:"n"` // examples
	Mean     float64   `json:"mean"`
	Interval *Interval `json:"interval"` // null where the examples show no spread
}

// ReadEvaluation sums up a run's evaluation after training, of a run of stage eval the only one. A run that has none yet gives no Scores
// and a warning.
func ReadEvaluation(dir string) (*Evaluation, error) {
	m, err := table.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	rows, err := table.Read[table.Eval](dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	e := &Evaluation{Scores: []Score{}}
	all := at(rows, after)
	rows, left := measure(all, Metrics[0])
	if left > 0 {
		e.Warnings = append(e.Warnings, without(left, Metrics[0]))
	}
	if len(rows) == 0 {
		e.Warnings = append(e.Warnings, "no evaluation yet")
		return e, nil
	}
	examples, _ := match(rows, rows)
	each(examples, func(task, source string, of []example) {
		e.Scores = append(e.Scores, score(task, source, of, fmt.Sprintf("%s|score|%s|%s", m.Fingerprint["combined"], task, source)))
	})
	others, err := furtherMetrics(dir)
	if err != nil {
		return nil, err
	}
	for _, metric := range others {
		e.addMetric(all, metric, m.Fingerprint["combined"])
	}
	cut := 0
	for _, r := range rows {
		if r.Finish == "length" {
			cut++
		}
	}
	if cut > 0 {
		e.Warnings = append(e.Warnings, fmt.Sprintf("%d of %d completions were cut at eval.max_completion_tokens", cut, len(rows)))
	}
	return e, nil
}

// addMetric adds a metric to the scores of the tasks and sources that have it.
func (e *Evaluation) addMetric(rows []table.Eval, metric, key string) {
	rows, _ = measure(rows, metric)
	examples, _ := match(rows, rows)
	for i := range e.Scores {
		s := &e.Scores[i]
		var values []float64
		for _, x := range examples {
			if (s.Task == "" || x.task == s.Task) && (s.Source == "" || x.source == s.Source) {
				mean, _ := x.means()
				values = append(values, mean)
			}
		}
		if len(values) > 0 {
			interval := bootstrap(values, fmt.Sprintf("%s|%s|%s|%s", key, metric, s.Task, s.Source))
			s.Others = append(s.Others, Value{metric, len(values), seedMeans([][]float64{values})[0], interval})
		}
	}
}

func score(task, source string, examples []example, key string) Score {
	s := Score{Task: task, Source: source, N: len(examples)}
	value := func(of func(table.Eval) *float64) (mean *float64, interval *Interval) {
		var values []float64
		sum := 0.0
		for _, e := range examples {
			v := 0.0
			for _, p := range e.pairs {
				x := finite(of(p.a))
				if x == nil {
					return nil, nil
				}
				v += *x / float64(len(e.pairs))
			}
			values = append(values, v)
			sum += v
		}
		sum /= float64(len(examples))
		return &sum, bootstrap(values, key)
	}
	reward, interval := value(func(r table.Eval) *float64 { return &r.Reward })
	s.Reward, s.RewardInterval = *reward, interval
	s.Format, _ = value(func(r table.Eval) *float64 { return r.Format })
	s.Accuracy, s.AccuracyInterval = value(func(r table.Eval) *float64 { return share(r.Correct) })
	parsed, _ := value(func(r table.Eval) *float64 { return share(&r.Parsed) })
	s.Parsed = *parsed
	return s
}

// share is 1 for true, 0 for false, nil for nil.
func share(b *bool) *float64 {
	if b == nil {
		return nil
	}
	x := 0.0
	if *b {
		x = 1
	}
	return &x
}
