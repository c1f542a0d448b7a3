package monitor

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/spec"
)

// limits are the defaults, but a window of 3 steps.
func limits() spec.MonitorLimits {
	return spec.MonitorLimits{
		Window: 3, Noise: 4, AdvantageCollapse: 0.8, BMASSaturation: 0.95, BMASSpread: 0.01, FormatOverfitting: 0.2, InterferenceEvery: 1,
		LengthDrift: 2, Repetition: 0.4, OneAnswer: 0.95, HeldOutFall: 2, KLExcursion: 1, EntropyLow: 0.2, EntropyHigh: 3, Truncation: 0.25,
	}
}

func number(x float64) *float64 { return &x }

// healthy is a step in which nothing is wrong; its numbers move a little from step to step, and are the same on average over three.
func healthy(step int) Step {
	wave := 0.01 * float64(step%3-1)
	part := func(task string) Part {
		return Part{
			Task: task, Source: "s", Groups: 2, Flat: step % 2, Completions: 16, Truncated: step % 3, Score: 0.5 + wave, Format: 0.7, Length: 30 + wave,
			Repeat: 0.05, Answers: []Answer{{1, 9}, {2, 7}},
		}
	}
	open := part("open")
	open.BMAS = &Spread{Mean: 0.6, Within: 0.15}
	return Step{
		Step: step, KL: number(0.1), Entropy: number(0.8 + wave), Reward: number(0.7 + wave), Parts: []Part{part("mcq"), open},
		Gradients: []Gradient{{"mcq", []float64{1, 0.1}}, {"open", []float64{0.1, 2}}},
	}
}

// sick is a history of steps and what is to be found: a name, and the steps at which it is there.
type sick struct {
	name  string
	steps int
	limit func(*spec.MonitorLimits)
	step  func(*Step) // changes a healthy step
	want  string      // "NAME from step SINCE: at STEPS", one a line; empty: nothing is wrong
}

// late changes parts of the steps from one on.
func late(from int, change func(*Part)) func(*Step) {
	return func(s *Step) {
		for i := range s.Parts {
			if s.Step >= from {
				change(&s.Parts[i])
			}
		}
	}
}

// histories are what the monitors are tried on.
var histories = []sick{
	{name: "healthy", steps: 40},
	{name: "no spread", steps: 6, step: late(1, func(p *Part) { p.Flat = 2 }),
		want: "advantage_collapse mcq/s from step 3: at 3 4 5 6\nadvantage_collapse open/s from step 3: at 3 4 5 6"},
	{name: "no spread in one task", steps: 7, step: late(3, func(p *Part) {
		if p.Task == "mcq" {
			p.Flat = 2
		}
	}), want: "advantage_collapse mcq/s from step 5: at 5 6 7"}, // at step 4 it is four groups of six
	{name: "it comes back", steps: 14, step: func(s *Step) {
		if s.Step != 5 && s.Step != 6 && s.Step < 9 {
			s.Parts[0].Flat = 2
		} else {
			s.Parts[0].Flat = 0
		}
	}, want: "advantage_collapse mcq/s from step 3: at 3 4"},
	{name: "switched off", steps: 6, limit: func(l *spec.MonitorLimits) { l.AdvantageCollapse = 0 }, step: late(1, func(p *Part) { p.Flat = 2 })},
	{name: "BMAS saturates", steps: 5, step: late(1, func(p *Part) {
		if p.BMAS != nil {
			p.BMAS = &Spread{0.96, 0.005}
		}
	}), want: "bmas_saturation open/s from step 3: at 3 4 5"},
	{name: "BMAS is high and tells answers apart", steps: 5, step: late(1, func(p *Part) {
		if p.BMAS != nil {
			p.BMAS = &Spread{0.96, 0.05}
		}
	})},
	{name: "form without the task", steps: 8, step: late(4, func(p *Part) { p.Format, p.Score = 0.95, 0.2+(p.Score-0.5) }),
		want: "format_overfitting mcq/s from step 6: at 6 7 8\nformat_overfitting open/s from step 6: at 6 7 8"},
	{name: "form with the task", steps: 8, step: late(4, func(p *Part) { p.Format, p.Score = 0.95, 0.6+(p.Score-0.5) })},
	{name: "form, and the task within its noise", steps: 8, step: late(4, func(p *Part) { p.Format, p.Score = 0.95, 0.49+(p.Score-0.5) })},
	{name: "longer and no better", steps: 7, step: late(4, func(p *Part) { p.Length = 70 }),
		want: "length_drift mcq/s from step 6: at 6 7\nlength_drift open/s from step 6: at 6 7"},
	{name: "shorter and no better", steps: 6, step: late(4, func(p *Part) { p.Length = 14 }),
		want: "length_drift mcq/s from step 6: at 6\nlength_drift open/s from step 6: at 6"},
	{name: "longer and better", steps: 7, step: late(4, func(p *Part) { p.Length, p.Score = 70, 0.8+(p.Score-0.5) })},
	{name: "circles", steps: 4, step: late(1, func(p *Part) { p.Repeat = 0.5 }), want: "repetition mcq/s from step 3: at 3 4\nrepetition open/s from step 3: at 3 4"},
	{name: "one answer", steps: 4, step: late(1, func(p *Part) { p.Answers = []Answer{{7, 16}} }),
		want: "one_answer mcq/s from step 3: at 3 4\none_answer open/s from step 3: at 3 4"},
	{name: "one answer a step, and another in the next", steps: 6, step: func(s *Step) {
		for i := range s.Parts {
			s.Parts[i].Answers = []Answer{{uint64(s.Step), 16}}
		}
	}},
	{name: "one answer, which is right", steps: 4, step: late(1, func(p *Part) { p.Answers, p.Score = []Answer{{7, 16}}, 0.95 })},
	{name: "cut", steps: 4, step: late(1, func(p *Part) { p.Truncated = 5 }), want: "truncation mcq/s from step 3: at 3 4\ntruncation open/s from step 3: at 3 4"},
	{name: "KL", steps: 4, step: func(s *Step) {
		if s.Step == 2 {
			s.KL = number(1.5)
		}
	}, want: "kl_excursion from step 2: at 2"},
	{name: "no reference", steps: 4, step: func(s *Step) { s.KL = nil }},
	{name: "entropy falls", steps: 5, step: func(s *Step) {
		if s.Step > 3 {
			s.Entropy = number(0.1)
		}
	}, want: "entropy_excursion from step 4: at 4 5"},
	{name: "entropy rises", steps: 2, step: func(s *Step) { s.Entropy = number(float64(4*s.Step) - 3.5) }, want: "entropy_excursion from step 2: at 2"},
	{name: "held-out falls", steps: 12, step: func(s *Step) {
		s.Reward = number(*s.Reward + 0.02*float64(s.Step))
		s.Evaluation = &Evaluation{Step: (s.Step - 1) / 5 * 5, Score: 0.6 - 0.1*float64((s.Step-1)/5), Error: 0.02}
	}, want: "held_out_fall from step 6: at 6 7 8 9 10 11 12"}, // the evaluation after step 5; the reward is above that of steps 1 to 3
	{name: "held-out falls with the reward", steps: 12, step: func(s *Step) {
		s.Evaluation = &Evaluation{Step: (s.Step - 1) / 5 * 5, Score: 0.6 - 0.1*float64((s.Step-1)/5), Error: 0.02}
	}},
	{name: "held-out falls by its noise", steps: 12, step: func(s *Step) {
		s.Reward = number(*s.Reward + 0.02*float64(s.Step))
		s.Evaluation = &Evaluation{Step: (s.Step - 1) / 5 * 5, Score: 0.6 - 0.1*float64((s.Step-1)/5), Error: 0.2}
	}},
	{name: "another task's gradient", steps: 8, step: func(s *Step) {
		s.Gradients = []Gradient{{"mcq", []float64{1, -3}}, {"open", []float64{-3, 16}}}
		late(4, func(p *Part) {
			if p.Task == "mcq" {
				p.Score -= 0.3
			}
		})(s)
	}, want: "cross_task_interference mcq from step 6: at 6"}, // then the window before has fallen, too
	{name: "another task's gradient, and no fall", steps: 8, step: func(s *Step) {
		s.Gradients = []Gradient{{"mcq", []float64{1, -3}}, {"open", []float64{-3, 16}}}
	}},
	{name: "a fall of its own", steps: 8, step: late(4, func(p *Part) { p.Score -= 0.3 })},
	{name: "a fall, and nothing measured", steps: 8, step: func(s *Step) {
		s.Gradients = nil
		late(4, func(p *Part) { p.Score -= 0.3 })(s)
	}},
}

func TestMonitors(t *testing.T) {
	for _, test := range histories {
		t.Run(test.name, func(t *testing.T) {
			l := limits()
			if test.limit != nil {
				test.limit(&l)
			}
			if got := strings.Join(run(t, l, test, 0), "\n"); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
			// A state that went through JSON after any step goes on to the same findings, to the bit.
			for stop := 1; stop < test.steps; stop++ {
				if got := strings.Join(run(t, l, test, stop), "\n"); got != test.want {
					t.Errorf("stopped after step %d: got\n%s", stop, got)
				}
			}
		})
	}
}

// run gives what is found in a history, in the form of sick.want. After step stop the state goes through JSON.
func run(t *testing.T, l spec.MonitorLimits, s sick, stop int) []string {
	t.Helper()
	w := New(l, State{})
	at := map[string][]string{}
	for step := 1; step <= s.steps; step++ {
		in := healthy(step)
		if s.step != nil {
			s.step(&in)
		}
		for _, f := range w.Observe(in) {
			key := fmt.Sprintf("%s from step %d: at", f.Name(), f.Since)
			at[key] = append(at[key], fmt.Sprint(step))
			if f.New() != (f.Since == step) || f.Step != step {
				t.Errorf("step %d: %+v", step, f)
			}
		}
		if step == stop {
			text, err := json.Marshal(w.State())
			if err != nil {
				t.Fatal(err)
			}
			var state State
			if err := json.Unmarshal(text, &state); err != nil {
				t.Fatal(err)
			}
			w = New(l, state)
		}
	}
	var out []string
	for key, steps := range at {
		out = append(out, key+" "+strings.Join(steps, " "))
	}
	slices.Sort(out)
	return out
}

// A finding that is gone for less than a window and returns is the one it was; after a window it is a new one.
func TestSince(t *testing.T) {
	w := New(limits(), State{})
	var since []int
	for step := 1; step <= 12; step++ {
		s := healthy(step)
		if slices.Contains([]int{2, 4, 5, 9}, step) {
			s.KL = number(2)
		}
		for _, f := range w.Observe(s) {
			since = append(since, f.Since)
		}
	}
	if want := []int{2, 2, 2, 9}; !slices.Equal(since, want) {
		t.Errorf("began at %v, want %v", since, want)
	}
}

// The state does not grow with the run.
func TestStateIsBounded(t *testing.T) {
	size := func(steps int) int {
		w := New(limits(), State{})
		for step := 1; step <= steps; step++ {
			w.Observe(healthy(step))
		}
		text, err := json.Marshal(w.State())
		if err != nil {
			t.Fatal(err)
		}
		return len(text)
	}
	if short, long := size(20), size(2000); long > short+100 { // digits of the steps and of the numbers
		t.Errorf("%d bytes after 20 steps, %d after 2000", short, long)
	}
}

// Every monitor of the schema has a rule, words and a remedy of its own, and its name comes back from a table.
func TestEveryMonitor(t *testing.T) {
	if len(rules) != len(spec.Monitors) {
		t.Errorf("%d rules, the schema has %d monitors", len(rules), len(spec.Monitors))
	}
	remedies := map[string]bool{}
	for _, name := range spec.Monitors {
		f := Finding{Monitor: name, Task: "mcq", Source: "s", Other: "chart", Value: 0.5, Since: 2, Step: 9}
		text := f.Text()
		if !strings.HasPrefix(text, strings.ReplaceAll(name, "_", " ")+" in mcq/s: ") || !strings.Contains(text, ", for 8 steps; ") {
			t.Errorf("%s: %s", name, text)
		}
		remedies[Remedy(name)] = true
		if back := Named(f.Name()); back.Name() != f.Name() || !reflect.DeepEqual(back, Finding{Monitor: name, Task: "mcq", Source: "s"}) {
			t.Errorf("%q comes back as %+v", f.Name(), back)
		}
	}
	if len(remedies) != len(spec.Monitors) {
		t.Errorf("%d remedies for %d monitors", len(remedies), len(spec.Monitors))
	}
	if !slices.IsSorted(spec.Monitors) {
		t.Errorf("spec.Monitors is not in the order of the alphabet: %v", spec.Monitors)
	}
}

// Every limit decides: some history has other findings under another value of it.
func TestEveryLimit(t *testing.T) {
	cases := map[string]struct {
		history string
		change  func(*spec.MonitorLimits)
	}{
		"Window":                {"no spread", func(l *spec.MonitorLimits) { l.Window = 4 }},
		"Noise":                 {"form, and the task within its noise", func(l *spec.MonitorLimits) { l.Noise = 0.5 }},
		"AdvantageCollapse":     {"no spread", func(l *spec.MonitorLimits) { l.AdvantageCollapse = 0 }},
		"BMASSaturation":        {"BMAS saturates", func(l *spec.MonitorLimits) { l.BMASSaturation = 0.97 }},
		"BMASSpread":            {"BMAS saturates", func(l *spec.MonitorLimits) { l.BMASSpread = 0.004 }},
		"FormatOverfitting":     {"form without the task", func(l *spec.MonitorLimits) { l.FormatOverfitting = 0.3 }},
		"InterferenceEvery":     {"another task's gradient", func(l *spec.MonitorLimits) { l.InterferenceEvery = 0 }},
		"CrossTaskInterference": {"another task's gradient", func(l *spec.MonitorLimits) { l.CrossTaskInterference = -3 }},
		"LengthDrift":           {"longer and no better", func(l *spec.MonitorLimits) { l.LengthDrift = 3 }},
		"Repetition":            {"circles", func(l *spec.MonitorLimits) { l.Repetition = 0.6 }},
		"OneAnswer":             {"one answer", func(l *spec.MonitorLimits) { l.OneAnswer = 0 }},
		"HeldOutFall":           {"held-out falls", func(l *spec.MonitorLimits) { l.HeldOutFall = 20 }},
		"KLExcursion":           {"KL", func(l *spec.MonitorLimits) { l.KLExcursion = 2 }},
		"EntropyLow":            {"entropy falls", func(l *spec.MonitorLimits) { l.EntropyLow = 0.1 }},
		"EntropyHigh":           {"entropy rises", func(l *spec.MonitorLimits) { l.EntropyHigh = 10 }},
		"Truncation":            {"cut", func(l *spec.MonitorLimits) { l.Truncation = 0.4 }},
	}
	for name, c := range cases {
		if _, ok := reflect.TypeFor[spec.MonitorLimits]().FieldByName(name); !ok {
			t.Errorf("there is no limit %s", name)
		}
		at := slices.IndexFunc(histories, func(s sick) bool { return s.name == c.history })
		l := limits()
		before := run(t, l, histories[at], 0)
		c.change(&l)
		if after := run(t, l, histories[at], 0); slices.Equal(before, after) {
			t.Errorf("%s: %s has the same findings: %v", name, c.history, after)
		}
	}
	if n := reflect.TypeFor[spec.MonitorLimits]().NumField(); len(cases) != n {
		t.Errorf("%d limits have a case, there are %d", len(cases), n)
	}
}
