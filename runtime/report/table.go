package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Table is a study's table: a row a rung, a column a task.
type Table struct {
	Study      string     `json:"study"`
	Metric     string     `json:"metric"`
	Against    string     `json:"against"`    // what the differences are to: before (the row before) or base (the first row)
	Components []string   `json:"components"` // rungs that add something: all but the first
	Columns    []string   `json:"columns"`    // tasks; "all" where they are several; "IQM" where three or more tasks are in all rows
	Rows       []TableRow `json:"rows"`
	Tests      int        `json:"tests"` // that Holm's correction is over
	Data       string     `json:"data"`  // hash of the examples' ids and contents
	Runs       string     `json:"runs"`  // hash of the runs' fingerprints
	Mixr       string     `json:"mixr"`  // versions that made the runs
	Warnings   []string   `json:"warnings,omitempty"`
}

// TableRow is one rung.
type TableRow struct {
	Rung    string      `json:"rung"`
	Has     []bool      `json:"has"`     // of each component
	Seeds   []uint64    `json:"seeds"`   // evaluated
	Planned int         `json:"planned"` // runs of the study, evaluated or not
	Cells   []TableCell `json:"cells"`   // one a column
}

// TableCell is a number of the table.
type TableCell struct {
	N        int       `json:"n"`        // examples that all seeds of the row evaluated; 0: the row does not have this task
	Mean     float64   `json:"mean"`     // over examples and seeds; in column IQM the interquartile mean of tasks and seeds
	Interval *Interval `json:"interval"` // of Mean over seeds, on these examples: Student's t over the seeds' means; IQM: resampled
	Delta    *Delta    `json:"delta"`    // against the other row, on the examples of both; null in the first row and for IQM
}

// TableOptions says what to put into a table.
type TableOptions struct {
	Metric string // one of Metrics; empty = reward
	Base   bool   // differences to the first row, not to the one before
}

// columns beside tasks.
const (
	allTasks      = "all"
	interquartile = "IQM"
)

// MakeTable computes a study's table from its runs.
func MakeTable(s *Study, o TableOptions) (*Table, error) {
	t := &Table{Study: s.Name, Metric: o.Metric, Against: "before"}
	if t.Metric == "" {
		t.Metric = Metrics[0]
	}
	if o.Base {
		t.Against = "base"
	}
	rungs := make([]rungData, len(s.Rungs))
	for i, r := range s.Rungs {
		if i > 0 {
			t.Components = append(t.Components, r.Name)
		}
		if err := rungs[i].read(t, s, r); err != nil {
			return nil, err
		}
	}
	t.chooseColumns(rungs)
	var tests []*Test
	for i := range rungs {
		row := TableRow{Rung: s.Rungs[i].Name, Planned: len(s.Rungs[i].Runs)}
		for _, r := range rungs[i].runs {
			row.Seeds = append(row.Seeds, r.m.Seed)
		}
		for j := range t.Components {
			row.Has = append(row.Has, j < i)
		}
		var deltas map[string]Delta
		if i > 0 {
			other := i - 1
			if o.Base {
				other = 0
			}
			deltas = rungs[i].against(&rungs[other], t)
		}
		for _, column := range t.Columns {
			c := rungs[i].cell(column, t.Columns)
			if d, ok := deltas[column]; ok {
				c.Delta = &d
				tests = append(tests, d.Test)
			}
			row.Cells = append(row.Cells, c)
		}
		t.Rows = append(t.Rows, row)
	}
	t.Tests = correct(tests)
	t.sign(rungs)
	return t, nil
}

// rungData is what was read of one rung.
type rungData struct {
	members  []member
	runs     []evaluated
	examples []example         // evaluated with every seed, paired with themselves
	tasks    map[string][2]int // task -> its range in examples
}

func (r *rungData) read(t *Table, s *Study, rung Rung) error {
	g, _ := s.Group(rung.Name)
	if len(g.Runs) == 0 {
		t.warn("%s has no runs yet", rung.Name)
		return nil
	}
	var err error
	if r.members, err = g.open(); err != nil {
		return err
	}
	var warnings []string
	if r.runs, warnings, err = evaluations(rung.Name, r.members, t.Metric); err != nil {
		return err
	}
	t.Warnings = append(t.Warnings, warnings...)
	var u Unmatched
	r.examples, u = matchRuns(r.runs, r.runs)
	if u.SomeSeed > 0 {
		t.warn("%s: %d examples left out, which not all seeds evaluated", rung.Name, u.SomeSeed)
	}
	r.tasks = map[string][2]int{allTasks: {0, len(r.examples)}}
	for i, e := range r.examples {
		if span, ok := r.tasks[e.task]; ok {
			r.tasks[e.task] = [2]int{span[0], i + 1}
		} else {
			r.tasks[e.task] = [2]int{i, i + 1}
		}
	}
	return r.sameButSeed(t, rung.Name)
}

// sameButSeed warns where the runs of a rung differ in more than their seed.
func (r *rungData) sameButSeed(t *Table, name string) error {
	c := &Comparison{}
	if err := c.compareSpec(r.members, r.members[:1], true); err != nil {
		return err
	}
	for _, w := range c.Warnings {
		t.warn("%s", strings.Replace(w, "of A", "of "+name, 1))
	}
	return nil
}

func (t *Table) warn(format string, args ...any) {
	t.Warnings = append(t.Warnings, fmt.Sprintf(format, args...))
}

// chooseColumns takes the tasks of all rows, and what sums them up.
func (t *Table) chooseColumns(rungs []rungData) {
	everywhere := map[string]int{}
	for _, r := range rungs {
		for task := range r.tasks {
			everywhere[task]++
		}
	}
	delete(everywhere, allTasks)
	t.Columns = slices.SortedFunc(maps.Keys(everywhere), taskOrder)
	shared := 0
	for _, n := range everywhere {
		if n == len(rungs) {
			shared++
		}
	}
	if len(t.Columns) > 1 {
		t.Columns = append(t.Columns, allTasks)
	}
	if shared >= 3 && shared == len(everywhere) {
		t.Columns = append(t.Columns, interquartile)
	}
}

// cell is the row's own number in a column.
func (r *rungData) cell(column string, columns []string) TableCell {
	if column == interquartile {
		return r.interquartileCell(columns)
	}
	span := r.tasks[column]
	examples := r.examples[span[0]:span[1]]
	if len(examples) == 0 {
		return TableCell{}
	}
	values := ownValues(examples)
	v := decompose(values)
	c := TableCell{N: len(examples), Mean: v.mean}
	if n := float64(len(values)); n > 1 {
		half := studentLimit(level, n-1) * math.Sqrt(squares(seedMeans(values), v.mean)/(n-1)/n)
		c.Interval = &Interval{Low: v.mean - half, High: v.mean + half}
	}
	return c
}

func (r *rungData) interquartileCell(columns []string) TableCell {
	var tasks [][][]float64
	var scores []float64
	n := 0
	for _, task := range columns {
		span, ok := r.tasks[task]
		if !ok || task == allTasks {
			continue
		}
		values := ownValues(r.examples[span[0]:span[1]])
		tasks = append(tasks, values)
		scores = append(scores, seedMeans(values)...)
		n += span[1] - span[0]
	}
	if len(scores) == 0 {
		return TableCell{}
	}
	return TableCell{
		N: n, Mean: interquartileMean(scores),
		Interval: resampleTwoLevels(tasks, interquartileMean, interquartile),
	}
}

// ownValues are the values of examples that are paired with themselves, [seed][example].
func ownValues(examples []example) [][]float64 {
	last := examples[0].pairs[len(examples[0].pairs)-1]
	values := make([][]float64, last.seed+1)
	for s := range values {
		for _, e := range examples {
			a, _ := e.of(s).means()
			values[s] = append(values[s], a)
		}
	}
	return values
}

func seedMeans(values [][]float64) []float64 {
	means := make([]float64, len(values))
	for s, row := range values {
		for _, x := range row {
			means[s] += x / float64(len(row))
		}
	}
	return means
}

// against compares a row with an earlier one, by column.
func (r *rungData) against(other *rungData, t *Table) map[string]Delta {
	out := map[string]Delta{}
	if len(r.runs) == 0 || len(other.runs) == 0 {
		return out
	}
	examples, _ := matchRuns(other.runs, r.runs)
	each(examples, func(task, source string, of []example) {
		switch {
		case task == "":
			task = allTasks
		case source != "" && len(of) != countTask(examples, task):
			return // one of several sources of the task
		}
		out[task] = compare(task, "", of, t.Study+"|"+task)
	})
	if len(examples) > 0 {
		if _, ok := out[allTasks]; !ok { // all that both rows have is of one source
			out[allTasks] = compare("", "", examples, t.Study+"|"+allTasks)
		}
	}
	return out
}

func countTask(examples []example, task string) int {
	n := 0
	for _, e := range examples {
		if e.task == task {
			n++
		}
	}
	return n
}

// sign computes the hashes, and warns of what differs between the rows and is no part of the ladder.
func (t *Table) sign(rungs []rungData) {
	data, runs := map[string]bool{}, map[string]bool{}
	var members []member
	for _, r := range rungs {
		members = append(members, r.members...)
		for _, e := range r.examples {
			data[e.source+" "+e.id+" "+e.pairs[0].a.ItemSHA] = true
		}
		for _, run := range r.runs {
			runs[run.id.Fingerprint] = true
		}
	}
	t.Data, t.Runs = hashSet(data), hashSet(runs)
	machine := gather(members, member.machine)
	t.Mixr = machine["mixr"]
	delete(machine, "host")
	for _, name := range slices.Sorted(maps.Keys(machine)) {
		if strings.Contains(machine[name], ", ") {
			t.warn("the runs also differ in %s: %s", name, machine[name])
		}
	}
	if t.Metric == Metrics[0] {
		t.sameReward(rungs)
	}
	if slices.ContainsFunc(t.Rows, func(r TableRow) bool { return len(r.Seeds) == 1 }) {
		t.Warnings = append(t.Warnings, "a row of one seed has no interval, and differences to it are not marked: they may be those of training by chance")
	}
}

// sameReward warns where the reward means something else in one row than in the row before.
func (t *Table) sameReward(rungs []rungData) {
	for i := 1; i < len(rungs); i++ {
		if len(rungs[i-1].members) == 0 || len(rungs[i].members) == 0 {
			continue
		}
		c := &Comparison{}
		if err := c.compareSpec(rungs[i-1].members[:1], rungs[i].members[:1], true); err != nil {
			continue // said when the rung was read
		}
		for _, ch := range c.Spec.Changed {
			if rewardDiffers(ch) {
				t.warn("%s is rewarded otherwise than %s (%s): compare another metric than the reward", t.Rows[i].Rung, t.Rows[i-1].Rung, ch.Path)
			}
		}
	}
}

// rewardDiffers reports a value that gives examples of both sides another reward. Blocks of task rewards come and go with their tasks;
// format and penalties are part of every task's reward.
func rewardDiffers(ch Change) bool {
	everyTask := slices.ContainsFunc([]string{"rewards.format.", "rewards.overlong.", "rewards.repetition."}, func(block string) bool {
		return strings.HasPrefix(ch.Path, block)
	})
	both := ch.A.Value != nil && ch.B.Value != nil
	return everyTask || both && (strings.HasPrefix(ch.Path, "rewards.") || strings.HasPrefix(ch.Path, "route."))
}

// hashSet is the beginning of a hash of texts, whatever their order.
func hashSet(set map[string]bool) string {
	sum := sha256.New()
	for _, line := range slices.Sorted(maps.Keys(set)) {
		_, _ = io.WriteString(sum, line+"\n") // a hash takes everything
	}
	return hex.EncodeToString(sum.Sum(nil))[:8]
}
