package table

import (
	"slices"
	"testing"
)

// Numbers of every kind are found by their column, and lists, texts, nulls and unknown columns are none.
func TestNumber(t *testing.T) {
	row := Metrics{Step: 7, KL: ptr(0.5), LR: 1e-3, TokPrompt: 1 << 40, LenMax: ptr(int32(9)), Alerts: []string{"x"}, AlertValue: []float64{3}}
	for column, want := range map[string]*float64{
		"step": ptr(7.0), "kl": ptr(0.5), "lr": ptr(1e-3), "tok_prompt": ptr(float64(1 << 40)), "len_max": ptr(9.0),
		"loss": nil, "alerts": nil, "alert_value": nil, "nothing": nil, "": nil,
	} {
		if got := Number(&row, column); (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: got %v, want %v", column, got, want)
		}
	}
	names := Numbers[Metrics]()
	for _, column := range []string{"step", "loss", "n_prompts", "tok_prompt", "len_max"} {
		if !slices.Contains(names, column) {
			t.Errorf("%s is not among the numbers %v", column, names)
		}
	}
	if slices.Contains(names, "alerts") || slices.Contains(Numbers[Eval](), "correct") {
		t.Errorf("lists and truths are among the numbers: %v, %v", names, Numbers[Eval]())
	}
}
