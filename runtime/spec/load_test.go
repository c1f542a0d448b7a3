package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = `import "mixr.dev/schema"

experiment: schema.#Experiment & {
	name: "x"
	policy: from: "policy"
	data: sources: a: {card: "card.cue", task: "yesno"}
	rewards: matching: {}
	grpo: {steps: 10, learning_rate: 1e-5, max_completion_tokens: 64}
}
`

// load loads text as x.cue in a folder of its own.
func load1(t *testing.T, text string, overrides ...string) *File {
	t.Helper()
	t.Chdir(workspace(t))
	write(t, "x.cue", text)
	f, mistakes := Load("x.cue", overrides)
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	return f
}

func TestLoadExperiment(t *testing.T) {
	f := load1(t, good, "grpo.kl=0.1", "policy.init=random", "policy.freeze=[]", "seed=18446744073709551615")
	e := f.Rungs[0].Experiment
	if f.Study || f.Name != "x" || len(f.Rungs) != 1 || f.Seeds != nil {
		t.Errorf("%+v", f)
	}
	if e.GRPO.KL != 0.1 || e.Policy.Init != "random" || len(e.Policy.Freeze) != 0 || e.Seed != 1<<64-1 {
		t.Errorf("overrides: %+v %+v", e, e.GRPO)
	}
	if e.GRPO.BatchSize != 64 || e.Rewards.Format.Weight != 0.5 || e.Rewards.IoU != nil || e.SFT != nil || e.Route["open"] != "bmas" {
		t.Errorf("defaults: %+v %+v", e, e.GRPO)
	}
	if e.Eval.MaxCompletionTokens != 64 {
		t.Errorf("evaluation allows %d tokens, want those of training", e.Eval.MaxCompletionTokens)
	}
}

// A value is what the file says, however CUE was used to say it.
func TestLoadUsesTheLanguage(t *testing.T) {
	f := load1(t, `import (
	"strings"
	"mixr.dev/schema"
)

_small: grpo: {steps: 10, learning_rate: _rate * 2}
_rate: 1e-5
experiment: schema.#Experiment & _small & {
	name: strings.ToLower("X")
	policy: from: "policy"
	for task in ["yesno", "mcq"] {
		data: sources: "s_\(task)": schema.#Source & {card: "card.cue", "task": task}
	}
	rewards: matching: schema.#Matching & {}
	grpo: schema.#GRPO & {batch_size: 4 * group_size, group_size: *16 | int}
}
`)
	e := f.Rungs[0].Experiment
	if e.Name != "x" || len(e.Data.Sources) != 2 || e.GRPO.BatchSize != 64 || e.GRPO.GroupSize != 16 || e.GRPO.LearningRate != 2e-5 {
		t.Errorf("%+v %+v", e, e.GRPO)
	}
}

func TestLoadChooses(t *testing.T) {
	_, more, _ := strings.Cut(good, "\n")
	two := good + strings.Replace(strings.Replace(more, "experiment:", "other:", 1), `"x"`, `"y"`, 1)
	load1(t, good)
	write(t, "x.cue", two)
	for field, name := range map[string]string{"experiment": "x", "other": "y"} {
		f, mistakes := Load("x.cue#"+field, nil)
		if mistakes != nil || f.Name != name {
			t.Errorf("%s: %v %v", field, f, mistakes)
		}
	}
}

const ladder = `import "mixr.dev/schema"

study: schema.#Study & {
	name: "s"
	notes: "why"
	base: {
		policy: from: "policy"
		data: sources: a: {card: "card.cue", task: "yesno"}
		rewards: matching: {}
		grpo: {steps: 10, kl: 0.04}
	}
	ladder: [
		{name: "+mcq", patch: data: sources: b: {card: "card.cue", task: "mcq"}},
		{name: "+kl", patch: {grpo: kl: 0.1, policy: freeze: ["vision"]}},
	]
	seeds: [7, 8]
}
`

func TestLoadStudy(t *testing.T) {
	f := load1(t, ladder, "grpo.steps=20")
	if !f.Study || f.Name != "s" || f.Notes != "why" || len(f.Rungs) != 3 || len(f.Seeds) != 2 {
		t.Fatalf("%+v", f)
	}
	for i, want := range []struct {
		name    string
		sources int
		kl      float64
		freeze  int
	}{{"base", 1, 0.04, 2}, {"+mcq", 2, 0.04, 2}, {"+kl", 2, 0.1, 1}} {
		r := f.Rungs[i]
		if r.Name != want.name || len(r.Experiment.Data.Sources) != want.sources || r.Experiment.GRPO.KL != want.kl ||
			len(r.Experiment.Policy.Freeze) != want.freeze || r.Experiment.GRPO.Steps != 20 || r.Experiment.Name != "s" {
			t.Errorf("rung %d: %s %+v %+v", i, r.Name, r.Experiment, r.Experiment.GRPO)
		}
	}
	again, mistakes := Load("x.cue", []string{"seeds=[3]"})
	if mistakes != nil || len(again.Seeds) != 1 || again.Seeds[0].Value != 3 || again.Seeds[0].Pos.File != CommandLine {
		t.Errorf("%v %v", again, mistakes)
	}
}

// CUE takes UTF-16 for an empty file; other encodings would be met as syntax errors or as wrong letters.
func TestLoadEncoding(t *testing.T) {
	t.Chdir(workspace(t))
	for name, text := range map[string]string{
		"UTF-16": "a\x00:\x00 \x001\x00", "UTF-16 with mark": "\xff\xfea\x00", "Latin-1": "// caf\xe9\n" + good,
	} {
		write(t, "x.cue", text)
		if f, mistakes := Load("x.cue", nil); f != nil || len(mistakes) != 1 || mistakes[0].Msg != "is not UTF-8 text" {
			t.Errorf("%s: got %v", name, mistakes)
		}
	}
}

// Paths start at the file that wrote them, whoever loads it and from wherever.
func TestPaths(t *testing.T) {
	dir := workspace(t)
	write(t, filepath.Join(dir, "sub", "x.cue"), strings.ReplaceAll(good, `: "policy"`, `: "../policy"`))
	write(t, filepath.Join(dir, "sub", "card.cue"), "")
	t.Chdir(t.TempDir())
	if err := os.Mkdir("p", 0o755); err != nil {
		t.Fatal(err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ override, from string }{{"", filepath.Join(dir, "policy")}, {"policy.from=p", filepath.Join(wd, "p")}} {
		f, mistakes := Load(filepath.Join(dir, "sub", "x.cue"), strings.Fields(test.override))
		if mistakes != nil {
			t.Fatal(mistakes)
		}
		from, err := f.Rungs[0].Path("policy.from")
		card, err2 := f.Rungs[0].Path("data.sources.a.card")
		if err != nil || err2 != nil || from != test.from || card != filepath.Join(dir, "sub", "card.cue") {
			t.Errorf("got %s %v, %s %v", from, err, card, err2)
		}
	}
	if f, _ := Load(filepath.Join(dir, "sub", "x.cue"), nil); f != nil {
		if _, err := f.Rungs[0].Path("policy.form"); err == nil {
			t.Error("a path that the experiment does not have is found")
		}
	}
}

// A module of the user's own may import its packages; the schema in the binary is used whatever lies on disk.
func TestLoadInModule(t *testing.T) {
	for _, module := range []string{"example.com@v0", "mixr.dev@v0"} {
		dir := workspace(t)
		t.Chdir(dir)
		write(t, "cue.mod/module.cue", "module: \""+module+"\"\nlanguage: version: \"v0.17.0\"\n")
		write(t, "schema/experiment.cue", "package schema\n\n#Experiment: {stale: int}\n")
		write(t, "deep/x.cue", strings.NewReplacer(`"policy"`, `"../policy"`, `"card`, `"../card`).Replace(good))
		if _, mistakes := Load("deep/x.cue", nil); mistakes != nil {
			t.Errorf("%s: %v", module, mistakes)
		}
	}
}

// Every spec that is shipped loads.
func TestExperiments(t *testing.T) {
	t.Chdir("../../experiments")
	var seen int
	for _, pattern := range []string{"*.cue", "*/*.cue"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			seen++
			if _, mistakes := Load(file, nil); mistakes != nil {
				t.Error(mistakes)
			}
		}
	}
	if seen < 3 {
		t.Errorf("only %d files", seen)
	}
}

// A text is read as the file that it says it is, whether or not there is one.
func TestLoadText(t *testing.T) {
	t.Chdir(workspace(t))
	write(t, "folder/other.cue", "")
	const text = `import "mixr.dev/schema"
experiment: schema.#Experiment & {
	name: "x"
	policy: from: "../policy"
	data: sources: a: {card: "other.cue", task: "yesno"}
	rewards: matching: {}
	grpo: steps: 10
}
`
	f, mistakes := LoadText("folder/none.cue", text, []string{"grpo.steps=20"})
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	r := f.Rungs[0]
	if path, err := r.Path("policy.from"); err != nil || filepath.Base(path) != "policy" || r.Experiment.GRPO.Steps != 20 {
		t.Errorf("got %s, %v, %d steps", path, err, r.Experiment.GRPO.Steps)
	}
	_, mistakes = LoadText("folder/none.cue", strings.Replace(text, "steps", "step", 1), nil)
	if want := `folder/none.cue:7:8: grpo.step: unknown field (did you mean "steps"?)`; mistakes == nil || mistakes.Error() != want {
		t.Errorf("got %v, want %s", mistakes, want)
	}
}
