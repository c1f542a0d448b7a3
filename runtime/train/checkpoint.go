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
	referenceFile = "reference.safetensors" // the reference of the trained ones; absent while it is the initial weights
	stateFile     = "state.json"            // written last; a checkpoint without it does not count
)

// checkpointState seals a checkpoint: the files that belong to it, by content.
type checkpointState struct {
	Step     int               `json:"step"`
	SHA256   map[string]string `json:"sha256"`
	Progress json.RawMessage   `json:"progress,omitempty"` // of type progress; checkpoints of earlier versions have none
}

// saveCheckpoint writes the state after a step into dir; every file is synced and appears whole. sealed is the engine's small state as it
// was then.
func (m *model) saveCheckpoint(dir string, step int, sealed json.RawMessage) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	files := map[string][]weights.Tensor{}
	for _, q := range m.program.Trainable() {
		add := func(file, name string, t *ort.Tensor) {
			files[file] = append(files[file], weights.Tensor{Name: name, Shape: q.Shape, Data: t.Float32()})
		}
		add(policyFile, q.Name, m.weights[q.Name])
		add(optimizerFile, "m."+q.Name, m.m[q.Name])
		add(optimizerFile, "v."+q.Name, m.v[q.Name])
		if m.synced {
			add(referenceFile, q.Name, m.reference[q.Name])
		}
	}
	state := checkpointState{Step: step, SHA256: map[string]string{}, Progress: sealed}
	for name, tensors := range files {
		sum, err := weights.WriteSum(filepath.Join(dir, name), tensors, "F32", nil)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		state.SHA256[name] = sum
	}
	return writeJSON(filepath.Join(dir, stateFile), state)
}

// loadCheckpoint reads what saveCheckpoint wrote over the initial weights, and the small state into p: a frozen parameter is in no
// checkpoint. A checkpoint of an earlier version has no small state, and leaves p as it is. One that is not what was written is an error
// that names the file and says how to go on.
func (m *model) loadCheckpoint(dir string, step int, p *progress) error {
	hint := fmt.Sprintf("delete the folder %s to continue from the checkpoint before it", dir)
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return fmt.Errorf("checkpoint: %w; %s", err, hint)
	}
	var state checkpointState
	err = json.Unmarshal(data, &state)
	if err == nil && state.Progress != nil {
		err = json.Unmarshal(state.Progress, p)
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %s: %w; %s", filepath.Join(dir, stateFile), err, hint)
	}
	if state.Step != step {
		return fmt.Errorf("checkpoint: %s is of step %d, want %d; %s", dir, state.Step, step, hint)
	}
	files := []string{policyFile, optimizerFile}
	if _, m.synced = state.SHA256[referenceFile]; m.synced {
		files = append(files, referenceFile)
	}
	for _, name := range files {
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
	trained, reference := map[string]*ort.Tensor{}, map[string]*ort.Tensor{}
	for _, q := range m.program.Trainable() {
		trained[q.Name], reference[q.Name] = m.weights[q.Name], m.reference[q.Name]
	}
	err = errors.Join(load(filepath.Join(dir, policyFile), "", trained),
		load(filepath.Join(dir, optimizerFile), "m.", m.m), load(filepath.Join(dir, optimizerFile), "v.", m.v))
	if m.synced {
		err = errors.Join(err, load(filepath.Join(dir, referenceFile), "", reference))
	}
	return err
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
