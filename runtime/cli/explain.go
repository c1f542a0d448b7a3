package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mixr/runtime/plan"
	"mixr/runtime/spec"
)

func (a *app) explainCommand() *cobra.Command {
	var overrides []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain FILE[#NAME] [PATH]",
		Short: "say where a value comes from",
		Long: `Print a value of an experiment with the place that set it, the values it overrode, its constraint
and its meaning. PATH may be a block, such as grpo; without PATH all values are printed. In a study,
trials that agree are printed once.`,
		Example: `  mixr explain experiments/quickstart.cue grpo.kl
  mixr explain experiments/quickstart.cue grpo.kl --set grpo.kl=0.1
  mixr explain experiments/mixed_r1/reward_ladder.cue rewards`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return arguments(1, false)(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			path := ""
			if len(args) == 2 {
				path = args[1]
			}
			return a.explain(args[0], path, overrides, asJSON)
		},
	}
	bindSet(c, &overrides)
	c.Flags().BoolVar(&asJSON, "json", false, "print [{trials, values}] as JSON")
	return c
}

// bindSet gives a command the flag --set.
func bindSet(c *cobra.Command, overrides *[]string) {
	c.Flags().StringArrayVar(overrides, "set", nil, "override a value, as `PATH=VALUE` (repeatable)")
}

// account is what several trials say about the same values.
type account struct {
	Trials []string    `json:"trials"`
	Values []spec.Leaf `json:"values"`
	text   string
}

func (a *app) explain(file, path string, overrides []string, asJSON bool) error {
	f, mistakes := spec.Load(file, overrides)
	if len(mistakes) > 0 {
		return mistakes
	}
	var accounts []account
	var unknown error // of the last trial that has no such value: a rung may add it
	trials := plan.Expand(f)
	for _, t := range trials {
		leaves := t.Resolved.Leaves
		if path != "" {
			if leaves, unknown = t.Resolved.Explain(path); unknown != nil {
				continue
			}
		}
		var text strings.Builder
		for _, l := range leaves {
			text.WriteString(l.String())
		}
		at := slices.IndexFunc(accounts, func(a account) bool { return a.text == text.String() })
		if at < 0 {
			at = len(accounts)
			accounts = append(accounts, account{Values: leaves, text: text.String()})
		}
		accounts[at].Trials = append(accounts[at].Trials, t.Name)
	}
	if accounts == nil {
		return usagef("%s: %w", f.Path, unknown)
	}
	if asJSON {
		return a.printJSON(accounts)
	}
	for i, account := range accounts {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		switch {
		case len(account.Trials) == len(trials) && f.Study:
			fmt.Fprintf(a.out, "# all %s\n", counted(len(trials), "trial"))
		case f.Study:
			fmt.Fprintf(a.out, "# %s\n", strings.Join(account.Trials, " "))
		}
		fmt.Fprint(a.out, account.text)
	}
	return nil
}
