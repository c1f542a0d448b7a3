package grpo

import (
	"fmt"
	"testing"

	"mixr/runtime/fixture"
)

func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		kind        string
		step, steps int
		warmup      float64
		want        float64
	}{
		{"constant", 0, 10, 0, 1}, {"constant", 9, 10, 0, 1},
		{"constant", 0, 10, 0.2, 0.5}, {"constant", 1, 10, 0.2, 1}, {"constant", 2, 10, 0.2, 1},
		{"constant", 0, 100, 0.05, 0.2}, {"constant", 4, 100, 0.05, 1},
		{"constant", 0, 30, 0.05, 0.5}, // warm-up of 1.5 updates is rounded up
		{"linear", 0, 4, 0, 1}, {"linear", 1, 4, 0, 0.75}, {"linear", 3, 4, 0, 0.25},
		{"linear", 2, 10, 0.2, 1}, {"linear", 6, 10, 0.2, 0.5}, {"linear", 9, 10, 0.2, 0.125},
		{"cosine", 0, 4, 0, 1}, {"cosine", 2, 4, 0, 0.5}, {"cosine", 3, 4, 0, 0.14644661},
		{"cosine", 0, 1, 0, 1}, {"linear", 0, 1, 1, 1}, {"linear", 3, 4, 1, 1},
	} {
		got, err := Schedule(c.kind, c.step, c.steps, c.warmup)
		noError(t, err)
		near(t, c.kind, got, c.want, 1e-8)
	}
	for _, kind := range []string{"constant", "linear", "cosine"} {
		for step := range 50 {
			if f, err := Schedule(kind, step, 50, 0.1); err != nil || !(f > 0 && f <= 1) {
				t.Errorf("%s at %d: got %v, %v; want a factor in (0, 1]", kind, step, f, err)
			}
		}
	}
	for _, err := range []error{
		second(Schedule("step", 0, 1, 0)), second(Schedule("linear", 1, 1, 0)), second(Schedule("linear", -1, 1, 0)), second(Schedule("linear", 0, 1, 2)),
	} {
		if err == nil {
			t.Error("a bad schedule was accepted")
		}
	}
}

func second(_ float64, err error) error { return err }

// TestScheduleEqualsTransformers: after the warm-up the factors are those of transformers.get_scheduler, and in it they are one update
// ahead, so that the first update moves.
func TestScheduleEqualsTransformers(t *testing.T) {
	var want struct {
		Schedules []struct {
			Kind          string
			Steps, Warmup int
			WarmupFrac    float64 `json:"warmup_frac"`
			Factors       []float64
		}
	}
	fixture.Load(t, "optimizer/torch.json", &want)
	if len(want.Schedules) < 20 {
		t.Fatalf("%d schedules", len(want.Schedules))
	}
	for _, c := range want.Schedules {
		for step := range c.Steps {
			got, err := Schedule(c.Kind, step, c.Steps, c.WarmupFrac)
			noError(t, err)
			theirs := step
			if step < c.Warmup {
				theirs++
			}
			near(t, fmt.Sprintf("%s of %d, warm-up %d, update %d", c.Kind, c.Steps, c.Warmup, step), got, c.Factors[theirs], 1e-12)
		}
	}
}
