package train

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mixr/runtime/compile"
	"mixr/runtime/nn"
	"mixr/runtime/weights"
)

// drawAdapters gives the adapters their initial values, if the program has any.
func (m *model) drawAdapters(seed uint64) {
	for _, q := range m.program.Params {
		if q.Module == compile.Adapter {
			nn.InitAdapter(q.Spec, seed, m.weights[q.Name].Float32())
		}
	}
}

// merged is a parameter of the policy's own with the adapter that it has, if it has one, added to it: W + Scale B A, in float32. The
// caller only reads it: a parameter without an adapter is not copied.
func (m *model) merged(s nn.Spec) []float32 {
	w, layer := m.weights[s.Name].Float32(), strings.TrimSuffix(s.Name, "weight")
	a, b := m.weights[layer+"lora_A.weight"], m.weights[layer+"lora_B.weight"]
	if a != nil && b != nil {
		w = slices.Clone(w)
		addLowRank(w, a.Float32(), b.Float32(), m.program.LoRA.Rank, float32(m.program.LoRA.Scale))
	}
	return w
}

// addLowRank adds scale B A to w [out, in]; a [rank, in], b [out, rank].
func addLowRank(w, a, b []float32, rank int, scale float32) {
	in := len(a) / rank
	sum := make([]float32, in)
	for o := range len(b) / rank {
		clear(sum)
		for r, f := range b[o*rank : (o+1)*rank] {
			for i, x := range a[r*in : (r+1)*in] {
				sum[i] += float32(f * x)
			}
		}
		row := w[o*in : (o+1)*in]
		for i, x := range sum {
			row[i] += float32(scale * x)
		}
	}
}

// AdapterFolder is where in a run's folder the adapters lie that it trained, in PEFT's layout. Its policy folder holds them merged.
const AdapterFolder = "adapter"

// Files of an adapter in PEFT's layout.
const (
	adapterConfig  = "adapter_config.json"
	adapterWeights = "adapter_model.safetensors"
)

// exportAdapter writes the adapters into dir as PEFT saves and loads them, float32. The program must have some.
func (m *model) exportAdapter(in *Inputs, dir string) error {
	l := in.Experiment.Policy.LoRA
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("export adapter: %w", err)
	}
	var tensors []weights.Tensor
	for _, q := range m.program.Params {
		if q.Module == compile.Adapter {
			tensors = append(tensors, weights.Tensor{Name: "base_model.model." + m.inMemory(q.Name), Shape: q.Shape, Data: m.weights[q.Name].Float32()})
		}
	}
	if err := weights.Write(filepath.Join(dir, adapterWeights), tensors, "F32", nil); err != nil {
		return fmt.Errorf("export adapter: %w", err)
	}
	// The targets are a pattern, which PEFT matches with whole names: a vision tower has linear layers of the same last names.
	decoder := strings.ReplaceAll(m.inMemory(m.program.Model.Decoder().Prefix+"layers."), ".", `\.`)
	err := writeJSON(filepath.Join(dir, adapterConfig), map[string]any{
		"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": in.Experiment.Policy.From, "inference_mode": true,
		"r": l.Rank, "lora_alpha": json.Number(fmt.Sprint(l.Alpha)), "lora_dropout": l.Dropout, "bias": "none",
		"target_modules": decoder + `\d+\.(self_attn|mlp)\.(` + strings.Join(l.Targets, "|") + ")",
	})
	if err != nil {
		return fmt.Errorf("export adapter: %w", err)
	}
	return nil
}

// inMemory is the name that the transformers library has in memory for a parameter of the decoder's layers, by which PEFT names
// adapters: there the decoder of a vision-language model is model.language_model, whatever its checkpoints say.
func (m *model) inMemory(name string) string {
	if prefix := m.program.Model.Decoder().Prefix; m.program.Sees() {
		return "model.language_model." + strings.TrimPrefix(name, prefix)
	}
	return name
}
