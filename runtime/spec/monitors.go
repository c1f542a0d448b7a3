package spec

// Monitors are the names of the health monitors, in the order of the alphabet.
var Monitors = []string{
	"advantage_collapse", "bmas_saturation", "cross_task_interference", "entropy_excursion", "format_overfitting", "held_out_fall",
	"kl_excursion", "length_drift", "one_answer", "repetition", "truncation",
}

// MonitorLimits are the thresholds of the health monitors. 0 switches a monitor off, but for cross_task_interference, whose switch is
// InterferenceEvery; factors cannot be 0.
type MonitorLimits struct {
	Window                int     `json:"window"`                  // steps that are pooled
	Noise                 float64 `json:"noise"`                   // standard errors that make a rise or fall
	AdvantageCollapse     float64 `json:"advantage_collapse"`      // share of groups without spread
	BMASSaturation        float64 `json:"bmas_saturation"`         // mean BMAS
	BMASSpread            float64 `json:"bmas_spread"`             // mean deviation of BMAS within groups, at most
	FormatOverfitting     float64 `json:"format_overfitting"`      // rise of the format reward
	InterferenceEvery     int     `json:"interference_every"`      // steps between measurements of gradients by task; 0 = never
	CrossTaskInterference float64 `json:"cross_task_interference"` // share of a task's own descent that is left, at most
	LengthDrift           float64 `json:"length_drift"`            // factor of the length
	Repetition            float64 `json:"repetition"`              // share of repeated 4-grams
	OneAnswer             float64 `json:"one_answer"`              // share of the most common answer
	HeldOutFall           float64 `json:"held_out_fall"`           // standard errors
	KLExcursion           float64 `json:"kl_excursion"`            // nats a token
	EntropyLow            float64 `json:"entropy_low"`             // share of the first step's entropy
	EntropyHigh           float64 `json:"entropy_high"`            // the same upwards, a factor above 1
	Truncation            float64 `json:"truncation"`              // share of completions cut
}

// silent says why a monitor can find nothing in an experiment, in words that name the field; empty where it can.
func (g *GRPO) silent(monitor string) string {
	m := g.Monitors
	off := func(field string, limit float64) string {
		if limit == 0 {
			return "grpo.monitors." + field + " is 0: it is switched off"
		}
		return ""
	}
	switch monitor {
	case "advantage_collapse":
		return off(monitor, m.AdvantageCollapse)
	case "bmas_saturation":
		return off(monitor, m.BMASSaturation)
	case "cross_task_interference":
		if m.InterferenceEvery == 0 {
			return "grpo.monitors.interference_every is 0: no gradients are measured"
		}
	case "format_overfitting":
		return off(monitor, m.FormatOverfitting)
	case "held_out_fall":
		return off(monitor, m.HeldOutFall)
	case "kl_excursion":
		if g.KL == 0 {
			return "grpo.kl is 0: it is not computed"
		}
		return off(monitor, m.KLExcursion)
	case "one_answer":
		return off(monitor, m.OneAnswer)
	case "repetition":
		return off(monitor, m.Repetition)
	case "truncation":
		return off(monitor, m.Truncation)
	}
	return ""
}
