package grpo

import "testing"

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
