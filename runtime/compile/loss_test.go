package compile

import (
	"slices"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/spec"
)

// lossInputs are the inputs that only a loss reads.
var lossInputs = []string{"advantage", "weight", "old", "mean", "row", "row_log_ratio", "ref", "kl_weight", "entropy_weight"}

// TestVariantInputs: each variant reads what its formula has and nothing else, of whole rows and layer by layer.
func TestVariantInputs(t *testing.T) {
	capped := 5.0
	for _, c := range []struct {
		name  string
		edit  func(o *spec.GRPO)
		whole []string // besides advantage and weight
		parts []string // the same, of the layered head; nil = as whole
		kl    bool     // is an output
	}{
		{name: "grpo", edit: func(*spec.GRPO) {}},
		{name: "kl", edit: func(o *spec.GRPO) { o.KL = 0.1 }, whole: []string{"ref"}, kl: true},
		{name: "kl in the reward", edit: func(o *spec.GRPO) { o.KL, o.KLIn = 0.1, "reward" }},
		{name: "passes", edit: func(o *spec.GRPO) { o.Iterations = 2 }, whole: []string{"old"}},
		{name: "minibatches", edit: func(o *spec.GRPO) { o.Minibatches = 2 }, whole: []string{"old"}},
		{name: "correction", edit: func(o *spec.GRPO) { o.Correction, o.KL = "token_truncate", 0.1 }, whole: []string{"old", "ref", "kl_weight"}, kl: true},
		{name: "entropy mask", edit: func(o *spec.GRPO) { o.EntropyShare, o.KL = 0.2, 0.1 }, whole: []string{"ref", "kl_weight"}, kl: true},
		{name: "entropy mask without kl", edit: func(o *spec.GRPO) { o.EntropyShare = 0.2 }},
		{name: "off-policy mask", edit: func(o *spec.GRPO) { o.OffPolicyDrift, o.KL = 0.1, 0.1 }, whole: []string{"ref", "kl_weight"}, kl: true},
		{name: "entropy bonus", edit: func(o *spec.GRPO) { o.EntropyBonus = 0.01 }, whole: []string{"entropy_weight"}},
		{name: "gspo on policy", edit: func(o *spec.GRPO) { o.Loss = "gspo" }},
		{name: "gspo", edit: func(o *spec.GRPO) { o.Loss, o.Iterations = "gspo", 2 },
			whole: []string{"old", "mean", "row"}, parts: []string{"row_log_ratio"}},
		{name: "grpo, of sequences", edit: func(o *spec.GRPO) { o.Level, o.Iterations = "sequence", 2 },
			whole: []string{"old", "mean", "row"}, parts: []string{"row_log_ratio"}},
		{name: "gspo, of tokens", edit: func(o *spec.GRPO) { o.Loss, o.Level, o.Iterations = "gspo", "token", 2 }, whole: []string{"old"}},
		{name: "cispo", edit: func(o *spec.GRPO) { o.Loss, o.RatioCap, o.Iterations = "cispo", &capped, 2 }, whole: []string{"old"}},
		{name: "sapo", edit: func(o *spec.GRPO) { o.Loss, o.Iterations, o.TauPositive, o.TauNegative = "sapo", 2, 1, 1.05 }, whole: []string{"old"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.parts == nil {
				c.parts = c.whole
			}
			e := grpoWith(func(e *spec.Experiment) { c.edit(e.GRPO) })
			p := compiled(t, e, tiny())
			layered := compiled(t, grpoWith(recompute, func(e *spec.Experiment) { c.edit(e.GRPO) }), tiny())
			for _, x := range []struct {
				g    *graph.Graph
				want []string
			}{{p.Gradient, c.whole}, {layered.Layered.Head, c.parts}} {
				var got []string
				for _, name := range lossInputs {
					if input(x.g, name) != nil {
						got = append(got, name)
					}
				}
				if want := append([]string{"advantage", "weight"}, x.want...); !slices.Equal(got, want) {
					t.Errorf("%s reads %v, want %v", x.g.Name(), got, want)
				}
				if output(x.g, "kl") != c.kl {
					t.Errorf("%s gives kl: %t", x.g.Name(), !c.kl)
				}
			}
			for _, g := range []*graph.Graph{p.Score, layered.Layered.Score} {
				if want := e.GRPO.EntropyShare < 1; output(g, "entropy") != want || p.ScoresEntropy != want {
					t.Errorf("%s gives entropy: %t", g.Name(), !want)
				}
			}
			if want := slices.Contains(c.whole, "row"); p.RatioOfRows != want {
				t.Errorf("ratio of rows: %t", !want)
			}
			if p.HasReference != (e.GRPO.KL > 0) {
				t.Errorf("has a reference: %t", p.HasReference)
			}
		})
	}
}

// A variant that makes no sense is an error of Compile, as it is of vet.
func TestVariantErrors(t *testing.T) {
	for name, edit := range map[string]func(o *spec.GRPO){
		"ratio_cap":      func(o *spec.GRPO) { o.Loss = "cispo" },
		"loss":           func(o *spec.GRPO) { o.Loss = "ppo" },
		"kl_times_ratio": func(o *spec.GRPO) { o.Loss, o.KLTimesRatio = "gspo", true },
	} {
		_, err := Compile(grpoWith(func(e *spec.Experiment) { edit(e.GRPO) }), tiny())
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error about %s", err, name)
		}
	}
}

func output(g *graph.Graph, name string) bool {
	return slices.ContainsFunc(g.Outputs(), func(o graph.Output) bool { return o.Name == name })
}
