package train

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/compile"
	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// fieldCase lays one field over an experiment; what the trial leaves must differ with it.
type fieldCase struct {
	set  string // PATH=VALUE
	with string // other fields, on both sides, with spaces between
}

const (
	tiny    = "tiny.cue"
	tinySFT = "tiny_sft.cue"
)

// fieldCases holds at least one case for every field of an experiment but those of rewards and of grpo.monitors, which have their own tests
// (of the latter TestEveryLimit of package monitor), and of elsewhere.
var fieldCases = []fieldCase{
	{set: `stage="eval"`},
	{set: `seed=2`},
	{set: `policy.family="llama"`},
	{set: `policy.from="elsewhere"`},
	{set: `policy.init="weights"`},
	{set: `policy.freeze=["vision"]`},
	{set: `policy.recompute=true`},
	{set: `policy.lora.rank=2`, with: adapted},
	{set: `policy.lora.alpha=2`, with: adapted},
	{set: `policy.lora.targets=["q_proj"]`, with: adapted},
	{set: `policy.lora.dropout=0.5`, with: adapted},
	{set: `data.sources.yesno.card="other.cue"`},
	{set: `data.sources.yesno.task="mcq"`},
	{set: `data.sources.yesno.weight=9`},
	{set: `data.sources.yesno.limit=1`, with: `grpo.batch_size=40`},
	{set: `prompt.system="s"`},
	{set: `prompt.templates.yesno="{question}!"`, with: `grpo.batch_size=20`},
	{set: `prompt.templates.mcq="{question}!{choices}"`, with: `grpo.batch_size=20`},
	{set: `prompt.templates.chart="{question}!"`, with: `grpo.batch_size=20`},
	{set: `prompt.templates.grounding="{question}!"`, with: `grpo.batch_size=20`},
	{set: `prompt.templates.open="{question}!"`, with: `grpo.batch_size=20`},
	{set: `prompt.max_pixels=3136`},
	{set: `prompt.min_pixels=12544`},
	{set: `route.yesno="iou"`}, {set: `route.mcq="iou"`}, {set: `route.chart="iou"`}, {set: `route.grounding="bmas"`}, {set: `route.open="text"`},
	{set: `stop_when=[{metric:"lr",above:0}]`},
	{set: `grpo.monitors.interference_every=1`, with: `grpo.batch_size=20`},
	{set: `checkpoint.every=1`},
	{set: `checkpoint.keep=1`, with: `checkpoint.every=1`},

	{set: `eval.examples=1`},
	{set: `eval.samples=3`, with: `eval.examples=1 eval.temperature=1`},
	{set: `eval.temperature=1`, with: `eval.examples=1`},
	{set: `eval.max_completion_tokens=1`, with: `eval.examples=1`},
	{set: `eval.every=1`, with: `eval.examples=1`},
	{set: `eval.greedy=true`, with: evalDraws},
	{set: `eval.keep_best="reward"`, with: evalDraws + ` eval.every=1 grpo.learning_rate=0.05`}, // no reward ever: the first is the best,
	{set: `eval.repetition_penalty=5`, with: evalDraws},
	{set: `eval.top_k=2`, with: evalDraws},
	{set: `eval.top_p=0.1`, with: evalDraws},
	{set: `eval.min_p=0.9`, with: evalDraws},
	{set: `eval.stop=["e"]`, with: evalDraws},
	{set: `eval.task_tokens.yesno=1`, with: evalDraws}, {set: `eval.task_tokens.mcq=1`, with: evalDraws},
	{set: `eval.task_tokens.chart=1`, with: evalDraws}, {set: `eval.task_tokens.grounding=1`, with: evalDraws},
	{set: `eval.task_tokens.open=1`, with: evalDraws},

	{set: `grpo.steps=1`},
	{set: `grpo.batch_size=8`},
	{set: `grpo.group_size=2`},
	{set: `grpo.temperature=0.5`},
	{set: `grpo.max_completion_tokens=2`},
	{set: `grpo.loss="dr_grpo"`},
	{set: `grpo.level="sequence"`, with: `grpo.loss="dapo" grpo.iterations=2`},
	{set: `grpo.clip_low=0.1`, with: `grpo.iterations=2`},
	{set: `grpo.clip_high=0.1`, with: `grpo.iterations=2`},
	{set: `grpo.clip_dual=3`, with: `grpo.iterations=2`},
	{set: `grpo.ratio_cap=2`, with: `grpo.loss="cispo" grpo.iterations=2 grpo.ratio_cap=1`},
	{set: `grpo.tau_positive=2`, with: `grpo.loss="sapo" grpo.iterations=2`},
	{set: `grpo.tau_negative=2`, with: `grpo.loss="sapo" grpo.iterations=2`},
	{set: `grpo.kl=0.1`},
	{set: `grpo.kl_estimator="k2"`},
	{set: `grpo.kl_clamp=1`},
	{set: `grpo.kl_gradient="k2"`},
	{set: `grpo.kl_times_ratio=true`},
	{set: `grpo.kl_in="reward"`},
	{set: `grpo.reference_sync=1`},
	{set: `grpo.reference_mix=0.1`, with: `grpo.reference_sync=1`},
	{set: `grpo.iterations=2`},
	{set: `grpo.minibatches=3`},
	{set: `grpo.entropy_bonus=0.1`},
	{set: `grpo.entropy_share=0.5`},
	{set: `grpo.truncated="mask"`},
	{set: `grpo.correction="token_truncate"`},
	{set: `grpo.correction_min=0.99999999`, with: `grpo.correction="token_mask"`},
	{set: `grpo.correction_max=1`, with: `grpo.correction="token_mask"`},
	{set: `grpo.off_policy_drift=1e-6`, with: `grpo.iterations=3`},
	{set: `grpo.advantage.baseline="leave_one_out"`, with: `grpo.advantage.scale="none"`},
	{set: `grpo.advantage.combine="normalize_then_sum"`},
	{set: `grpo.advantage.scale="batch"`},
	{set: `grpo.advantage.task_decay=0.1`, with: `grpo.advantage.scale="task" grpo.batch_size=40`},
	{set: `grpo.advantage.std="population"`},
	{set: `grpo.advantage.std_eps=0.1`},
	{set: `grpo.advantage.flat="drop"`, with: mostlyFlat},
	{set: `grpo.advantage.resample_limit=2`, with: `grpo.advantage.flat="resample" rewards.format.weight=0 ` + mostlyFlat},
	{set: `grpo.repetition_penalty=5`},
	{set: `grpo.top_k=2`},
	{set: `grpo.top_p=0.1`},
	{set: `grpo.min_p=0.9`},
	{set: `grpo.stop=["e"]`},
	{set: `grpo.task_tokens.yesno=1`, with: `grpo.batch_size=20`}, {set: `grpo.task_tokens.mcq=1`, with: `grpo.batch_size=20`},
	{set: `grpo.task_tokens.chart=1`, with: `grpo.batch_size=20`}, {set: `grpo.task_tokens.grounding=1`, with: `grpo.batch_size=20`},
	{set: `grpo.task_tokens.open=1`, with: `grpo.batch_size=20`},

	{set: `sft.steps=1`},
	{set: `sft.batch_size=8`},
	{set: `sft.pack_tokens=64`},
}

const (
	evalDraws = `eval.examples=1 eval.temperature=1 eval.samples=4`
	adapted   = `policy.lora={rank:4}`
)

// optimizerCases are those of the fields that both stages have.
func optimizerCases(block string) (out []fieldCase) {
	for _, c := range []fieldCase{
		{set: `learning_rate=2e-3`}, {set: `schedule="linear"`}, {set: `warmup_frac=0.9`}, {set: `weight_decay=0.5`}, {set: `adam_beta1=0.5`},
		{set: `adam_beta2=0.5`}, {set: `adam_eps=1e-3`}, {set: `grad_clip=1e-3`}, {set: `module_rate.vision=3`, with: `policy.freeze=[]`}, {set: `module_rate.merger=3`, with: `policy.freeze=[]`},
		{set: `module_rate.embedding=3`}, {set: `module_rate.decoder=3`}, {set: `module_rate.adapter=3`, with: adapted},
	} {
		out = append(out, fieldCase{block + "." + c.set, c.with})
	}
	return out
}

// elsewhere are the fields that are read outside of a run's results.
var elsewhere = map[string]string{
	"schema": "one value", "name": "names the folder and the manifest", "notes": "is kept with the run",
	"grpo.skip_limit": "TestRunEndsAfterSkippedUpdates", "sft.skip_limit": "TestRunEndsAfterSkippedUpdates",
	"eval.pass_k": "is read by package report",
}

// TestEveryFieldIsRead runs a trial with and without each field of an experiment. What counts is what the trial leaves: its compiled
// graphs, then its tables, policy and checkpoints, or the mistake that stops it. A field that the schema gets and nobody reads has no case,
// or changes nothing; either fails.
func TestEveryFieldIsRead(t *testing.T) {
	w := newWorld(t)
	w.write("other.cue", strings.Replace(readText(t, w.path("card.cue")), "train.jsonl", "test.jsonl", 1))
	if once, again := w.leaves(tiny), w.leaves(tiny); once != again {
		t.Fatal("the same trial leaves something else each time: the test shows nothing")
	}
	known := map[string]string{} // digests of trials that several cases compare with
	seen := map[string]bool{}
	for _, c := range slices.Concat(fieldCases, optimizerCases("grpo"), optimizerCases("sft")) {
		path, _, _ := strings.Cut(c.set, "=")
		seen[path] = true
		file := tiny
		if strings.HasPrefix(path, "sft.") {
			file = tinySFT
		}
		with := strings.Fields(c.with)
		if _, mistake := w.opened(file, with...); mistake != "" {
			t.Errorf("%s: the trial without it is wrong: %s", c.set, mistake)
		}
		if g := w.graphs(file, with...); g == w.graphs(file, append(with, c.set)...) {
			key := file + c.with
			if known[key] == "" {
				known[key] = w.leaves(file, with...)
			}
			if known[key] == w.leaves(file, append(with, c.set)...) {
				t.Errorf("%s is not read: graphs, tables, policy and checkpoints are what they are without it", c.set)
			}
		}
	}
	for _, path := range fieldPaths(reflect.TypeFor[spec.Experiment](), "") {
		if !seen[path] && elsewhere[path] == "" && !strings.HasPrefix(path, "rewards.") && !strings.HasPrefix(path, "grpo.monitors.") {
			t.Errorf("%s: no case shows that it is read", path)
		}
	}
	for path := range elsewhere {
		if seen[path] {
			t.Errorf("%s has a case, and is said to have none", path)
		}
	}
}

// small makes the trials of TestEveryFieldIsRead short.
var small = map[string][]string{
	tiny:    {frozen, "grpo.steps=2", "grpo.max_completion_tokens=4", "eval.examples=0", "eval.max_completion_tokens=3"},
	tinySFT: {frozen, "sft.steps=2", "eval.examples=0"},
}

// opened is an experiment of the world, or the mistake that stops it.
func (w *world) opened(file string, sets ...string) (*Inputs, string) {
	f, mistakes := spec.Load(w.path(file), append(slices.Clone(small[file]), sets...))
	if len(mistakes) > 0 {
		return nil, mistakes.Error()
	}
	in, err := Open(f.Rungs[0].Stages()[0])
	if err != nil {
		return nil, err.Error()
	}
	return in, ""
}

// graphs is a digest of the compiled graphs of a trial, or the mistake that stops it before.
func (w *world) graphs(file string, sets ...string) string {
	in, mistake := w.opened(file, sets...)
	if mistake != "" {
		return mistake
	}
	p, err := compile.Compile(in.Experiment, in.Policy.Model)
	if err != nil {
		return err.Error()
	}
	h := sha256.New()
	for _, g := range p.Graphs() {
		b, err := g.Marshal()
		check(w.t, err)
		fmt.Fprintln(h, g.Name(), len(b))
		h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// leaves is a digest of all that a trial leaves but timing.
func (w *world) leaves(file string, sets ...string) string {
	in, mistake := w.opened(file, sets...)
	if mistake != "" {
		return mistake
	}
	dir := filepath.Join(w.t.TempDir(), "run")
	if err := w.run(w.t.Context(), in, dir, Options{Workers: 2}); err != nil {
		return err.Error()
	}
	h := sha256.New()
	check(w.t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		if err != nil || d.IsDir() || slices.Contains([]string{table.Name[table.Timing]() + ".parquet", "run.json", "lock"}, name) {
			return err // clocks, processes and machines
		}
		b, err := os.ReadFile(path)
		fmt.Fprintln(h, strings.TrimPrefix(path, dir), len(b))
		h.Write(b)
		return err
	}))
	check(w.t, os.RemoveAll(dir))
	return fmt.Sprintf("%x", h.Sum(nil))
}

// fieldPaths are the paths of the values of a block; one of a map has a key for each task, of sources the one of the world.
func fieldPaths(t reflect.Type, prefix string) (out []string) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		typ := f.Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		switch {
		case f.Anonymous:
			out = append(out, fieldPaths(typ, prefix)...)
		case typ.Kind() == reflect.Struct:
			out = append(out, fieldPaths(typ, prefix+name+".")...)
		case typ.Kind() == reflect.Map && typ.Elem().Kind() == reflect.Struct:
			out = append(out, fieldPaths(typ.Elem(), prefix+name+".yesno.")...)
		case typ.Kind() == reflect.Map:
			for _, task := range []string{"yesno", "mcq", "chart", "grounding", "open"} {
				out = append(out, prefix+name+"."+task)
			}
		default:
			out = append(out, prefix+name)
		}
	}
	return out
}
