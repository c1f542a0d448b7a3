package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"mixr/runtime/table"
)

// rung gathers the held-out rewards after training of one rung's trials.
type rung struct {
	name   string
	trials int
	tasks  map[string][]float64 // task -> mean over examples of each trial that has finished; "" = all tasks
}

// add counts a trial with its mean rewards by task; nil where it has not finished.
func (r *rung) add(means map[string]float64) {
	r.trials++
	for task, mean := range means {
		r.tasks[task] = append(r.tasks[task], mean)
	}
}

// rungOf is the rung in the name of a study's trial, STUDY/RUNG/seed-N.
func rungOf(trial string) string {
	_, rung, _ := strings.Cut(trial, "/")
	if at := strings.LastIndex(rung, "/seed-"); at >= 0 {
		rung = rung[:at]
	}
	return rung
}

// printStudy prints a row a rung: mean reward after training of each task, over seeds. It reads the runs, so it covers those of
// earlier commands. A rung that equals another has that one's run, and a row of its own.
func (a *app) printStudy(all []scheduled) error {
	if !slices.ContainsFunc(all, func(s scheduled) bool { return s.Experiment.Eval.Examples > 0 }) {
		return nil // nothing is measured
	}
	var rungs []*rung
	var tasks []string
	for _, s := range all {
		means, err := rewardsAfter(s.dir)
		if err != nil {
			return err
		}
		names := []string{s.Labels["rung"]}
		for _, trial := range s.Also {
			names = append(names, rungOf(trial))
		}
		for _, name := range names {
			at := slices.IndexFunc(rungs, func(r *rung) bool { return r.name == name })
			if at < 0 {
				at = len(rungs)
				rungs = append(rungs, &rung{name: name, tasks: map[string][]float64{}})
			}
			rungs[at].add(means)
		}
		for task := range means {
			if task != "" && !slices.Contains(tasks, task) {
				tasks = append(tasks, task)
			}
		}
	}
	slices.SortFunc(tasks, byTask)
	rows := [][]string{append(append([]string{"RUNG", "SEEDS"}, tasks...), "all")}
	for _, r := range rungs {
		row := []string{r.name, fmt.Sprint(r.trials)}
		if n := len(r.tasks[""]); n < r.trials {
			row[1] = fmt.Sprintf("%d of %d", n, r.trials)
		}
		for _, task := range append(slices.Clone(tasks), "") {
			row = append(row, spread(r.tasks[task]))
		}
		rows = append(rows, row)
	}
	fmt.Fprintf(a.out, "\n%s: reward after training, mean over seeds (± standard deviation)\n", all[0].Experiment.Name)
	return columns(a.out, rows)
}

// rewardsAfter is the mean reward of a run's evaluation after training, by task; nil if it has none yet.
func rewardsAfter(dir string) (map[string]float64, error) {
	rows, err := table.Read[table.Eval](dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sums, counts := map[string]float64{}, map[string]int{}
	for _, row := range rows {
		if row.When != "after" || row.Beside() {
			continue
		}
		for _, task := range []string{row.Task, ""} {
			sums[task] += row.Reward
			counts[task]++
		}
	}
	for task, n := range counts {
		sums[task] /= float64(n)
	}
	return sums, nil
}

// byTask orders tasks as the schema lists them.
func byTask(a, b string) int {
	order := []string{"yesno", "mcq", "chart", "grounding", "open"}
	return slices.Index(order, a) - slices.Index(order, b)
}

// spread is "0.512 ± 0.031" over seeds; one seed has no spread.
func spread(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	mean := 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	if len(values) == 1 {
		return fmt.Sprintf("%.3f", mean)
	}
	sum := 0.0
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return fmt.Sprintf("%.3f ± %.3f", mean, math.Sqrt(sum/float64(len(values)-1)))
}
