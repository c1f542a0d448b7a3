package report

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"mixr/runtime/table"
)

// Course is the evaluations of a run in order of step: before training, on its way and after it.
type Course struct {
	Steps  []int   `json:"steps"`  // updates that the policy had seen
	Curves []Curve `json:"curves"` // of a metric each, one value an evaluation; null where no example has it
}

// readCourse sums up the evaluations of a run; nil where there are fewer than three: before and after stand in the gain.
func readCourse(dir string) (*Course, error) {
	rows, err := table.Read[table.Eval](dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	others, err := furtherMetrics(dir)
	if err != nil {
		return nil, err
	}
	c := &Course{}
	var evaluations [][]table.Eval // rows stand in order of step
	for i, r := range rows {
		if n := len(c.Steps); n == 0 || c.Steps[n-1] != int(r.Step) {
			c.Steps, evaluations = append(c.Steps, int(r.Step)), append(evaluations, rows[i:i])
		}
		last := &evaluations[len(evaluations)-1]
		*last = (*last)[:len(*last)+1]
	}
	if len(c.Steps) < 3 {
		return nil, nil
	}
	for _, metric := range slices.Concat([]string{"reward", "correct", "format"}, others) {
		curve, seen := Curve{Name: metric}, false
		for _, of := range evaluations {
			of, _ = measure(of, metric)
			v := meanOf(of)
			seen = seen || v != nil
			curve.Values = append(curve.Values, v)
		}
		if seen {
			c.Curves = append(c.Curves, curve)
		}
	}
	return c, nil
}

// meanOf is the mean of what measure put in place of the reward, samples of an example averaged first; nil where there are no rows.
func meanOf(rows []table.Eval) *float64 {
	examples, _ := match(rows, rows)
	if len(examples) == 0 {
		return nil
	}
	sum := 0.0
	for _, e := range examples {
		own, _ := e.means()
		sum += own
	}
	sum /= float64(len(examples))
	return &sum
}

// title says what a course is over.
func (c *Course) title() string {
	return fmt.Sprintf("Held-out examples on the way: %d evaluations, steps %d to %d", len(c.Steps), c.Steps[0], c.Steps[len(c.Steps)-1])
}

// ends are the lines on how a run came to its end: the rule that stopped it, and whose policy it left.
func (l Listing) ends() (lines []fact) {
	if s := l.Stop; s != nil {
		lines = append(lines, fact{"stopped", fmt.Sprintf("at step %d of %d: %s (last %s)", s.Step, l.Steps, s.Rule, number(s.Value))})
	}
	if b := l.Best; b != nil {
		lines = append(lines, fact{"policy", fmt.Sprintf("of step %d, chosen for the highest %s (%s) of all evaluations from step 1 on",
			b.Step, b.Metric, number(b.Value))})
	}
	return lines
}

// Ends are the same as plain lines, for the end of a run.
func (l Listing) Ends() (out []string) {
	for _, f := range l.ends() {
		out = append(out, f.name+" "+f.text)
	}
	return out
}
