package spec

import (
	"encoding/json"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/format"
	"mixr/schema"
)

func testSchemas(t *testing.T) *schemas {
	t.Helper()
	s, err := newSchemas(cuecontext.New())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A field that only one side has would parse and do nothing, or be read and never set.
func TestSchemaAndGoAgree(t *testing.T) {
	inSchema, inGo := map[string]bool{}, map[string]bool{}
	root := testSchemas(t).definition("#Experiment")
	root.walk("", func(path string, f *field) {
		inSchema[path] = f.sub == nil
		if item := root.items(f); item != nil && item.sub != nil {
			item.sub.walk(join(path, "*"), func(path string, f *field) { inSchema[path] = f.sub == nil })
		}
	})
	goPaths(reflect.TypeFor[Experiment](), "", inGo)
	for path, leaf := range inSchema {
		if got, ok := inGo[path]; !ok {
			t.Errorf("schema.#Experiment has %s, the Go type has not", path)
		} else if got != leaf {
			t.Errorf("%s is a block on one side and a value on the other", path)
		}
	}
	for path := range inGo {
		if _, ok := inSchema[path]; !ok {
			t.Errorf("the Go type has %s, schema.#Experiment has not", path)
		}
	}
	if len(inSchema) < 60 {
		t.Errorf("only %d fields were seen", len(inSchema))
	}
}

// goPaths notes the JSON paths of t, and whether each is a value.
func goPaths(t reflect.Type, path string, out map[string]bool) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		typ := f.Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if f.Anonymous {
			goPaths(typ, path, out)
			continue
		}
		at := join(path, name)
		out[at] = false
		switch typ.Kind() {
		case reflect.Slice:
			out[at] = true
			if typ.Elem().Kind() == reflect.Struct {
				goPaths(typ.Elem(), join(at, "*"), out)
			}
		case reflect.Struct:
			goPaths(typ, at, out)
		case reflect.Map:
			switch {
			case typ.Elem().Kind() == reflect.Struct:
				goPaths(typ.Elem(), join(at, "*"), out)
			default: // keyed by task
				for _, task := range []string{"yesno", "mcq", "chart", "grounding", "open"} {
					out[join(at, task)] = true
				}
			}
		default:
			out[at] = true
		}
	}
}

// Every field says what it means: explain prints it.
func TestSchemaIsDocumented(t *testing.T) {
	for _, name := range []string{"#Experiment", "#Study", "#Dataset", "#Rung", "#StopRule"} {
		testSchemas(t).definition(name).walk("", func(path string, f *field) {
			if f.doc() == "" {
				t.Errorf("%s: %s has no comment", name, path)
			}
		})
	}
}

func TestSchemaIsFormatted(t *testing.T) {
	names, err := fs.Glob(schema.Files, "*.cue")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := schema.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		formatted, err := format.Source(text)
		if err != nil {
			t.Fatal(err)
		}
		if string(formatted) != string(text) {
			t.Errorf("schema/%s is not as `cue fmt` writes it, which is:\n%s", name, formatted)
		}
	}
}

// The defaults are those of the paper; a changed one changes what published numbers mean and needs a new major version.
func TestDefaultsAreThePapers(t *testing.T) {
	want := map[string]string{
		"stage": `"grpo"`, "seed": `1`, "policy.freeze": `["vision","merger"]`, "data.sources.*.weight": `1.0`,
		"route.yesno": `"matching"`, "route.mcq": `"matching"`, "route.chart": `"chart"`, "route.grounding": `"iou"`, "route.open": `"bmas"`,
		"rewards.matching.weight": `1.0`, "rewards.chart.tolerance": `0.05`, "rewards.format.weight": `0.5`,
		"grpo.batch_size": `64`, "grpo.group_size": `8`, "grpo.temperature": `1.0`, "grpo.kl": `0.04`, "grpo.learning_rate": `0.000003`,
		"grpo.clip_low": `0.2`, "grpo.clip_high": `0.2`, "grpo.iterations": `1`, "grpo.loss": `"grpo"`,
		"grpo.advantage.scale": `"group"`, "grpo.advantage.std": `"sample"`, "grpo.advantage.std_eps": `0.0001`,
		"grpo.schedule": `"constant"`, "grpo.warmup_frac": `0.05`, "grpo.max_completion_tokens": `2048`,
		"eval.examples": `64`, "eval.samples": `1`, "eval.temperature": `0.0`, "checkpoint.every": `50`, "checkpoint.keep": `2`,
	}
	testSchemas(t).definition("#Experiment").walk("", func(path string, f *field) {
		if w, ok := want[path]; ok && f.fallback != w {
			t.Errorf("%s: default %s, want %s", path, f.fallback, w)
		}
		delete(want, path)
	})
	if len(want) > 0 {
		t.Errorf("not in the schema: %v", want)
	}
}

// The list of modules that the rule on freeze knows is that of the schema.
func TestModulesAreTheSchemas(t *testing.T) {
	root := testSchemas(t).definition("#Experiment")
	got := enumeration(root.items(root.lookup("policy.freeze")).value)
	if !slices.Equal(got, modules) {
		t.Errorf("schema %v, rule %v", got, modules)
	}
}

// What the loader completes by itself is what CUE makes of the schema alone, so `cue export` shows the same experiment.
func TestFillEqualsCUE(t *testing.T) {
	t.Chdir(workspace(t))
	const body = `{
	name: "x"
	policy: from: "policy"
	data: sources: a: {card: "card.cue", task: "chart"}
	rewards: chart: tolerance: 0.1
	grpo: {steps: 10, learning_rate: 2e-6}
	eval: max_completion_tokens: 2048
	stop_when: [{metric: "kl", above: 1}, {metric: "loss", below: 0.1, for: 3, after: 2}]
}`
	write(t, "x.cue", "import \"mixr.dev/schema\"\nexperiment: schema.#Experiment & "+body)
	f, mistakes := Load("x.cue", nil)
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	s := testSchemas(t)
	v := s.value.LookupPath(cue.ParsePath("#Experiment")).Unify(s.ctx.CompileString(body))
	text, err := v.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var e Experiment
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	if changes := Diff(&e, f.Rungs[0].Experiment); len(changes) > 0 {
		t.Error(changes)
	}
}
