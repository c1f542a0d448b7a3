package train

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/ort/orttest"
	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// A world is a folder with everything a trial names: a tiny policy, a data set of five tasks and two experiments, tiny.cue (grpo)
// and tiny_sft.cue.
//
// The policy's vocabulary is made so that random weights earn rewards: besides the 256 bytes it holds whole answers as single
// tokens, each several times (with other white space), and several end-of-turn tokens. So groups have spread rewards and
// completions have different lengths, without which most of these tests would test nothing.
type world struct {
	t   testing.TB
	dir string
}

// answers are the bodies that some example accepts or nearly accepts.
var answers = []string{"yes", "no", "A", "B", "7", "9", "[4, 4, 40, 40]", "[0, 0, 28, 28]", "red box"}

const (
	answerCopies = 6  // tokens of each answer, every other one with a think block
	stopTokens   = 20 // end-of-turn tokens beside <|im_end|>
)

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t, t.TempDir()}
	w.writePolicy()
	w.writeData()
	w.write("tiny.cue", `import "mixr.dev/schema"
experiment: schema.#Experiment & {
	name: "tiny"
	`+shared+`
	grpo: {steps: 3, batch_size: 12, group_size: 4, max_completion_tokens: 10, learning_rate: 1e-3, warmup_frac: 0}
}
`)
	w.write("tiny_sft.cue", `import "mixr.dev/schema"
experiment: schema.#Experiment & {
	name: "tiny_sft"
	stage: "sft"
	`+shared+`
	sft: {steps: 3, batch_size: 12, learning_rate: 1e-3, warmup_frac: 0}
}
`)
	return w
}

// frozen is the override for a frozen vision tower, the common case; the experiments of a world train everything.
const frozen = `policy.freeze=["vision", "merger"]`

const shared = `policy: {from: "policy", init: "random", freeze: []}
	data: sources: {
		yesno: {card: "card.cue", task: "yesno"}
		mcq: {card: "card.cue", task: "mcq"}
		chart: {card: "card.cue", task: "chart"}
		grounding: {card: "card.cue", task: "grounding"}
		open: {card: "card.cue", task: "open"}
	}
	prompt: templates: {yesno: "{question}", mcq: "{question}\n{choices}", chart: "{question}", grounding: "{question}", open: "{question}"}
	rewards: {matching: {}, chart: {}, iou: {}, bmas: {}}
	eval: {examples: 1, max_completion_tokens: 6}
	checkpoint: every: 2`

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	check(w.t, os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
	check(w.t, os.WriteFile(w.path(name), []byte(text), 0o644))
}

func (w *world) writeJSON(name string, v any) {
	w.t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // <|im_end|> stays legible
	check(w.t, e.Encode(v))
	w.write(name, b.String())
}

// writePolicy writes configuration and tokenizer; the weights are drawn at random.
func (w *world) writePolicy() {
	vocab, added := map[string]int{}, []map[string]any{}
	for i, r := range byteRunes() {
		vocab[string(r)] = i
	}
	add := func(content string, special bool) int {
		id := len(vocab) + len(added)
		added = append(added, map[string]any{"id": id, "content": content, "special": special})
		return id
	}
	ids := map[string]int{}
	for _, s := range []string{"<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"} {
		ids[s] = add(s, true)
	}
	stop := []int{ids["<|im_end|>"]}
	for i := range stopTokens {
		stop = append(stop, add(fmt.Sprintf("<|stop%d|>", i), true))
	}
	for _, a := range answers {
		for i := range answerCopies {
			text := "<answer>" + strings.Repeat(" ", i/2) + a + "</answer>"
			if i%2 == 1 {
				text = "<think>t</think>" + text
			}
			add(text, false)
		}
	}
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}
	w.writeJSON("policy/tokenizer.json", map[string]any{
		"added_tokens": added, "pre_tokenizer": byteLevel, "decoder": byteLevel,
		"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": []string{}},
	})
	w.writeJSON("policy/config.json", map[string]any{
		"model_type": "qwen2_5_vl", "vocab_size": len(vocab) + len(added) + 1, // one row of padding, as in released checkpoints
		"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
		"rms_norm_eps": 1e-6, "rope_theta": 10000, "rope_scaling": map[string]any{"type": "mrope", "mrope_section": []int{1, 2, 1}},
		"tie_word_embeddings": true, "hidden_act": "silu", "initializer_range": 0.05,
		"eos_token_id": ids["<|im_end|>"], "vision_start_token_id": ids["<|vision_start|>"],
		"vision_end_token_id": ids["<|vision_end|>"], "image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"],
		"vision_config": map[string]any{
			"depth": 2, "hidden_size": 32, "intermediate_size": 40, "num_heads": 2, "out_hidden_size": 32,
			"window_size": 56, "fullatt_block_indexes": []int{1},
		},
	})
	w.writeJSON("policy/generation_config.json", map[string]any{"eos_token_id": stop})
}

// byteRunes are the characters by which vocabulary files write the bytes 0 to 255 (GPT-2's bytes_to_unicode).
func byteRunes() []rune {
	runes, next := make([]rune, 256), rune(256)
	for b := range rune(256) {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			runes[b] = b
			continue
		}
		runes[b] = next
		next++
	}
	return runes
}

// writeData writes four training rows and one held-out row a task, with images of several sizes and one row without an image.
func (w *world) writeData() {
	w.write("card.cue", `import "mixr.dev/schema"
dataset: schema.#Dataset & {
	name: "tiny", title: "tiny", licence: "CC0-1.0", source: "made by a test"
	tasks: ["yesno", "mcq", "chart", "grounding", "open"]
	coordinates: "pixels"
	images: "images"
	splits: {train: ["train.jsonl"], test: ["test.jsonl"]}
}
`)
	tasks := []struct {
		task, question, answer string
		more                   map[string]any
	}{
		{"yesno", "red", "yes", map[string]any{"answers": []string{"yes"}}},
		{"mcq", "hue", "A", map[string]any{"answers": []string{"A"}, "choices": []string{"red", "tan"}}},
		{"chart", "sum", "7", map[string]any{"answers": []string{"7"}}},
		{"grounding", "box", "[4, 4, 40, 40]", map[string]any{"boxes": [][]int{{4, 4, 40, 40}}}},
		{"open", "say", "red box", map[string]any{"answers": []string{"red box"}}},
	}
	sizes := []image.Point{{56, 56}, {84, 56}, {61, 75}, {56, 56}, {90, 60}}
	files := map[string]*strings.Builder{"train.jsonl": {}, "test.jsonl": {}}
	for _, task := range tasks {
		for i, size := range sizes {
			row := map[string]any{
				"id": fmt.Sprintf("%s-%d", task.task, i), "task": task.task, "question": fmt.Sprint(task.question, i),
				"target": "<think>" + strings.Repeat("t", 1+i) + "</think><answer>" + task.answer + "</answer>", // 2 tokens, or many
			}
			if task.task != "open" || i > 0 {
				row["image"] = fmt.Sprintf("%s-%d.png", task.task, i)
				w.writeImage(row["image"].(string), size, uint8(40*i))
			}
			maps.Copy(row, task.more)
			text, err := json.Marshal(row)
			check(w.t, err)
			file := "train.jsonl"
			if i == len(sizes)-1 {
				file = "test.jsonl"
			}
			fmt.Fprintf(files[file], "%s\n", text)
		}
	}
	for name, text := range files {
		w.write(name, text.String())
	}
}

// writeImage draws a box on a shaded ground.
func (w *world) writeImage(name string, size image.Point, shade uint8) {
	img := image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			c := color.RGBA{shade, uint8(3 * x), uint8(3 * y), 255}
			if x >= 4 && x < 40 && y >= 4 && y < 40 {
				c = color.RGBA{230, shade, 20, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	check(w.t, png.Encode(&b, img))
	w.write("images/"+name, b.String())
}

// resolve loads an experiment of the world.
func (w *world) resolve(file string, overrides ...string) *spec.Resolved {
	w.t.Helper()
	f, mistakes := spec.Load(w.path(file), overrides)
	if len(mistakes) > 0 {
		w.t.Fatal(mistakes)
	}
	return f.Rungs[0].Stages()[0]
}

// open opens what an experiment of the world names.
func (w *world) open(file string, overrides ...string) *Inputs {
	w.t.Helper()
	in, err := Open(w.resolve(file, overrides...))
	check(w.t, err)
	return in
}

// run carries out a trial in the folder dir.
func (w *world) run(ctx context.Context, in *Inputs, dir string, o Options) error {
	o.Engine = orttest.Open(w.t)
	o.Workers = max(o.Workers, 1)
	return Run(ctx, in, dir, manifest(in), nil, o)
}

// finished is run to the end: the folder.
func (w *world) finished(in *Inputs, o Options) string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "run")
	err := w.run(w.t.Context(), in, dir, o)
	check(w.t, err)
	return dir
}

// manifest is what the command line would fill in. The fingerprint here is of the experiment alone.
func manifest(in *Inputs) table.Manifest {
	e := in.Experiment
	m := table.Manifest{Name: e.Name, Stage: e.Stage, Seed: e.Seed}
	switch {
	case e.GRPO != nil:
		m.Steps = e.GRPO.Steps
	case e.SFT != nil:
		m.Steps = e.SFT.Steps
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // plain data
	}
	sum := sha256.Sum256(text)
	m.Fingerprint = map[string]string{"combined": hex.EncodeToString(sum[:])}
	return m
}

// results are the files of a finished run that must not depend on how it was run.
func results(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, name := range []string{"metrics.parquet", "slices.parquet", "completions.parquet", "eval.parquet", "policy/model.safetensors"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) && (name == "completions.parquet" || name == "eval.parquet") {
			continue // sft, no evaluation
		}
		check(t, err)
		out[name] = b
	}
	return out
}

// sameResults compares two finished runs byte by byte.
func sameResults(t testing.TB, what string, got, want map[string][]byte) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("%s: %s differs (%d bytes, %d bytes)", what, name, len(got[name]), len(want[name]))
		}
	}
}

// rowsOf reads a table.
func rowsOf[R table.Row](t testing.TB, dir string) []R {
	t.Helper()
	rows, err := table.Read[R](dir)
	check(t, err)
	return rows
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prepared is a runner that stands before its first step.
func (w *world) prepared(in *Inputs) *runner {
	w.t.Helper()
	run, err := table.Create(filepath.Join(w.t.TempDir(), "run"), manifest(in))
	check(w.t, err)
	r := &runner{exp: in.Experiment, in: in, run: run, data: in.Data, steps: manifest(in).Steps, inFlight: 2,
		opts: Options{Engine: orttest.Open(w.t), Workers: 2}}
	w.t.Cleanup(func() {
		r.close()
		check(w.t, run.Close())
	})
	check(w.t, r.prepare(nil))
	return r
}

// draw samples and scores a group of n completions of an example, the way a step does.
func (w *world) draw(r *runner, ex data.Example, first, n int) *group {
	w.t.Helper()
	o := r.exp.GRPO
	g, err := r.rollout(r.lanes[0], ex, sampling{
		seed: r.exp.Seed, first: first, count: n, temperature: o.Temperature, maxTokens: o.MaxCompletionTokens, stop: r.stop,
	})
	check(w.t, err)
	check(w.t, g.reward(r.lanes[0], 1))
	return g
}

// rollout renders one example and samples its completions.
func (r *runner) rollout(l *lane, ex data.Example, s sampling) (*group, error) {
	groups, err := r.rolloutAll(l, []data.Example{ex}, []sampling{s})
	if err != nil {
		return nil, err
	}
	return groups[0], nil
}

// sampleGroup samples the completions of a rendered prompt.
func (r *runner) sampleGroup(l *lane, p *prompt, s sampling) (*group, error) {
	groups, err := r.sampleGroups(l, []*prompt{p}, []sampling{s})
	if err != nil {
		return nil, err
	}
	return groups[0], nil
}
