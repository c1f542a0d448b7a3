package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mixr/runtime/ort"
	"mixr/runtime/ort/fetch"
	"mixr/runtime/plan"
	"mixr/runtime/profile"
	"mixr/runtime/report"
	"mixr/runtime/table"
	"mixr/runtime/train"
)

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run FILE[#NAME]",
		Short: "run an experiment or a study, or go on with it",
		Long: `Run the trials of an experiment or study that are not done, one after the other. A trial counts as
done if a run with its fingerprint is complete, whatever its name; a run that was stopped goes on
from its last checkpoint. A trial that fails does not stop the others. ONNX Runtime is fetched the
first time.

Ctrl-C stops after the step at work and saves it: the same command goes on from there.

` + profileHelp,
		Example: `  mixr run experiments/quickstart.cue
  mixr run experiments/quickstart.cue --set grpo.kl=0.1 --set seed=2
  mixr run experiments/mixed_r1/reward_ladder.cue --only +mcq/seed-1
  mixr run experiments/quickstart.cue --profile --results /tmp/profile \
      --set grpo.steps=4 --set eval.examples=0`,
		Args: arguments(1, false),
		RunE: func(c *cobra.Command, args []string) error { return a.run(c.Context(), args[0], o) },
	}
	o.bind(c)
	return c
}

func (a *app) run(ctx context.Context, path string, o runOptions) error {
	if o.asJSON && !o.profile {
		return usagef("--json: prints profiles: add --profile")
	}
	file, trials, err := o.trials(path)
	if err != nil {
		return err
	}
	// Tensors live outside Go's heap, whose few MB the collector would go through several times a step. This makes it wait for as much
	// garbage; it is never touched, so it takes no memory itself.
	calm := make([]byte, 32<<20)
	defer runtime.KeepAlive(calm)
	w, err := a.openWork(ctx, trials)
	if err != nil {
		return err
	}
	defer w.engine.Close()
	if err := a.recordStudy(file, w.trials, o.only != nil); err != nil {
		return err
	}
	w.profile = o.profile
	if !o.asJSON {
		return a.runAll(ctx, w)
	}
	out := a.out
	a.out = w.watch // results are for the eye
	defer func() { a.out = out }()
	err = a.runAll(ctx, w)
	return errors.Join(writeJSON(out, w.profiles), err)
}

// work is trials that are ready to run.
type work struct {
	engine *ort.Engine
	watch  *screen
	trials []scheduled

	profile  bool               // the runs are profiled
	profiles []*profile.Profile // of those that were
}

// openWork opens what the trials name and says of each whether it must run, and why. The caller closes the engine.
func (a *app) openWork(ctx context.Context, trials []plan.Trial) (*work, error) {
	if err := writable(a.machine.Results); err != nil {
		return nil, fmt.Errorf("results: %w; name another folder with --results", err)
	}
	w := &work{watch: newScreen(a.errOut), profiles: []*profile.Profile{}}
	inputs, err := a.openAll(trials, a.shelf(fetched(ctx, w.watch)))
	if err != nil {
		return nil, err
	}
	a.log = newLogger(w.watch, w.watch.tty, a.log.GetLevel())
	if w.engine, err = a.openEngine(ctx, w.watch); err != nil {
		return nil, err
	}
	var rows [][]string
	w.trials, err = a.schedule(trials, inputs, w.engine.Version())
	for _, s := range w.trials {
		rows = append(rows, []string{s.Name, string(s.why.Kind), s.reason()})
	}
	if err == nil {
		err = columns(w.watch, rows)
	}
	if err != nil {
		return nil, errors.Join(err, w.engine.Close())
	}
	return w, nil
}

// runAll runs what is not done, in order. What fails is reported where it happens and summed up in the error.
func (a *app) runAll(ctx context.Context, w *work) error {
	all, watch := w.trials, w.watch
	said := make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(said)
		fmt.Fprintln(watch, "stopping after this step (a second time ends at once: what is not saved is computed again)")
	})
	defer func() {
		if !forget() {
			<-said // so that nothing is written once the command has returned
		}
	}()
	var failed []string
	for i, s := range all {
		if s.why.Kind == plan.Skip {
			if w.profile {
				fmt.Fprintf(watch, "%s has no step left to profile: name another results folder with --results\n", s.Name)
			}
			continue // said by the plan above
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped before %s: run the same command again to go on: %w", s.Name, ctx.Err())
		}
		if len(all) > 1 {
			fmt.Fprintf(watch, "trial %d of %d: %s\n", i+1, len(all), s.Name)
		}
		err := error(nil)
		if s.after != "" && slices.Contains(failed, s.After) {
			err = fmt.Errorf("it starts from %s, which failed", s.After)
		} else {
			err = a.runTrial(ctx, w, s)
		}
		if err == nil {
			err = a.printResult(s)
		}
		if err == nil && w.profile {
			err = a.printProfile(w, s)
		}
		switch {
		case errors.As(err, new(*train.Interrupted)):
			return err
		case err != nil && len(all) == 1:
			return err
		case err != nil:
			fmt.Fprintf(watch, "%s failed: %v\n", s.Name, err)
			failed = append(failed, s.Name)
		}
	}
	if err := a.printEnd(all); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("%d of %s failed: %s; run the same command again to try only these",
			len(failed), counted(len(all), "trial"), strings.Join(failed, ", "))
	}
	return nil
}

func (a *app) runTrial(ctx context.Context, w *work, s scheduled) error {
	if err := a.fits(s.Name, s.inputs); err != nil {
		return err
	}
	files, err := s.files()
	if err != nil {
		return err
	}
	if s.after != "" {
		s.inputs.Weights = filepath.Join(s.after, train.PolicyFolder)
	}
	versions, err := versions(w.engine)
	if err != nil {
		return err
	}
	progress := newProgress(w.watch, s.Name)
	defer progress.close()
	return train.Run(ctx, s.inputs, s.dir, s.manifest(versions), files, train.Options{
		Engine: w.engine, Workers: a.machine.Workers, InFlight: a.machine.InFlight,
		Progress: progress.event, Warn: func(text string) { fmt.Fprintln(w.watch, "warning:", text) },
		Log: a.log.With().Str("run", filepath.Base(s.dir)).Logger(), Profile: w.profile,
	})
}

// printEnd prints what is left to say when all trials have had their turn: the study's table, the numbers of an experiment that
// was done before, and what to type next.
func (a *app) printEnd(all []scheduled) error {
	all = ends(all)
	first, last := all[0], all[len(all)-1]
	if len(all) > 1 {
		if err := a.printStudy(all); err != nil {
			return err
		}
		study := first.Labels["study"]
		next := []string{"table " + study}
		if from, to := first.Labels["rung"], last.Labels["rung"]; from != to {
			next = append(next, fmt.Sprintf("diff %s/%s %s/%s", study, from, study, to))
		}
		a.printNext(next...)
		return nil
	}
	if first.why.Kind == plan.Skip {
		if err := a.printResult(first); err != nil {
			return err
		}
	}
	same := func(r report.Listing) bool { return r.Name == first.Experiment.Name }
	if other := a.newestOther(first, same); other != "" {
		a.printNext("show "+filepath.Base(first.dir), "diff "+other+" "+filepath.Base(first.dir))
	} else {
		a.printNext("show " + filepath.Base(first.dir))
	}
	return nil
}

// ends are the trials that no other starts from: of a chain of stages the last.
func ends(all []scheduled) []scheduled {
	return slices.DeleteFunc(slices.Clone(all), func(s scheduled) bool {
		return slices.ContainsFunc(all, func(later scheduled) bool { return later.After == s.Name })
	})
}

// printNext suggests commands.
func (a *app) printNext(commands ...string) {
	flag := ""
	if a.machine.Origins["results"] == "flag --results" {
		flag = " --results " + a.machine.Results
	}
	for i, c := range commands {
		fmt.Fprintf(a.errOut, "%-5s mixr %s%s\n", []string{"next:", ""}[min(i, 1)], c, flag)
	}
}

// printResult prints what training changed, or what an evaluation found, and where the run lies.
func (a *app) printResult(s scheduled) error {
	fmt.Fprintln(a.out)
	if s.Experiment.Eval.Examples > 0 {
		var result interface {
			Text(w io.Writer, s report.Style) error
		}
		var err error
		if s.Experiment.Stage == "eval" {
			result, err = report.ReadEvaluation(s.dir)
		} else {
			result, err = report.ReadGain(s.dir)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%s: reward on held-out examples\n", s.Name)
		if err := result.Text(a.out, a.style()); err != nil {
			return err
		}
	}
	run, err := report.ListOne(s.dir)
	if err != nil {
		return err
	}
	for _, line := range run.Ends() {
		fmt.Fprintln(a.out, line)
	}
	fmt.Fprintf(a.out, "run folder: %s\n", s.dir)
	return nil
}

// newestOther is the newest complete run that fits, beside s; empty if there is none.
func (a *app) newestOther(s scheduled, fits func(report.Listing) bool) string {
	runs, err := report.List(a.machine.Results)
	if err != nil {
		return ""
	}
	for _, r := range runs {
		if table.Status(r.State).Complete() && filepath.Base(r.Dir) != filepath.Base(s.dir) && fits(r) {
			return filepath.Base(r.Dir)
		}
	}
	return ""
}

func (a *app) fetchOptions() fetch.Options {
	return fetch.Options{Lib: a.machine.OrtLib, CacheDir: a.machine.CacheDir}
}

// openEngine loads ONNX Runtime, fetching it if it must.
func (a *app) openEngine(ctx context.Context, watch *screen) (*ort.Engine, error) {
	o := a.fetchOptions()
	o.Log = func(line string) { fmt.Fprintln(watch, line) }
	lib, err := fetch.Find(ctx, o)
	if err != nil {
		return nil, err
	}
	return ort.Open(lib)
}
