package monitor

import (
	"fmt"
	"strings"
)

// Text says a finding to a person: what, where, how much, since when, and what to try.
func (f Finding) Text() string {
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(f.Monitor, "_", " "))
	if where := f.Where(); where != "" {
		fmt.Fprintf(&b, " in %s", where)
	}
	fmt.Fprintf(&b, ": %s", f.measured())
	if steps := f.Step - f.Since + 1; steps > 1 {
		fmt.Fprintf(&b, ", for %d steps", steps)
	}
	if remedy := Remedy(f.Monitor); remedy != "" {
		fmt.Fprintf(&b, "; %s", remedy)
	}
	return b.String()
}

// measured says the value of a finding.
func (f Finding) measured() string {
	percent := func(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }
	switch f.Monitor {
	case "advantage_collapse":
		return percent(f.Value) + " of groups without spread"
	case "bmas_saturation":
		return fmt.Sprintf("mean BMAS %.3f, the same within groups", f.Value)
	case "format_overfitting":
		return fmt.Sprintf("format up by %.2f, the task's own reward down", f.Value)
	case "cross_task_interference":
		others := "the other tasks' gradients"
		if f.Other != "" {
			others += ", of " + f.Other + " above all,"
		}
		return fmt.Sprintf("its reward falls, and %s leave %.2f of its own descent", others, f.Value)
	case "length_drift":
		return fmt.Sprintf("%.1f times as long as at first, and no better", f.Value)
	case "repetition":
		return percent(f.Value) + " of 4-grams stood in the completion before"
	case "one_answer":
		return percent(f.Value) + " of completions give one and the same answer, mostly wrong"
	case "held_out_fall":
		return fmt.Sprintf("the training reward is up, the held-out score down by %.3f", f.Value)
	case "kl_excursion":
		return fmt.Sprintf("KL %.2f nats a token", f.Value)
	case "entropy_excursion":
		return fmt.Sprintf("entropy at %.2f of the first step's", f.Value)
	case "truncation":
		return percent(f.Value) + " of completions cut at their longest length"
	default: // of a table that another version wrote
		return fmt.Sprintf("%.3g", f.Value)
	}
}

// Remedy is what to try against what a monitor finds; empty for a name that there is not.
func Remedy(monitor string) string {
	switch monitor {
	case "advantage_collapse":
		return "raise temperature or group_size, or filter examples that are too easy or too hard (advantage.flat)"
	case "bmas_saturation":
		return "give bmas a floor, or centre it, or take the source out of the mix"
	case "format_overfitting":
		return "lower rewards.format.weight, or combine rewards as gated"
	case "cross_task_interference":
		return "raise the weight of the task's sources in the mix, or train the tasks apart"
	case "length_drift":
		return "look at completions; rewards.overlong bounds length"
	case "repetition":
		return "rewards.repetition takes it off the reward"
	case "one_answer":
		return "balance the answers in the data, or raise kl or entropy_bonus"
	case "held_out_fall":
		return "read completions for what the reward takes for right; stop here (stop_when, eval.keep_best)"
	case "kl_excursion":
		return "lower learning_rate or raise kl"
	case "entropy_excursion":
		return "lower learning_rate; against a fall raise clip_high or entropy_bonus"
	case "truncation":
		return "raise max_completion_tokens, or mask what is cut (truncated)"
	default:
		return ""
	}
}
