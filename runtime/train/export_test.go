package train

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/compile"
	"mixr/runtime/models/family"
	"mixr/runtime/ort/orttest"
	"mixr/runtime/spec"
	"mixr/runtime/weights"
)

// checkpoint is what a safetensors folder holds, by name.
type checkpoint map[string]weights.Tensor

func readCheckpoint(t *testing.T, dir string) checkpoint {
	t.Helper()
	s, err := weights.Open(dir)
	check(t, err)
	defer s.Close()
	out := checkpoint{}
	for _, name := range s.Names() {
		x := weights.Tensor{Name: name, Shape: s.Shape(name), Data: make([]float32, product(s.Shape(name)))}
		check(t, s.Float32(name, x.Data))
		out[name] = x
	}
	return out
}

func (c checkpoint) write(t *testing.T, dir string) {
	t.Helper()
	var all []weights.Tensor
	for _, x := range c {
		all = append(all, x)
	}
	check(t, weights.Write(filepath.Join(dir, policyWeights), all, "F32", nil))
}

func (c checkpoint) equals(t *testing.T, want checkpoint) {
	t.Helper()
	for name, w := range want {
		if got, ok := c[name]; !ok || !slices.Equal(got.Shape, w.Shape) || !slices.Equal(got.Data, w.Data) {
			t.Errorf("%s: got %v (there: %v), want %v with the same values", name, got.Shape, ok, w.Shape)
		}
	}
	for name := range c {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is left over", name)
		}
	}
}

// passed is what the model in dir exports after it has read its weights.
func passed(t *testing.T, dir string) checkpoint {
	t.Helper()
	m, err := family.LoadModel(dir)
	check(t, err)
	program, err := compile.Compile(&spec.Experiment{Stage: "eval"}, m)
	check(t, err)
	loaded, err := openModel(orttest.Open(t), program, 1)
	check(t, err)
	defer loaded.Close()
	check(t, loaded.read(dir, nil))
	out := t.TempDir()
	check(t, weights.Write(filepath.Join(out, policyWeights), loaded.tensors(), "F32", nil))
	return readCheckpoint(t, out)
}

// A policy is exported in the layout of the checkpoint that it was read from: here the original one of InternVL, with fused queries,
// keys and values in the tower and in InternLM2, as bench/internvl_fixture.py wrote it.
func TestExportKeepsTheLayout(t *testing.T) {
	var cases []struct {
		Config  json.RawMessage `json:"config"`
		Tensors map[string]struct {
			Shape []int  `json:"shape"`
			Data  string `json:"data"`
		} `json:"tensors"`
	}
	text, err := os.ReadFile("../models/internvl/testdata/original.json")
	check(t, err)
	check(t, json.Unmarshal(text, &cases))
	fused := 0
	for _, c := range cases {
		dir, want := t.TempDir(), checkpoint{}
		for name, x := range c.Tensors {
			raw, err := base64.StdEncoding.DecodeString(x.Data)
			check(t, err)
			data := make([]float32, len(raw)/4)
			for i := range data {
				data[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			}
			want[name] = weights.Tensor{Name: name, Shape: x.Shape, Data: data}
			if strings.Contains(name, "qkv") {
				fused++
			}
		}
		check(t, os.WriteFile(filepath.Join(dir, "config.json"), c.Config, 0o644))
		want.write(t, dir)
		passed(t, dir).equals(t, want)
	}
	if fused == 0 {
		t.Error("no tensor is fused: the case tests nothing")
	}
}

// The two layouts of Qwen2.5-VL; a patch embedding stored as a matrix, which becomes the convolution that it is; a tied head that is
// stored all the same; buffers of older libraries.
func TestExportQwen(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open("tiny.cue"))
	check(t, r.model.export(r.in, w.path("policy")))
	released := readCheckpoint(t, w.path("policy"))
	const patches, embedding = "visual.patch_embed.proj.weight", "model.embed_tokens.weight"
	if got := released[patches].Shape; !slices.Equal(got, []int{32, 3, 2, 14, 14}) {
		t.Errorf("the patch embedding of random weights is stored as %v", got)
	}
	passed(t, w.path("policy")).equals(t, released)

	newer := checkpoint{}
	for name, x := range released {
		if rest, text := strings.CutPrefix(name, "model."); text {
			x.Name = "model.language_model." + rest
		} else {
			x.Name = "model." + name
		}
		newer[x.Name] = x
	}
	newer.write(t, w.path("policy"))
	passed(t, w.path("policy")).equals(t, newer)

	matrix := checkpoint{}
	for name, x := range released {
		matrix[name] = x
	}
	matrix[patches] = weights.Tensor{Name: patches, Shape: []int{32, 1176}, Data: released[patches].Data}
	head := released[embedding]
	head.Name = "lm_head.weight"
	matrix[head.Name], released[head.Name] = head, head
	matrix["model.rotary_emb.inv_freq"] = weights.Tensor{Name: "model.rotary_emb.inv_freq", Shape: []int{1}, Data: []float32{1}}
	matrix.write(t, w.path("policy"))
	passed(t, w.path("policy")).equals(t, released)

	head.Data = slices.Clone(head.Data)
	head.Data[len(head.Data)-1]++
	matrix[head.Name] = head
	matrix.write(t, w.path("policy"))
	err := w.run(t.Context(), w.open("tiny.cue", "policy.init=weights"), filepath.Join(t.TempDir(), "run"), Options{})
	if err == nil || !strings.Contains(err.Error(), "weight lm_head.weight differs from model.embed_tokens.weight, and tie_word_embeddings") {
		t.Errorf("a head that is tied and another: got %v", err)
	}
}

// Export narrows exactly as writing the trained weights in bf16 would, says so in config.json, cuts files, and touches nothing that is
// there.
func TestExport(t *testing.T) {
	w := newWorld(t)
	w.write("policy/preprocessor_config.json", "{}")
	w.write("policy/chat_template.jinja", "{{ messages[0].role }}")
	r := w.prepared(w.open("tiny_sft.cue", "sft.steps=2", "eval.examples=0"))
	_, err := r.train(t.Context())
	check(t, err)
	from := w.path("run/policy")
	check(t, r.model.export(r.in, from))
	direct := filepath.Join(t.TempDir(), policyWeights)
	check(t, weights.Write(direct, r.model.tensors(), "BF16", nil))

	to := w.path("out/deep")
	steps := 0
	check(t, Export(t.Context(), from, to, ExportOptions{DType: "BF16", ShardBytes: 1 << 30, Progress: func(done, total int) { steps++ }}))
	got, err := os.ReadFile(filepath.Join(to, policyWeights))
	check(t, err)
	want, err := os.ReadFile(direct)
	check(t, err)
	if !bytes.Equal(got, want) || steps != len(r.model.layout) {
		t.Errorf("other bytes than a direct write (%d tensors reported)", steps)
	}
	for _, test := range []struct{ dir, dtype string }{{from, "float32"}, {to, "bfloat16"}} {
		text, err := os.ReadFile(filepath.Join(test.dir, "config.json"))
		check(t, err)
		if !strings.Contains(string(text), `"torch_dtype": "`+test.dtype+`"`) {
			t.Errorf("%s/config.json is %s", test.dir, text)
		}
		for _, name := range []string{"tokenizer.json", "generation_config.json", "preprocessor_config.json", "chat_template.jinja"} {
			if _, err := os.Stat(filepath.Join(test.dir, name)); err != nil {
				t.Error(err)
			}
		}
	}
	err = Export(t.Context(), from, to, ExportOptions{DType: "BF16", ShardBytes: 1 << 30})
	if err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("over an earlier export: got %v", err)
	}

	exact := w.path("exact")
	check(t, os.Mkdir(exact, 0o755))
	check(t, Export(t.Context(), from, exact, ExportOptions{DType: "F32", ShardBytes: 40_000}))
	if files, err := filepath.Glob(filepath.Join(exact, "model-*.safetensors")); err != nil || len(files) < 3 {
		t.Errorf("%d files, %v", len(files), err)
	}
	readCheckpoint(t, exact).equals(t, readCheckpoint(t, from))

	check(t, os.Truncate(filepath.Join(from, policyWeights), 1000))
	if err := Export(t.Context(), from, w.path("half"), ExportOptions{DType: "F32", ShardBytes: 40_000}); err == nil {
		t.Error("a damaged policy is exported")
	}
	if left, err := filepath.Glob(w.path("half*")); err != nil || len(left) > 0 {
		t.Errorf("a failed export leaves %v, %v", left, err)
	}
}
