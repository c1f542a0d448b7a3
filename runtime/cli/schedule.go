package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"mixr/runtime/plan"
	"mixr/runtime/report"
	"mixr/runtime/spec"
	"mixr/runtime/table"
	"mixr/runtime/train"
)

// busy is the kind of a trial that another process is running now.
const busy plan.Kind = "running"

// scheduled is a trial with all that decides whether it runs, and where.
type scheduled struct {
	plan.Trial
	inputs *train.Inputs
	print  plan.Fingerprint
	why    plan.Reason
	dir    string // its run folder: the earlier run's, by fingerprint and whatever its name, or a new one
	after  string // the run folder of Trial.After, whose policy it starts from; empty: from policy.from
}

// schedule identifies the trials and compares them with the runs in the results folder.
func (a *app) schedule(trials []plan.Trial, inputs []*train.Inputs, onnxruntime string) ([]scheduled, error) {
	past, err := a.pastRuns()
	if err != nil {
		return nil, err
	}
	var out []scheduled
	for i, t := range trials {
		s := scheduled{Trial: t, inputs: inputs[i]}
		weights := s.inputs.WeightsHash
		for _, earlier := range out {
			if earlier.Name == t.After { // its result follows from its fingerprint, and need not be there yet
				s.after, weights = earlier.dir, "after "+earlier.print.All
			}
		}
		s.print = plan.Identify(t.Experiment, plan.Parts{
			Data: s.inputs.DataHash, Weights: weights, Numerics: engineNumerics(onnxruntime),
		})
		s.why = plan.Why(t, s.print, past)
		switch s.why.Kind {
		case plan.New, plan.Changed:
			s.dir = table.Folder(a.machine.Results, t.Experiment.Name, s.print.All)
		default:
			s.dir = filepath.Join(a.machine.Results, s.why.Run)
			if holder, held := table.HeldBy(s.dir); held && s.why.Kind != plan.Skip {
				s.why.Kind, s.why.Text = busy, holder.String()
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// reason is why a trial runs, or need not, for the eye.
func (s scheduled) reason() string {
	switch s.why.Kind {
	case plan.Skip:
		if s.why.Text != string(plan.Skip) {
			return s.why.Text + ", in " + s.dir
		}
		return "in " + s.dir
	case plan.New:
		return "nothing like it has run"
	case plan.Changed:
		return s.why.Text + ", against " + s.why.Run
	}
	return s.why.Text
}

// pastRuns reads the records of all runs in the results folder, from the oldest to the newest. A folder that cannot be read
// is logged and passed over: mixr ls says what is wrong with it.
func (a *app) pastRuns() ([]plan.Past, error) {
	runs, err := report.List(a.machine.Results)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(runs, func(x, y report.Listing) int {
		return cmp.Or(x.Start.Compare(y.Start), cmp.Compare(x.Dir, y.Dir))
	})
	var past []plan.Past
	for _, run := range runs {
		m, err := table.ReadManifest(run.Dir)
		if err != nil {
			a.log.Warn().Err(err).Msg("run passed over")
			continue
		}
		past = append(past, pastRun(run.Dir, m))
	}
	return past, nil
}

func pastRun(dir string, m table.Manifest) plan.Past {
	p := plan.Past{
		Run: filepath.Base(dir), Trial: cmp.Or(m.Trial, m.Name), Steps: m.Steps, State: plan.Incomplete,
		Fingerprint: plan.Fingerprint{
			Spec: m.Fingerprint["spec"], Data: m.Fingerprint["data"], Weights: m.Fingerprint["weights"],
			Engine: m.Fingerprint["engine"], Schema: m.Fingerprint["schema"], All: m.Fingerprint["combined"],
		},
	}
	switch m.Status {
	case table.Done:
		p.State = plan.Done
	case table.Stopped:
		p.State = plan.Stopped
	case table.Failed, table.Diverged:
		p.State = plan.Failed
	}
	if n := len(m.Checkpoints); n > 0 {
		p.Step = m.Checkpoints[n-1]
	}
	if m.Stop != nil {
		p.Step, p.Rule = m.Stop.Step, m.Stop.Rule
	}
	if n := len(m.Attempts); n > 0 && p.State == plan.Failed {
		p.Error = m.Attempts[n-1].Exit
	}
	var e spec.Experiment
	if text, err := os.ReadFile(filepath.Join(dir, specFile)); err == nil && json.Unmarshal(text, &e) == nil {
		p.Experiment = &e
	}
	return p
}

// specFile holds the resolved experiment of a run.
const specFile = "spec.json"

// manifest is the part of a run's manifest that is known before it starts.
func (s scheduled) manifest(versions map[string]string) table.Manifest {
	steps := 0
	switch e := s.Experiment; {
	case e.GRPO != nil:
		steps = e.GRPO.Steps
	case e.SFT != nil:
		steps = e.SFT.Steps
	}
	return table.Manifest{
		Name: s.Experiment.Name, Trial: s.Name, Labels: s.Labels, Stage: s.Experiment.Stage, Steps: steps, Seed: s.Seed,
		Fingerprint: map[string]string{
			"combined": s.print.All, "spec": s.print.Spec, "data": s.print.Data, "weights": s.print.Weights,
			"engine": s.print.Engine, "schema": s.print.Schema,
		},
		Versions: versions,
	}
}

// files are the small files of a run that say what it is: the resolved experiment, and where each value was written.
func (s scheduled) files() (map[string][]byte, error) {
	origins := table.Provenance{}
	for _, l := range s.Resolved.Leaves {
		o := table.Origin{Value: json.RawMessage(l.Value), Writers: []string{}, Rule: l.Rule.String()}
		for _, w := range l.Writers {
			o.Writers = append(o.Writers, w.Pos.String())
		}
		origins[l.Path] = o
	}
	files := map[string][]byte{}
	for name, v := range map[string]any{specFile: s.Experiment, table.ProvenanceFile: origins} {
		var text bytes.Buffer
		if err := writeJSON(&text, v); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = text.Bytes()
	}
	return files, nil
}
