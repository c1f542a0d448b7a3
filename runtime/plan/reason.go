package plan

import (
	"fmt"
	"slices"
	"strings"

	"mixr/runtime/spec"
)

// State is how far an earlier run came.
type State string

const (
	Done       State = "done"
	Incomplete State = "incomplete" // stopped between steps; it has a checkpoint or starts anew
	Failed     State = "failed"
	Stopped    State = "stopped" // complete, at a step before the last
)

// Past is the record of an earlier run, from its manifest.
type Past struct {
	Run         string // name of its folder
	Trial       string // Trial.Name
	Fingerprint Fingerprint
	Experiment  *spec.Experiment // nil if the manifest's cannot be read
	State       State
	Step        int    // of the newest checkpoint; 0 = none
	Steps       int    // that the run was to have
	Error       string // of a failed run
	Rule        string // of a stopped run: the stop rule in words, as spec.StopRule says it
}

// Kind is what is to be done about a trial.
type Kind string

const (
	New     Kind = "new"     // nothing like it has run
	Skip    Kind = "done"    // a run with this fingerprint is complete, or stopped by a rule that the trial has
	Resume  Kind = "resume"  // a run with this fingerprint stopped on the way
	Retry   Kind = "retry"   // a run with this fingerprint failed
	Changed Kind = "changed" // the trial of this name ran, but something that decides its result has changed
)

// Reason says why a trial runs, or why it need not.
type Reason struct {
	Kind    Kind
	Text    string        // in words: "new", "done", "grpo.kl 0.04 -> 0.1", "incomplete: resumes at step 40 of 60"
	Run     string        // the earlier run that it is about; empty for New
	Changes []spec.Change // of Changed, where the spec is what changed
}

// Why compares a trial with earlier runs, given from the oldest to the newest. A run with the same fingerprint decides,
// a complete one first; otherwise the newest run of a trial of the same name is what it is compared with.
func Why(t Trial, f Fingerprint, past []Past) Reason {
	var same, named *Past
	for i := range past {
		p := &past[i]
		switch {
		case p.Fingerprint.All == f.All && (same == nil || same.State != Done):
			same = p
		case p.Fingerprint.All != f.All && p.Trial == t.Name:
			named = p
		}
	}
	switch {
	case same != nil:
		return same.again(t.Experiment.StopWhen)
	case named == nil:
		return Reason{Kind: New, Text: "new"}
	}
	r := Reason{Kind: Changed, Run: named.Run}
	var words []string
	for i, part := range f.parts() {
		if part.hash == named.Fingerprint.parts()[i].hash {
			continue
		}
		if part.name != "spec" || named.Experiment == nil {
			words = append(words, part.name+" changed")
			continue
		}
		r.Changes = slices.DeleteFunc(spec.Diff(named.Experiment, t.Experiment), decidesNothing)
		for _, c := range r.Changes[:min(3, len(r.Changes))] {
			words = append(words, c.String())
		}
		if more := len(r.Changes) - 3; more > 0 {
			words = append(words, fmt.Sprintf("%d more", more))
		}
	}
	r.Text = strings.Join(words, ", ")
	return r
}

// again is the reason given by a run with the same fingerprint, for a trial with these stop rules.
func (p *Past) again(rules []spec.StopRule) Reason {
	stands := slices.ContainsFunc(rules, func(r spec.StopRule) bool { return r.String() == p.Rule })
	switch {
	case p.State == Done:
		return Reason{Kind: Skip, Text: "done", Run: p.Run}
	case p.State == Stopped && stands:
		return Reason{Kind: Skip, Text: fmt.Sprintf("stopped at step %d of %d: %s", p.Step, p.Steps, p.Rule), Run: p.Run}
	case p.State == Stopped:
		text := fmt.Sprintf("goes on at step %d of %d: the rule that stopped it is gone (%s)", p.Step, p.Steps, p.Rule)
		return Reason{Kind: Resume, Text: text, Run: p.Run}
	case p.State == Failed:
		text := "failed before"
		if p.Error != "" {
			text += ": " + p.Error
		}
		return Reason{Kind: Retry, Text: text, Run: p.Run}
	case p.Step == 0:
		return Reason{Kind: Resume, Text: "incomplete: no checkpoint yet, starts at step 0", Run: p.Run}
	}
	return Reason{Kind: Resume, Text: fmt.Sprintf("incomplete: resumes at step %d of %d", p.Step, p.Steps), Run: p.Run}
}

// decidesNothing reports whether a change is of a value that is not part of the fingerprint's spec.
func decidesNothing(c spec.Change) bool {
	return slices.ContainsFunc(slices.Concat(idle, byContent), func(pattern string) bool { return spec.Under(pattern, c.Path) })
}
