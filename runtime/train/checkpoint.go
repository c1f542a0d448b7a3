package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"mixr/runtime/ort"
	"mixr/runtime/weights"
)

const (
	policyFile    = "model.safetensors"     // the trained parameters, float32: training goes on from the exact bits
	optimizerFile = "optimizer.safetensors" // m.NAME and v.NAME of the trained ones
	stateFile     = "state.json"            // written last; a checkpoint without it does not count
)

// checkpointState seals a checkpoint: the files that belong to it, by content.
type checkpointState struct {
	Step   int               `json:"step"`
	SHA256 map[string]string `json:"sha256"`
}

// saveCheckpoint writes the state after a step into dir; every file is synced and appears whole.
func (m *model) saveCheckpoint(dir string, step int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	var policy, moments []weights.Tensor
	for _, q := range m.program.Trainable() {
		policy = append(policy, weights.Tensor{Name: q.Name, Shape: q.Shape, Data: m.weights[q.Name].Float32()})
		moments = append(moments,
			weights.Tensor{Name: "m." + q.Name, Shape: q.Shape, Data: m.m[q.Name].Float32()},
			weights.Tensor{Name: "v." + q.Name, Shape: q.Shape, Data: m.v[q.Name].Float32()})
	}
	state := checkpointState{Step: step, SHA256: map[string]string{}}
	for name, tensors := range map[string][]weights.Tensor{policyFile: policy, optimizerFile: moments} {
		sum, err := weights.WriteSum(filepath.Join(dir, name), tensors, "F32", nil)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		state.SHA256[name] = sum
	}
	return writeJSON(filepath.Join(dir, stateFile), state)
}

// loadCheckpoint reads what saveCheckpoint wrote over the initial weights: a frozen parameter is in no checkpoint. A checkpoint that
// is not what was written is an error that names the file and says how to go on.
func (m *model) loadCheckpoint(dir string, step int) error {
	hint := fmt.Sprintf("delete the folder %s to continue from the checkpoint before it", dir)
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return fmt.Errorf("checkpoint: %w; %s", err, hint)
	}
	var state checkpointState
	if err := json.Unmarshal(data, &state); err != nil {
		return fmt.Errorf("checkpoint: %s: %w; %s", filepath.Join(dir, stateFile), err, hint)
	}
	if state.Step != step {
		return fmt.Errorf("checkpoint: %s is of step %d, want %d; %s", dir, state.Step, step, hint)
	}
	for _, name := range []string{policyFile, optimizerFile} {
		want, sealed := state.SHA256[name]
		if !sealed {
			return fmt.Errorf("checkpoint: %s does not list %s; %s", filepath.Join(dir, stateFile), name, hint)
		}
		got, err := weights.HashFile(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("checkpoint: %w; %s", err, hint)
		}
		if got != want {
			return fmt.Errorf("checkpoint: %s is damaged: its sha256 is %.12s, written was %.12s; %s", filepath.Join(dir, name), got, want, hint)
		}
	}
	trained := map[string]*ort.Tensor{}
	for _, q := range m.program.Trainable() {
		trained[q.Name] = m.weights[q.Name]
	}
	return errors.Join(load(filepath.Join(dir, policyFile), "", trained),
		load(filepath.Join(dir, optimizerFile), "m.", m.m), load(filepath.Join(dir, optimizerFile), "v.", m.v))
}

// load fills the tensors of a set from a checkpoint, each stored under prefix + name.
func load(path, prefix string, set map[string]*ort.Tensor) error {
	s, err := weights.Open(path)
	if err != nil {
		return err
	}
	defer s.Close()
	for name, t := range set {
		if err := s.Float32(prefix+name, t.Float32()); err != nil {
			return err
		}
	}
	return nil
}
