// Package plan turns what a file defines into trials, gives each trial its identity, and says why it must or need not run.
//
// In: a resolved spec.File, hashes of data and weights, and plain records of earlier runs. Out: []Trial, Fingerprint,
// Reason. It reads no file and starts nothing: every function is pure, so a plan can be tested without a disk.
package plan

import (
	"fmt"
	"strings"

	"mixr/runtime/spec"
)

// Trial is one experiment with one seed: what a run executes and a fingerprint identifies.
//
//	{Name: "reward_ladder/+mcq/seed-2", Labels: {"study": "reward_ladder", "rung": "+mcq", "seed": "2"}, Seed: 2,
//	 Changes: [data.sources.nlvr_mcq.task = "mcq" ...]}
type Trial struct {
	Name       string            // experiment: its name; study: NAME/RUNG/seed-N, without the parts the study does not vary
	Labels     map[string]string // columns to group by: experiment or study, rung, seed
	Experiment *spec.Experiment  // with Seed set
	Resolved   *spec.Resolved    // the same with the writers of every value
	Seed       uint64
	Changes    []spec.Change // against the rung before; none for a base or an experiment
	Also       []string      // names of trials of the study that are equal to this one and so share its run
	After      string        // name of the trial whose resulting policy this one starts from; empty: from policy.from
}

// Expand returns the trials of a file in the order of rungs, then seeds. Trials whose experiments are equal become one.
func Expand(f *spec.File) []Trial {
	var trials []Trial
	byIdentity := map[string]int{}
	for i, rung := range f.Rungs {
		var changes []spec.Change
		if i > 0 {
			changes = spec.Diff(f.Rungs[i-1].Experiment, rung.Experiment)
		}
		seeds := f.Seeds
		if seeds == nil {
			seeds = []spec.Seed{{}}
		}
		for _, seed := range seeds {
			r := rung.Resolved
			if f.Seeds != nil {
				r = r.WithSeed(seed)
			}
			name := ""
			if len(f.Rungs) > 1 {
				name += "/" + rung.Name
			}
			if f.Seeds != nil {
				name += fmt.Sprintf("/seed-%d", r.Experiment.Seed)
			}
			after := ""
			for _, stage := range r.Stages() {
				t := Trial{
					Name: stage.Experiment.Name + name, Labels: labels(f, rung, stage), Experiment: stage.Experiment, Resolved: stage,
					Seed: stage.Experiment.Seed, Changes: changes, After: after,
				}
				// The content behind paths is not known here, so trials that differ in a path are not equal.
				identity := after + string(spec.Changed(t.Experiment, idle...))
				at, seen := byIdentity[identity]
				if seen {
					trials[at].Also = append(trials[at].Also, t.Name)
				} else {
					at = len(trials)
					byIdentity[identity] = at
					trials = append(trials, t)
				}
				after = trials[at].Name
			}
		}
	}
	return trials
}

func labels(f *spec.File, rung spec.Rung, r *spec.Resolved) map[string]string {
	out := map[string]string{"seed": fmt.Sprint(r.Experiment.Seed)}
	if f.Study {
		out["study"], out["rung"] = f.Name, rung.Name
	} else {
		out["experiment"] = r.Experiment.Name
	}
	return out
}

// Find returns the trials that one of the names means, and those that they start from, in the order of trials. A name is a trial's, or
// ends it at a "/": "+mcq/seed-2", or "seed-2" for that seed of every rung. The error lists what there is.
func Find(trials []Trial, names []string) ([]Trial, error) {
	chosen := map[int]bool{}
	for _, name := range names {
		found := false
		for i, t := range trials {
			if strings.HasSuffix("/"+t.Name, "/"+name) {
				chosen[i], found = true, true
				choose(trials, t.After, chosen)
			}
		}
		if !found {
			all := make([]string, len(trials))
			for i, t := range trials {
				all[i] = t.Name
			}
			return nil, fmt.Errorf("no trial %s: there are %s", name, strings.Join(all, ", "))
		}
	}
	var out []Trial
	for i, t := range trials {
		if chosen[i] {
			out = append(out, t)
		}
	}
	return out, nil
}

// choose marks the trial of that name and those that it starts from.
func choose(trials []Trial, name string, chosen map[int]bool) {
	for i, t := range trials {
		if t.Name == name {
			chosen[i] = true
			choose(trials, t.After, chosen)
		}
	}
}
