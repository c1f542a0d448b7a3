package spec

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// facts is an experiment under the rules between fields.
type facts struct {
	*Experiment
	c       *checker
	written *node  // what the user wrote
	full    *node  // the same with defaults
	entry   Pos    // of the experiment
	root    *shape // of the schema
}

// rules are the conditions between fields. Each is judged even where others fail; one whose inputs are themselves in
// error is not, since it would blame the wrong place.
var rules = []func(*facts){
	stageHasItsBlock,
	groupDividesBatch,
	minibatchesDivide,
	lossHasItsParameters,
	levelFitsTheLoss,
	penaltyActs,
	referenceFollows,
	ratiosMove,
	tokensAreLeft,
	correctionIsARange,
	advantagesAreDefined,
	filtersDraw,
	stopsAreTexts,
	lengthsOfTasksAreShorter,
	mixIsNotEmpty,
	routesJudge,
	everyTaskIsScored,
	everyRewardIsRouted,
	extractionIsAnOrder,
	rewardsCombine,
	thresholdIsOne,
	overlongStartsInside,
	answersCanStandThere,
	templatesHoldTheQuestion,
	placeholdersAreKnown,
	somethingTrains,
	adaptersTrain,
	ratesReachAModule,
	pixelsAreARange,
	evalSamplesDiffer,
	evalEvaluates,
	evaluatesOnTheWay,
	greedyDiffers,
	passesFitSamples,
	bestIsChosen,
	stopRulesCanHold,
	pathsExist,
}

// at is where the first of the paths was written, else the block it would stand in.
func (f *facts) at(paths ...string) Pos {
	for _, path := range paths {
		if n := f.written.find(path); n != nil && !n.pos().IsZero() {
			return n.pos()
		}
	}
	for p := parent(paths[0]); p != ""; p = parent(p) {
		if n := f.written.find(p); n != nil && !n.pos().IsZero() {
			return n.pos()
		}
	}
	return f.entry
}

// sound reports whether none of the paths holds a reported mistake.
func (f *facts) sound(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool {
		n, m := f.written.find(path), f.full.find(path)
		return n != nil && n.broken || m != nil && m.broken
	})
}

func stageHasItsBlock(f *facts) {
	if !f.sound("stage", "grpo", "sft") || f.Stage == evalStage {
		return
	}
	blocks, used := map[string]bool{"grpo": f.GRPO != nil, "sft": f.SFT != nil}, strings.Split(f.Stage, "+")
	for _, stage := range []string{"grpo", "sft"} {
		switch {
		case slices.Contains(used, stage) && !blocks[stage]:
			f.c.report(f.at("stage"), stage, "write "+stage+": steps: N", "is required: the stage is %s", f.Stage)
		case !slices.Contains(used, stage) && blocks[stage]:
			f.c.report(f.at(stage), stage, "", "is not used: the stage is %s", f.Stage)
		}
	}
}

func groupDividesBatch(f *facts) {
	if g := f.GRPO; g != nil && f.sound("grpo.batch_size", "grpo.group_size") && g.BatchSize%g.GroupSize != 0 {
		down, up := g.BatchSize/g.GroupSize*g.GroupSize, (g.BatchSize/g.GroupSize+1)*g.GroupSize
		hint := fmt.Sprintf("%d or %d", down, up)
		if down == 0 {
			hint = fmt.Sprint(up)
		}
		f.c.report(f.at("grpo.batch_size", "grpo.group_size"), "grpo.batch_size", hint,
			"got %d completions, want a multiple of group_size %d", g.BatchSize, g.GroupSize)
	}
}

func mixIsNotEmpty(f *facts) {
	if len(f.Data.Sources) == 0 && f.sound("data", "data.sources") && f.sourcesSound() {
		f.c.report(f.at("data.sources"), "data.sources", "write data: sources: NAME: {card: PATH, task: TASK}", "the mix is empty")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Data.Sources)) {
		if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" || name == "" || len(name) > 64 {
			f.c.report(f.at("data.sources."+name, "data.sources"), "data.sources", "",
				"got the name %q, want up to 64 letters, digits, '_' or '-': it labels rows in every table", name)
		}
	}
}

// sourcesSound reports whether no source of the mix is in error as a whole.
func (f *facts) sourcesSound() bool {
	n := f.written.find("data.sources")
	return n == nil || !slices.ContainsFunc(n.keys, func(key string) bool { return n.fields[key].anyBroken() })
}

// tasks maps each task of the mix to the first source that has it, by name.
func (f *facts) tasks() map[string]string {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f.Data.Sources)) {
		task := f.Data.Sources[name].Task
		if _, seen := out[task]; !seen && task != "" {
			out[task] = name
		}
	}
	return out
}

// judges lists the rewards that can score a task.
var judges = map[string][]string{"yesno": {"matching"}, "mcq": {"matching"}, "chart": {"chart"}, "grounding": {"iou"}, "open": {"bmas", "text"}}

// judged reports whether the task's route leads to a reward that can score it.
func (f *facts) judged(task string) bool { return slices.Contains(judges[task], f.Route[task]) }

func routesJudge(f *facts) {
	for _, task := range slices.Sorted(maps.Keys(f.Route)) {
		if path := "route." + task; f.sound("route", path) && !f.judged(task) {
			f.c.report(f.at(path), path, "", "got %q, want %s: no other reward scores %s", f.Route[task], strings.Join(judges[task], " or "), task)
		}
	}
}

func everyTaskIsScored(f *facts) {
	if f.Stage == "sft" && f.Eval.Examples == 0 {
		return // supervised training scores only in evaluation
	}
	declared := f.Rewards.names()
	for task, source := range f.tasks() {
		reward := f.Route[task]
		if !f.sound("route", "route."+task, "rewards", "rewards."+reward) || !f.judged(task) || slices.Contains(declared, reward) {
			continue
		}
		f.c.report(f.at("route."+task, "data.sources."+source+".task"), "rewards."+reward, "write rewards: "+reward+": {}",
			"is required: the task %s of source %s is routed to it", task, source)
	}
}

func everyRewardIsRouted(f *facts) {
	if !f.sound("route", "data", "data.sources", "rewards") || !f.sourcesSound() {
		return
	}
	used := map[string]bool{}
	for task := range f.tasks() {
		if !f.judged(task) {
			return
		}
		used[f.Route[task]] = true
	}
	for _, reward := range f.Rewards.names() {
		if !used[reward] {
			f.c.report(f.at("rewards."+reward), "rewards."+reward, "", "is never used: no task of the mix is routed to it")
		}
	}
}

// names lists the declared task rewards in the order of the schema.
func (r Rewards) names() (out []string) {
	for _, reward := range []struct {
		name     string
		declared bool
	}{{"matching", r.Matching != nil}, {"chart", r.Chart != nil}, {"iou", r.IoU != nil}, {"bmas", r.BMAS != nil}, {"text", r.Text != nil}} {
		if reward.declared {
			out = append(out, reward.name)
		}
	}
	return out
}

func extractionIsAnOrder(f *facts) {
	if !f.sound("rewards", "rewards.extract") {
		return
	}
	if len(f.Rewards.Extract) == 0 {
		f.c.report(f.at("rewards.extract"), "rewards.extract", "", "is empty: no answer would ever be found")
	}
	seen := map[string]bool{}
	for i, place := range f.Rewards.Extract {
		if seen[place] {
			f.c.report(f.at("rewards.extract"), "rewards.extract", "", "lists %s twice", place)
		}
		seen[place] = true
		if place == "whole" && i < len(f.Rewards.Extract)-1 {
			f.c.report(f.at("rewards.extract"), "rewards.extract", "write whole last", "lists %s behind whole, which every completion has", f.Rewards.Extract[i+1])
		}
	}
}

func rewardsCombine(f *facts) {
	r := f.Rewards
	if r.Combine == "convex" && f.sound("rewards.combine", "rewards.format", "rewards.format.weight") && r.Format != nil && r.Format.Weight >= 1 {
		f.c.report(f.at("rewards.format.weight", "rewards.combine"), "rewards.format.weight", "",
			"got %g, want below 1: rewards.combine is convex, which leaves 1 - weight for the task", r.Format.Weight)
	}
	// Where this field is not used, a value would look as if it did something.
	if b := r.BMAS; b != nil && b.Pairing == "one_to_one" && b.Combine != "mean" && f.sound("rewards.bmas.pairing", "rewards.bmas.combine") {
		f.c.report(f.at("rewards.bmas.combine"), "rewards.bmas.combine", "", "is not used: rewards.bmas.pairing is one_to_one, which has no directions")
	}
}

func thresholdIsOne(f *facts) {
	i := f.Rewards.IoU
	if i != nil && i.Schedule == "dynamic" && i.Threshold != 0 && f.sound("rewards.iou.schedule", "rewards.iou.threshold") {
		f.c.report(f.at("rewards.iou.threshold"), "rewards.iou.threshold", "", "is not used: rewards.iou.schedule is dynamic")
	}
}

// OverlongLimit is the length in tokens at which rewards.overlong is whole, and the path of the value that says so.
func (e *Experiment) OverlongLimit() (tokens int, path string) {
	switch o := e.Rewards.Overlong; {
	case o != nil && o.Limit > 0:
		return o.Limit, "rewards.overlong.limit"
	case e.GRPO != nil:
		return e.GRPO.MaxCompletionTokens, "grpo.max_completion_tokens"
	}
	return e.Eval.MaxCompletionTokens, "eval.max_completion_tokens"
}

func overlongStartsInside(f *facts) {
	o := f.Rewards.Overlong
	if o == nil || !f.sound("rewards.overlong", "rewards.overlong.limit", "rewards.overlong.buffer", "grpo", "grpo.max_completion_tokens",
		"eval", "eval.max_completion_tokens") {
		return
	}
	limit, path := f.OverlongLimit()
	if o.Buffer > limit {
		f.c.report(f.at("rewards.overlong.buffer", "rewards.overlong"), "rewards.overlong.buffer", "",
			"got %d tokens, want at most the %d of %s", o.Buffer, limit, path)
		return
	}
	longest := 0
	if f.GRPO != nil {
		longest = f.GRPO.MaxCompletionTokens
	}
	if f.Eval.Examples > 0 && f.sound("eval.examples") {
		longest = max(longest, f.Eval.MaxCompletionTokens)
	}
	if start := limit - o.Buffer; longest > 0 && start >= longest {
		f.c.report(f.at("rewards.overlong.limit", "rewards.overlong"), "rewards.overlong.limit", "",
			"the penalty begins behind %d tokens, and no completion has more than %d: it would always be 0", start, longest)
	}
}

// answersCanStandThere reports a task whose answer rewards.extract looks for only by its kind, where it has none.
func answersCanStandThere(f *facts) {
	if !f.sound("rewards", "rewards.extract") || !slices.Equal(f.Rewards.Extract, []string{"last"}) {
		return
	}
	tasks := f.tasks()
	for _, task := range slices.Sorted(maps.Keys(tasks)) {
		if task == "grounding" || task == "open" {
			f.c.report(f.at("rewards.extract"), "rewards.extract", "write whole behind last",
				"finds no answer of the task %s of source %s: last knows letters, yes or no, and numbers", task, tasks[task])
		}
	}
}

func templatesHoldTheQuestion(f *facts) {
	for _, task := range slices.Sorted(maps.Keys(f.Prompt.Templates)) {
		path := "prompt.templates." + task
		for _, place := range []string{"{question}", "{choices}"} {
			needed := place == "{question}" || task == "mcq"
			if needed && f.sound(path) && !strings.Contains(f.Prompt.Templates[task], place) {
				f.c.report(f.at(path), path, "", "has no %s", place)
			}
		}
	}
}

// placeholder is a word in braces; behind a LaTeX command, in group 1, it is that command's argument (\boxed{answer}).
var placeholder = regexp.MustCompile(`(\\[A-Za-z]+)?\{(\w+)\}`)

func placeholdersAreKnown(f *facts) {
	for _, task := range slices.Sorted(maps.Keys(f.Prompt.Templates)) {
		path := "prompt.templates." + task
		if !f.sound(path) {
			continue
		}
		known := []string{"question"}
		if task == "mcq" {
			known = append(known, "choices")
		}
		for _, m := range placeholder.FindAllStringSubmatch(f.Prompt.Templates[task], -1) {
			switch word := m[2]; {
			case slices.Contains(known, word) || m[1] != "" && word != "choices":
			case word == "choices":
				f.c.report(f.at(path), path, "", "has {choices}, which only mcq has")
			default:
				hint := ""
				if near := nearest(word, known); near != "" {
					hint = didYouMean("{" + near + "}")
				}
				f.c.report(f.at(path), path, hint, "unknown placeholder {%s}", word)
			}
		}
	}
}

// modules are the parts of a policy that can be frozen.
var modules = []string{"vision", "merger", "embedding", "decoder"}

func somethingTrains(f *facts) {
	if !f.sound("policy", "policy.freeze") {
		return
	}
	frozen := map[string]bool{}
	for _, m := range f.Policy.Freeze {
		if frozen[m] {
			f.c.report(f.at("policy.freeze"), "policy.freeze", "", "lists %s twice", m)
		}
		frozen[m] = true
	}
	if f.Stage != evalStage && !slices.ContainsFunc(modules, func(m string) bool { return !frozen[m] }) {
		f.c.report(f.at("policy.freeze"), "policy.freeze", "", "freezes every module: nothing would train")
	}
}

// adaptersTrain reports what contradicts policy.lora: adapters stand in the decoder's layers, and everything else is frozen.
func adaptersTrain(f *facts) {
	l := f.Policy.LoRA
	if l == nil || !f.sound("policy", "policy.lora", "policy.lora.targets", "policy.freeze") {
		return
	}
	seen := map[string]bool{}
	for _, target := range l.Targets {
		if seen[target] {
			f.c.report(f.at("policy.lora.targets"), "policy.lora.targets", "", "lists %s twice", target)
		}
		seen[target] = true
	}
	if len(l.Targets) == 0 {
		f.c.report(f.at("policy.lora.targets"), "policy.lora.targets", "", "is empty: nothing would train")
	}
	if f.written.find("policy.freeze") == nil {
		return
	}
	if slices.Contains(f.Policy.Freeze, "decoder") && len(f.Policy.Freeze) < len(modules) { // else somethingTrains says it
		f.c.report(f.at("policy.freeze"), "policy.freeze", "", "freezes the decoder, where the adapters of policy.lora stand")
	}
	if len(f.Policy.Freeze) == 0 {
		f.c.report(f.at("policy.freeze"), "policy.freeze", "leave policy.freeze out",
			"is empty, but policy.lora freezes every module and trains adapters alone")
	}
}

func pixelsAreARange(f *facts) {
	if p := f.Prompt; f.sound("prompt.min_pixels", "prompt.max_pixels") && p.MinPixels > p.MaxPixels {
		f.c.report(f.at("prompt.max_pixels", "prompt.min_pixels"), "prompt.max_pixels", "",
			"got %d, want at least min_pixels %d", p.MaxPixels, p.MinPixels)
	}
}

func evalSamplesDiffer(f *facts) {
	if e := f.Eval; f.sound("eval.samples", "eval.temperature") && e.Samples > 1 && e.Temperature == 0 {
		f.c.report(f.at("eval.samples"), "eval.samples", "write eval: temperature: 1",
			"got %d at temperature 0, where all completions of an example are equal", e.Samples)
	}
}

// evalEvaluates reports what contradicts stage eval.
func evalEvaluates(f *facts) {
	if f.Stage != evalStage || !f.sound("stage") {
		return
	}
	if f.sound("eval.examples") && f.Eval.Examples == 0 {
		f.c.report(f.at("eval.examples", "stage"), "eval.examples", "", "got 0, and the stage is eval: nothing would be done")
	}
	if f.Policy.LoRA != nil && f.sound("policy.lora") {
		f.c.report(f.at("policy.lora"), "policy.lora", "name a run's policy folder in policy.from: adapters are merged there",
			"is not used: the stage is eval, and new adapters change nothing")
	}
}

// hubPrefix begins a policy.from that names a repository of the Hugging Face hub and not a folder.
const hubPrefix = "hf:"

var hubReference = regexp.MustCompile(`^hf:([\w.-]+/)?[\w.-]+(@[\w./-]+)?$`)

func pathsExist(f *facts) {
	switch from := f.Policy.From; {
	case !strings.HasPrefix(from, hubPrefix):
		f.exists("policy.from", from, true)
	case f.sound("policy.from") && !hubReference.MatchString(from):
		f.c.report(f.at("policy.from"), "policy.from", "hf:Qwen/Qwen2.5-0.5B-Instruct or hf:ORG/NAME@REVISION", "got %q, want a repository of the hub", from)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Data.Sources)) {
		f.exists("data.sources."+name+".card", f.Data.Sources[name].Card, false)
	}
}

// exists reports a path of the experiment that leads nowhere, or to a file where a folder is meant or the other way round.
func (f *facts) exists(at, path string, folder bool) {
	n := f.written.find(at)
	if n == nil || n.broken || path == "" {
		return
	}
	full := located(path, n.writers)
	info, err := os.Stat(full)
	switch {
	case err != nil:
		f.c.report(f.at(at), at, "", "%q does not exist: looked at %s", path, shown(full))
	case folder && !info.IsDir():
		f.c.report(f.at(at), at, "", "%q is a file, want a folder", path)
	case !folder && info.IsDir():
		f.c.report(f.at(at), at, "", "%q is a folder, want a file", path)
	}
}
