package grpo

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// column makes rows of one component; NaN stands for a component that does not apply.
func column(values ...float64) [][]*float64 {
	rows := make([][]*float64, len(values))
	for i := range values {
		rows[i] = []*float64{&values[i]}
		if math.IsNaN(values[i]) {
			rows[i][0] = nil
		}
	}
	return rows
}

var null = math.NaN()

func groupScale(size int) Advantage {
	return Advantage{GroupSize: size, Scale: ScaleGroup, Std: StdSample, StdEps: 1e-4}
}

func advantages(t *testing.T, o Advantage, values ...float64) []float64 {
	t.Helper()
	got, err := Advantages(column(values...), []float64{1}, o)
	noError(t, err)
	return got.Advantage
}

// TestPublishedAdvantages: numbers printed in papers or pinned by the tests of other frameworks. The same rewards, the
// same word, different maths.
func TestPublishedAdvantages(t *testing.T) {
	o := func(std Std, scale Scale, eps float64, size int) Advantage {
		return Advantage{GroupSize: size, Scale: scale, Std: std, StdEps: eps}
	}
	for _, c := range []struct {
		name    string
		o       Advantage
		rewards []float64
		want    []float64
		tol     float64
	}{
		{"TRL, ms-swift, VLM-R1", o(StdSample, ScaleGroup, 1e-4, 4), []float64{1, 0, 0, 0}, []float64{1.49970006, -.49990002, -.49990002, -.49990002}, 1e-8},
		{"verl, EasyR1", o(StdSample, ScaleGroup, 1e-6, 4), []float64{1, 0, 0, 0}, []float64{1.499997, -.499999, -.499999, -.499999}, 1e-6},
		{"OpenRLHF", o(StdSample, ScaleGroup, 1e-9, 4), []float64{1, 0, 0, 0}, []float64{1.5, -.5, -.5, -.5}, 1e-8},
		{"TRL asynchronous", o(StdPopulation, ScaleGroup, 1e-8, 4), []float64{1, 0, 0, 0}, []float64{1.73205, -.57735, -.57735, -.57735}, 1e-5},
		{"prime-rl, tinker-cookbook", o(StdSample, ScaleNone, 0, 4), []float64{1, 0, 0, 0}, []float64{.75, -.25, -.25, -.25}, 0},
		{"two pairs", o(StdSample, ScaleGroup, 0, 2), []float64{2, 2, 1, 3}, []float64{0, 0, -math.Sqrt2 / 2, math.Sqrt2 / 2}, 1e-12},
		{"population pair", o(StdPopulation, ScaleGroup, 0, 2), []float64{1, 3}, []float64{-1, 1}, 1e-12},
		{"the Mixed-R1 example", o(StdPopulation, ScaleGroup, 0, 8), []float64{0, 0, 1, 0, 1, 0, 0, 1}, []float64{-.7746, -.7746, 1.291, -.7746, 1.291, -.7746, -.7746, 1.291}, 1e-4},
		{"and with the sample std", o(StdSample, ScaleGroup, 1e-4, 8), []float64{0, 0, 1, 0, 1, 0, 0, 1}, []float64{-.72444, -.72444, 1.2074, -.72444, 1.2074, -.72444, -.72444, 1.2074}, 1e-4},
		{"the bound at G = 8", o(StdSample, ScaleGroup, 0, 8), []float64{1, 0, 0, 0, 0, 0, 0, 0}, []float64{7 / math.Sqrt(8), -1 / math.Sqrt(8), -1 / math.Sqrt(8), -1 / math.Sqrt(8), -1 / math.Sqrt(8), -1 / math.Sqrt(8), -1 / math.Sqrt(8), -1 / math.Sqrt(8)}, 1e-12},
	} {
		t.Run(c.name, func(t *testing.T) {
			nearRows(t, "A", [][]float64{advantages(t, c.o, c.rewards...)}, [][]float64{c.want}, c.tol)
		})
	}
}

func TestNullAwareStd(t *testing.T) {
	for _, c := range []struct {
		rewards []float64
		want    GroupStat
	}{
		{[]float64{1, 2, 3, null}, GroupStat{Valid: 3, Mean: 2, Std: 1}},
		{[]float64{3, 5, null, null}, GroupStat{Valid: 2, Mean: 4, Std: math.Sqrt2}},
		{[]float64{3, null, null, null}, GroupStat{Valid: 1, Mean: 3, Flat: true}},
		{[]float64{null, null, null, null}, GroupStat{Flat: true}},
		{[]float64{2, 2, 2, null}, GroupStat{Valid: 3, Mean: 2, Flat: true}},
	} {
		got, err := Advantages(column(c.rewards...), []float64{1}, groupScale(4))
		noError(t, err)
		if g := got.Groups[0]; g.Valid != c.want.Valid || g.Flat != c.want.Flat || math.Abs(g.Mean-c.want.Mean) > 1e-12 || math.Abs(g.Std-c.want.Std) > 1e-12 {
			t.Errorf("%v: got %+v, want %+v", c.rewards, g, c.want)
		}
	}
}

// TestNullRules walks the table of rows that cannot be scored.
func TestNullRules(t *testing.T) {
	none := Advantage{GroupSize: 2, Scale: ScaleNone, Std: StdSample, StdEps: 1e-4}
	batch := none
	batch.Scale = ScaleBatch
	for _, c := range []struct {
		name    string
		o       Advantage
		rewards []float64
		want    []float64
	}{
		{"one valid row, group", groupScale(2), []float64{5, null, 1, 0}, []float64{0, 0, .70700680, -.70700680}},
		{"one valid row, none", none, []float64{5, null, 1, 0}, []float64{0, 0, .5, -.5}},
		{"null group, batch", batch, []float64{null, null, 1, 0}, []float64{0, 0, .70700680, -.70700680}},
		{"one valid row in the batch", batch, []float64{null, null, null, 3}, []float64{0, 0, 0, 0}},
		{"all null", groupScale(2), []float64{null, null, null, null}, []float64{0, 0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			nearRows(t, "A", [][]float64{advantages(t, c.o, c.rewards...)}, [][]float64{c.want}, 1e-8)
		})
	}
}

// TestWeightsAreNotRenormalised: a null component takes its weight with it.
func TestWeightsAreNotRenormalised(t *testing.T) {
	one, zero := 1.0, 0.0
	got, err := Advantages([][]*float64{{&one, nil}, {&one, &one}, {nil, &one}, {nil, &zero}}, []float64{0.7, 0.3}, groupScale(4))
	noError(t, err)
	for i, want := range []float64{0.7, 1, 0.3, 0} {
		near(t, "total", *got.Total[i], want, 1e-12)
	}
}

// TestEqualRewardsGiveExactlyZero guards against the rounding of the mean: eight rewards of 0.1 have the float64 mean
// 0.1 + 1.4e-17, which eps = 0 would blow up to |A| = 0.94.
func TestEqualRewardsGiveExactlyZero(t *testing.T) {
	for _, combine := range []Combine{SumThenNormalize, NormalizeThenSum} {
		for _, scale := range []Scale{ScaleGroup, ScaleBatch, ScaleNone} {
			o := Advantage{GroupSize: 8, Scale: scale, Std: StdPopulation, Combine: combine}
			if combine == NormalizeThenSum {
				o.Scale = ""
			}
			for _, a := range advantages(t, o, .1, .1, .1, .1, .1, .1, .1, .1) {
				if a != 0 {
					t.Errorf("%s %s: got %v, want exactly 0", combine, scale, a)
				}
			}
		}
	}
}

func TestAdvantageProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		values := make([]float64, 12)
		for i := range values {
			values[i] = rng.Float64()
		}
		for _, scale := range []Scale{ScaleGroup, ScaleBatch, ScaleNone} {
			o := Advantage{GroupSize: 4, Scale: scale, Std: StdSample}
			a := advantages(t, o, values...)
			for g := range 3 {
				sum := 0.0
				for _, x := range a[4*g : 4*g+4] {
					sum += x
				}
				near(t, "sum of a group", sum, 0, 1e-12)
			}
			shifted, permuted := make([]float64, 12), make([]float64, 12)
			for i, v := range values {
				shifted[i] = v
				if i < 4 && scale != ScaleBatch { // the batch std sees the shift of one group
					shifted[i] += 3
				}
				permuted[i] = values[i/4*4+(i+1)%4]
			}
			nearRows(t, "shifted", [][]float64{advantages(t, o, shifted...)}, [][]float64{a}, 1e-9)
			p := advantages(t, o, permuted...)
			for i := range p {
				near(t, "permuted", p[i], a[i/4*4+(i+1)%4], 1e-12)
			}
			if scale == ScaleGroup {
				scaled := make([]float64, 12)
				for i, v := range values {
					scaled[i] = v * float64(1+i/4)
				}
				nearRows(t, "scaled", [][]float64{advantages(t, o, scaled...)}, [][]float64{a}, 1e-9)
			}
		}
	}
}

// TestTwoObjectives: GDPO of (1,1,1) and (1,-1,0) at G = 2 (published), and its treatment of a lone row.
func TestTwoObjectives(t *testing.T) {
	v := func(x float64) *float64 { return &x }
	o := Advantage{GroupSize: 2, Combine: NormalizeThenSum, Std: StdSample, StdEps: 1e-4}
	lone := [][]*float64{{v(1), nil}, {nil, v(1)}, {v(1), v(1)}, {v(0), v(0)}}
	got, err := Advantages(lone, []float64{1, 1}, o)
	noError(t, err)
	if got.Advantage[0] != 0 || got.Advantage[1] != 0 || got.Advantage[2] <= 0 {
		t.Errorf("lone rows: got %v, want 0 for the first two", got.Advantage)
	}
	if !got.Groups[0].Flat || got.Groups[1].Flat {
		t.Errorf("flat: got %+v, want the group of lone rows alone", got.Groups)
	}
	// Equal totals of components that differ are flat for the sum of totals and not here: each row wins one of them.
	got, err = Advantages([][]*float64{{v(1), v(0)}, {v(0), v(1)}, {v(1), v(1)}, {v(0), v(0)}}, []float64{1, 0.5}, o)
	noError(t, err)
	if got.Groups[0].Flat || got.Advantage[0] <= got.Advantage[1] {
		t.Errorf("components that differ: got %v, flat %t", got.Advantage, got.Groups[0].Flat)
	}
}

// TestLeaveOneOut: each reward less the mean of the others, with nulls and lone rows.
func TestLeaveOneOut(t *testing.T) {
	o := Advantage{GroupSize: 4, Baseline: LeaveOneOut, Scale: ScaleNone, Std: StdSample}
	for _, c := range []struct{ rewards, want []float64 }{
		{[]float64{1, 0, 0, 0}, []float64{1, -1. / 3, -1. / 3, -1. / 3}}, // RLOO
		{[]float64{1, 4, null, 7}, []float64{1 - 5.5, 0, 0, 7 - 2.5}},
		{[]float64{null, null, 3, null}, []float64{0, 0, 0, 0}},
		{[]float64{.1, .1, .1, .1}, []float64{0, 0, 0, 0}},
	} {
		nearRows(t, fmt.Sprint(c.rewards), [][]float64{advantages(t, o, c.rewards...)}, [][]float64{c.want}, 1e-12)
	}
	grouped := o
	grouped.Scale = ScaleGroup
	mean := grouped
	mean.Baseline = MeanBaseline
	a, b := advantages(t, grouped, 1, 4, null, 7), advantages(t, mean, 1, 4, null, 7)
	for i := range a {
		near(t, "with the std of all", a[i], b[i]*3/2, 1e-12)
	}
}

// TestRunningStd: the std of a task is that of its totals, decayed batch by batch, and no other task's.
func TestRunningStd(t *testing.T) {
	o := Advantage{GroupSize: 2, Scale: ScaleTask, Std: StdSample, TaskDecay: 0.9, Tasks: []string{"mcq", "chart"}}
	first, err := Advantages(column(0, 1, 10, 30), []float64{1}, o)
	noError(t, err)
	// One batch alone: its own population std, 0.5 and 10, whatever the decay.
	nearRows(t, "first", [][]float64{first.Advantage}, [][]float64{{-1, 1, -1, 1}}, 1e-12)

	o.Running = first.Running
	before := fmt.Sprint(o.Running)
	second, err := Advantages(column(3, 5, null, null), []float64{1}, o)
	noError(t, err)
	if fmt.Sprint(o.Running) != before {
		t.Error("the state that was handed in has changed")
	}
	if second.Running["chart"] != first.Running["chart"] {
		t.Error("a task without a total lost its state")
	}
	// Weights .1 and .09 of .19: mean (.1*4 + .09*.5)/.19, mean square (.1*17 + .09*.5)/.19.
	mean, square := (.1*4+.09*.5)/.19, (.1*17+.09*.5)/.19
	std := math.Sqrt(square - mean*mean)
	nearRows(t, "second", [][]float64{second.Advantage}, [][]float64{{-1 / std, 1 / std, 0, 0}}, 1e-12)

	var stored Running
	text, err := json.Marshal(second.Running)
	noError(t, err)
	noError(t, json.Unmarshal(text, &stored))
	if !maps.Equal(stored, second.Running) {
		t.Errorf("through a checkpoint: got %v, want %v", stored, second.Running)
	}
	// A task whose totals never differ has std 0, and advantages of 0 even without an epsilon.
	o.Tasks, o.Running = []string{"yesno"}, nil
	same, err := Advantages(column(.1, .1), []float64{1}, o)
	noError(t, err)
	nearRows(t, "equal totals", [][]float64{same.Advantage}, [][]float64{{0, 0}}, 0)
}

func TestAdvantageErrors(t *testing.T) {
	ok := groupScale(2)
	for _, c := range []struct {
		want string
		edit func(*Advantage, *[][]*float64)
	}{
		{"do not divide", func(o *Advantage, _ *[][]*float64) { o.GroupSize = 4 }},
		{"do not divide", func(o *Advantage, _ *[][]*float64) { o.GroupSize = 0 }},
		{"scale", func(o *Advantage, _ *[][]*float64) { o.Scale = "" }},
		{"std", func(o *Advantage, _ *[][]*float64) { o.Std = "biased" }},
		{"std_eps", func(o *Advantage, _ *[][]*float64) { o.StdEps = -1 }},
		{"combine", func(o *Advantage, _ *[][]*float64) { o.Combine = "other" }},
		{"baseline", func(o *Advantage, _ *[][]*float64) { o.Baseline = "median" }},
		{"baseline", func(o *Advantage, _ *[][]*float64) {
			o.Combine, o.Scale, o.Baseline = NormalizeThenSum, "", LeaveOneOut
		}},
		{"task_decay", func(o *Advantage, _ *[][]*float64) { o.Scale, o.TaskDecay = ScaleTask, 1 }},
		{"0 tasks", func(o *Advantage, _ *[][]*float64) { o.Scale = ScaleTask }},
		{"own scale", func(o *Advantage, _ *[][]*float64) { o.Combine = NormalizeThenSum }},
		{"is NaN", func(_ *Advantage, r *[][]*float64) { x := math.NaN(); (*r)[1][0] = &x }},
		{"components", func(_ *Advantage, r *[][]*float64) { (*r)[1] = nil }},
	} {
		o, rows := ok, column(1, 0)
		c.edit(&o, &rows)
		if _, err := Advantages(rows, []float64{1}, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
}
