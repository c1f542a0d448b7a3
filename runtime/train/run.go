package train

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"mixr/runtime/compile"
	"mixr/runtime/data"
	"mixr/runtime/monitor"
	"mixr/runtime/ort"
	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// Options say on what and how a trial runs. Nothing in them changes a result.
type Options struct {
	Engine   *ort.Engine
	Workers  int // units computed at once; at least 1
	InFlight int // gradients of units held at once before they are added (the micro-batch); 0 = Workers + 1
	Progress func(Event)
	Warn     func(string) // what to know about a run that goes on, before it does; nil drops it
	Log      zerolog.Logger
	Profile  bool // measures some of the steps: where their time and memory went lies in the folder profile of the run
}

// Event is one sign of progress.
type Event struct {
	Phase       string // "evaluate before", "train", "evaluate at step 40", "evaluate after"; of stage eval, "evaluate"
	Done, Total int
	Metrics     *table.Metrics    // of the step just made; nil in evaluation
	Findings    []monitor.Finding // what the health monitors found at it
}

// Interrupted is returned when the context ended the run at a step boundary; the run goes on when it is started again.
type Interrupted struct {
	Dir         string
	Step, Steps int
}

func (e *Interrupted) Error() string {
	if e.Steps == 0 {
		return "stopped during the evaluation: run the same command again to make it"
	}
	return fmt.Sprintf("stopped after step %d of %d; state is saved in %s: run the same command again to go on", e.Step, e.Steps, e.Dir)
}

// runner is one trial at work.
type runner struct {
	exp      *spec.Experiment
	in       *Inputs
	opts     Options
	run      *table.Run
	model    *model
	lanes    []*lane
	inFlight int
	data     *data.Set
	mix      *data.Mix
	stop     []int // tokens that end a completion
	steps    int
	updates  int // optimizer steps of the whole run

	accumulate, norm, optimizer *bound

	evaluations []*evaluation // made so far, in order of step; an evaluation is seen by the monitors of the step after it
	watch       *watch
	began       time.Time     // of this attempt
	before      time.Duration // that the attempts before it took

	progress progress
	monitors *monitor.Watch                                      // nil before the first step of this process
	unsure   bool                                                // the step at work may have changed the weights
	observe  func(i int, gradients map[string]*ort.Tensor) error // sees the gradients of each unit of an update, in order, before they go; or nil
	profile  *profiler                                           // nil: nothing is measured
}

// phase announces a phase and returns a function that reports how much of it is done.
func (r *runner) phase(name string, total int) func(done int, step *record) {
	r.opts.Log.Info().Str("phase", name).Int("total", total).Msg("phase begins")
	return func(done int, step *record) {
		if r.opts.Progress != nil {
			e := Event{Phase: name, Done: done, Total: total}
			if step != nil {
				e.Metrics, e.Findings = &step.metrics, step.findings
			}
			r.opts.Progress(e)
		}
	}
}

// Run carries out a trial in the folder dir, or goes on with it. The manifest names the trial; see table.Create for the fields
// that the caller fills. files are written into the folder at the start: the resolved spec and whatever else describes the trial.
// Of a run that is done, or stopped by a rule that the experiment still has, nothing is computed again. It fails with *Interrupted when
// ctx ends, and with *Diverged.
func Run(ctx context.Context, in *Inputs, dir string, m table.Manifest, files map[string][]byte, o Options) error {
	r := &runner{exp: in.Experiment, in: in, opts: o, data: in.Data, steps: m.Steps, inFlight: cmp.Or(o.InFlight, o.Workers+1), began: time.Now()}
	switch there, err := table.ReadManifest(dir); {
	case errors.Is(err, fs.ErrNotExist):
		r.run, err = table.Create(dir, m)
		if err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := same(dir, there, m); err != nil { // before Open, which changes the folder
			return err
		}
		if there.Status == table.Stopped && stands(r.exp.StopWhen, there.Stop) {
			return nil
		}
		if r.run, err = table.Open(dir); err != nil {
			return err
		}
	}
	defer r.run.Close()
	if r.run.Manifest().Status == table.Done {
		return nil
	}
	for _, w := range append(r.run.Warnings(), r.elsewhere(m)...) {
		if o.Warn != nil {
			o.Warn(w)
		}
	}
	defer r.close()
	err := r.work(ctx, files)
	var interrupted *Interrupted
	switch {
	case err == nil:
	case errors.As(err, &interrupted), ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		if interrupted == nil {
			err = &Interrupted{Dir: dir, Step: r.run.Step(), Steps: r.steps}
		}
		err = errors.Join(err, r.run.Stop(table.Cancelled, "interrupted"))
	case errors.As(err, new(*Diverged)):
		err = errors.Join(err, r.run.Stop(table.Diverged, firstLine(err)))
	default:
		err = errors.Join(err, r.run.Stop(table.Failed, firstLine(err)))
	}
	return err
}

// same refuses a folder that holds another trial: its name has only some digits of the fingerprint.
func same(dir string, there, m table.Manifest) error {
	if got, want := there.Fingerprint["combined"], m.Fingerprint["combined"]; got != want {
		return fmt.Errorf("%s holds a run of another trial (fingerprint %.12s, this one is %.12s): name another results folder", dir, got, want)
	}
	return nil
}

// elsewhere warns of a run that goes on with other versions than it began with: its results may then differ from those of a run
// that nothing interrupted. A version that the run has not recorded is not known to differ.
func (r *runner) elsewhere(m table.Manifest) (warnings []string) {
	began := r.run.Manifest().Versions
	for _, name := range slices.Sorted(maps.Keys(m.Versions)) {
		if was, known := began[name]; known && was != m.Versions[name] {
			warnings = append(warnings, fmt.Sprintf("the run began with %s %s and goes on with %s", name, was, m.Versions[name]))
		}
	}
	return warnings
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// work is the trial from the initial weights, or the last checkpoint, to the finished tables. Of stage eval it is one evaluation, which
// leaves no policy: its rows are those of an evaluation after training, of none.
func (r *runner) work(ctx context.Context, files map[string][]byte) error {
	if err := r.prepare(files); err != nil {
		return err
	}
	if r.exp.Stage == "eval" {
		rows, err := r.evaluateInto(ctx, 0, after)
		if err != nil {
			return err
		}
		return r.run.Finish(table.End{Summary: map[string]float64{table.RewardAfter: meanReward(rows)}})
	}
	evaluates := r.exp.Eval.Examples > 0
	if evaluates && !r.run.Covers("eval", 0) {
		rows, err := r.evaluateInto(ctx, 0, before)
		if err != nil {
			return err
		}
		r.evaluated(rows)
		if err := r.run.Commit(0); err != nil {
			return err
		}
	}
	last, err := r.train(ctx)
	if err != nil {
		return err
	}
	end := table.End{Stop: last.stop, Summary: map[string]float64{}}
	if evaluates {
		rows := last.evaluation
		if rows == nil {
			if rows, err = r.evaluate(ctx, last.step, after); err != nil {
				return err
			}
			r.evaluated(rows)
		}
		if err := table.Write(r.run, last.step, last.step, rows); err != nil {
			return err
		}
		end.Summary[table.RewardBefore], end.Summary[table.RewardAfter] = *r.evaluations[0].values["reward"], meanReward(rows)
	}
	if end.Best, err = r.restoreBest(last.step); err != nil {
		return err
	}
	if err := r.model.export(r.in, filepath.Join(r.run.Dir(), PolicyFolder)); err != nil {
		return err
	}
	if r.model.program.LoRA != nil {
		if err := r.model.exportAdapter(r.in, filepath.Join(r.run.Dir(), AdapterFolder)); err != nil {
			return err
		}
	}
	return r.run.Finish(end)
}

// evaluateInto evaluates and writes the rows.
func (r *runner) evaluateInto(ctx context.Context, step int, when string) ([]table.Eval, error) {
	rows, err := r.evaluate(ctx, step, when)
	if err != nil {
		return nil, err
	}
	return rows, table.Write(r.run, step, step, rows)
}

// prepare compiles, opens sessions and restores the state.
func (r *runner) prepare(files map[string][]byte) error {
	program, err := compile.Compile(r.exp, r.in.Policy.Model)
	if err != nil {
		return err
	}
	for _, g := range program.Graphs() {
		b, err := g.Marshal()
		if err != nil {
			return err
		}
		if err := r.run.WriteFile("graphs/"+g.Name()+".onnx", b); err != nil {
			return err
		}
	}
	for name, b := range files {
		if err := r.run.WriteFile(name, b); err != nil {
			return err
		}
	}
	if r.model, err = openModel(r.opts.Engine, program, 1); err != nil {
		return err
	}
	if err := r.model.initialise(r.in); err != nil {
		return err
	}
	r.updates = r.steps
	if r.exp.GRPO != nil {
		r.updates *= r.exp.GRPO.UpdatesPerStep()
	}
	r.model.keepReference()
	table := r.initialEmbedding()
	if step := r.run.Step(); step > 0 {
		r.progress.Applied = step * r.updates / r.steps // of a checkpoint that does not say, all of them
		if err := r.model.loadCheckpoint(r.run.CheckpointDir(step), step, &r.progress); err != nil {
			return err
		}
		r.opts.Log.Info().Int("step", step).Msg("resumed")
	}
	r.stop = r.in.Policy.Model.Stop()
	for range max(r.opts.Workers, 1) {
		scorer, err := r.in.scorer(table, r.in.Policy.Model.Decoder().Width)
		if err != nil {
			return err
		}
		render := &prompter{spec: r.exp.Prompt, checkpoint: r.in.Policy, tok: r.in.Policy.Tokenizer.Clone()}
		l, err := r.model.openLane(render, scorer)
		if err != nil {
			return err
		}
		r.lanes = append(r.lanes, l)
	}
	if r.exp.Stage == "eval" {
		return nil
	}
	if r.mix, err = r.data.Mix(r.exp.Seed); err != nil {
		return err
	}
	if err := r.recall(); err != nil {
		return err
	}
	return r.bindUpdate()
}

// initialEmbedding is the policy's embedding as it is before training, which rewards.bmas compares by: frozen, or kept for the KL term;
// else a copy, where a reward reads it.
func (r *runner) initialEmbedding() []float32 {
	name := r.model.program.Model.Decoder().Embedding()
	if kept := r.model.reference[name]; kept != nil && (r.exp.GRPO == nil || r.exp.GRPO.ReferenceSync == 0) {
		return kept.Float32()
	}
	now := r.model.weights[name].Float32()
	if r.exp.Rewards.BMAS == nil {
		return now
	}
	return slices.Clone(now)
}

// train makes the steps that are left, up to the last or one at which a stop rule holds. It commits at every checkpoint, where something is to
// be settled, at the end, and when the context is done or a step fails: the rows of the steps before it may explain why.
func (r *runner) train(ctx context.Context) (*ending, error) {
	report := r.phase("train", r.steps)
	if r.opts.Profile {
		r.profile = newProfiler(r)
		defer r.profile.write()
	}
	var held []*record
	for step := r.run.Step(); ; {
		if step == r.steps {
			return &ending{step: step}, nil
		}
		if held == nil {
			if end, err := r.settle(ctx, step); end != nil || err != nil {
				return end, err
			}
		}
		step++
		r.profile.begin(step)
		start := time.Now()
		r.unsure = false
		rec, err := r.step(context.WithoutCancel(ctx), step) // a step is finished even when the run is asked to stop
		if err != nil {
			err = fmt.Errorf("step %d: %w", step, err)
			if len(held) > 0 && !r.unsure {
				err = errors.Join(err, r.commit(held, step-1))
			}
			return nil, err
		}
		if rec.sealed, err = r.progress.seal(); err != nil {
			return nil, err
		}
		rec.finish(start, r.run.Attempt())
		r.profile.end(step)
		rec.timing.HostPeakB = max(rec.timing.HostPeakB, r.profile.mostResident())
		r.logStep(rec)
		held = append(held, rec)
		r.watch.see(&rec.metrics, r.before+time.Since(r.began))
		interrupted := ctx.Err() != nil // asked once: a step must not be left without its commit
		if step%r.exp.Checkpoint.Every == 0 || step == r.steps || interrupted || r.evaluates(step) || r.watch.stop(step) != nil {
			if err := r.commit(held, step); err != nil {
				return nil, err
			}
			held = nil
		}
		report(step, rec)
		if interrupted && step < r.steps {
			return nil, &Interrupted{Dir: r.run.Dir(), Step: step, Steps: r.steps}
		}
	}
}

// logStep writes the line of a step.
func (r *runner) logStep(rec *record) {
	line := r.opts.Log.Info().Int32("step", rec.metrics.Step)
	if loss := rec.metrics.Loss; loss != nil {
		line = line.Float64("loss", *loss)
	}
	if reward := rec.metrics.RewardMean; reward != nil {
		line = line.Float64("reward", *reward)
	}
	line.Float64("lr", rec.metrics.LR).Float64("wall_s", rec.timing.WallS).Msg("step done")
}

func (r *runner) step(ctx context.Context, step int) (*record, error) {
	if r.exp.Stage == "sft" {
		return r.sftStep(ctx, step)
	}
	return r.grpoStep(ctx, step)
}

// commit makes the steps since the last checkpoint permanent: rows, then state, then the manifest that lists both.
func (r *runner) commit(held []*record, step int) error {
	r.profile.save(len(held))
	defer r.profile.enter("")
	start := time.Now()
	first := int(held[0].metrics.Step)
	var metrics []table.Metrics
	var parts []table.Slice
	var completions []table.Completion
	var timing []table.Timing
	for _, rec := range held {
		metrics = append(metrics, rec.metrics)
		parts = append(parts, rec.slices...)
		completions = append(completions, rec.completions...)
		timing = append(timing, rec.timing)
	}
	if err := r.model.saveCheckpoint(r.run.CheckpointDir(step), step, held[len(held)-1].sealed); err != nil {
		return err
	}
	timing[len(timing)-1].IOS = time.Since(start).Seconds()
	r.profile.enter(tablesPhase)
	err := errors.Join(
		table.Write(r.run, first, step, metrics),
		table.Write(r.run, first, step, parts),
		table.Write(r.run, first, step, timing),
	)
	if err == nil && r.exp.Stage == "grpo" {
		err = table.Write(r.run, first, step, completions)
	}
	if err != nil {
		return err
	}
	if err := r.run.Commit(step); err != nil {
		return err
	}
	return r.prune()
}

// finish fills the columns about time.
func (r *record) finish(start time.Time, attempt int) {
	t := &r.timing
	t.Attempt, t.WallS, t.TEnd = int32(attempt), time.Since(start).Seconds(), time.Now().UTC()
	rate := float64(r.metrics.TokCompletion) / t.WallS
	t.TokPerS = &rate
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) == nil {
		t.HostPeakB = int64(usage.Maxrss) * maxrssUnit
	}
}

func (r *runner) close() {
	for _, l := range r.lanes {
		l.Close()
	}
	for _, b := range []*bound{r.accumulate, r.norm, r.optimizer} {
		b.Close()
	}
	if r.model != nil {
		r.model.Close()
	}
}

// relative shortens an image's path to the data set's folder, so that tables do not hold machine paths.
func (r *runner) relative(path string) string {
	for _, source := range r.data.Sources() {
		if rel, err := filepath.Rel(filepath.Dir(r.data.Card(source).Path()), path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return filepath.Base(path)
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
