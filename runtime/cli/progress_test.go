package cli

import (
	"strings"
	"testing"
	"time"

	"mixr/runtime/monitor"
	"mixr/runtime/table"
	"mixr/runtime/train"
)

// TestProgressLines: what a log file gets of a run that goes on at step 10 of 20, three seconds a step.
func TestProgressLines(t *testing.T) {
	var out strings.Builder
	p := newProgress(newScreen(&out), "trial")
	clock := time.Unix(0, 0)
	p.now, p.last = func() time.Time { return clock }, clock
	reward := 0.5
	for step := 11; step <= 20; step++ {
		clock = clock.Add(3 * time.Second)
		p.event(train.Event{Phase: "train", Done: step, Total: 20, Metrics: &table.Metrics{RewardMean: &reward}})
	}
	for i := range 100 {
		clock = clock.Add(10 * time.Millisecond) // too fast for more than the last line
		p.event(train.Event{Phase: "evaluate after", Done: i + 1, Total: 100})
	}
	for _, done := range []int{32, 64, 96} { // prompts that decode side by side are told at once
		clock = clock.Add(8 * time.Second)
		p.event(train.Event{Phase: "evaluate at step 20", Done: done, Total: 96})
	}
	want := `trial: train 12/20  reward 0.500  eta 24s
trial: train 14/20  reward 0.500  eta 18s
trial: train 16/20  reward 0.500  eta 12s
trial: train 18/20  reward 0.500  eta 6s
trial: train 20/20  reward 0.500  in 30s
trial: evaluate after 100/100  in 1s
trial: evaluate at step 20 32/96  eta 16s
trial: evaluate at step 20 64/96  eta 8s
trial: evaluate at step 20 96/96  in 24s
`
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestProgressOfHealth: a finding is told once, at the step where it begins.
func TestProgressOfHealth(t *testing.T) {
	var out strings.Builder
	p := newProgress(newScreen(&out), "trial")
	clock := time.Unix(0, 0)
	p.now, p.last = func() time.Time { return clock }, clock
	for step := 41; step <= 43; step++ {
		p.event(train.Event{Phase: "train", Done: step, Total: 100, Findings: []monitor.Finding{
			{Monitor: "advantage_collapse", Task: "mcq", Source: "nlvr", Value: 0.875, Since: 41, Step: step},
			{Monitor: "kl_excursion", Value: 1.5, Since: 43, Step: step},
		}})
	}
	want := `trial: step 41: advantage collapse in mcq/nlvr: 88 % of groups without spread; raise temperature or group_size, or filter examples that are too easy or too hard (advantage.flat)
trial: step 43: kl excursion: KL 1.50 nats a token; lower learning_rate or raise kl
`
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"ort-lib", "cache-dir", "results", "workers", "in-flight", "log-level"}
	for word, want := range map[string]string{"worker": "workers", "WORKERS": "workers", "log-lvl": "log-level", "device": "", "x": ""} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
