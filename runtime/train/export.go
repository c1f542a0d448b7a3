package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"mixr/runtime/models"
	"mixr/runtime/models/family"
	"mixr/runtime/weights"
)

// PolicyFolder is where in a run's folder its trained policy lies, in the layout of the checkpoint that it started from, float32.
const PolicyFolder = "policy"

// policyWeights is the policy's file in it: one, whatever the size, since a run writes it and other runs read it.
const policyWeights = "model.safetensors"

// export writes the policy as a folder which policy.from of another experiment can name: the weights as training left them, adapters
// merged, and what stands beside them.
func (m *model) export(in *Inputs, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("export policy: %w", err)
	}
	if err := family.CopyFiles(in.Policy.Dir, dir, "F32"); err != nil {
		return fmt.Errorf("export policy: %w", err)
	}
	if err := weights.Write(filepath.Join(dir, policyWeights), m.tensors(), "F32", nil); err != nil {
		return fmt.Errorf("export policy: %w", err)
	}
	return nil
}

// tensors are the policy's weights in the layout of its checkpoint.
func (m *model) tensors() []weights.Tensor {
	var out []weights.Tensor
	for _, t := range m.layout {
		out = append(out, weights.Tensor{Name: t.Name, Shape: t.Shape, Read: func(dst []float32) error {
			merged := map[string][]float32{} // a parameter may stand in several parts
			for _, p := range t.Parts {
				if merged[p.Param.Name] == nil {
					merged[p.Param.Name] = m.merged(p.Param)
				}
				width := p.Param.Size() / p.Param.Shape[0]
				copy(dst[p.From*width:p.To*width], merged[p.Param.Name][p.Row*width:])
			}
			return nil
		}})
	}
	return out
}

// ExportOptions say how Export stores weights.
type ExportOptions struct {
	DType      string // F32 or BF16
	ShardBytes int64  // most bytes of a file
	// Progress, if not nil, is told how many tensors are written.
	Progress func(done, total int)
}

// Export writes the policy in the folder from as a folder to in Hugging Face layout, which must not exist or be empty: it appears whole or
// not at all. One tensor at a time is in memory.
func Export(ctx context.Context, from, to string, o ExportOptions) error {
	if found, err := os.ReadDir(to); err == nil && len(found) > 0 {
		return fmt.Errorf("export: %s is not empty (%s): name another folder", to, found[0].Name())
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("export: %w", err)
	}
	to = filepath.Clean(to)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	part, err := os.MkdirTemp(filepath.Dir(to), filepath.Base(to)+".part-")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	err = os.Chmod(part, 0o755) // MkdirTemp's is for its owner alone
	if err == nil {
		err = exportTo(ctx, from, part, o)
	}
	if err == nil {
		if err = os.Remove(to); err == nil || errors.Is(err, os.ErrNotExist) { // it is empty
			err = os.Rename(part, to)
		}
	}
	if err != nil {
		return fmt.Errorf("export %s: %w", from, errors.Join(err, os.RemoveAll(part)))
	}
	return nil
}

func exportTo(ctx context.Context, from, to string, o ExportOptions) error {
	m, err := family.LoadModel(from)
	if err != nil {
		return err
	}
	s, err := weights.Open(from)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Finite = true
	layout, err := models.Layout(m, s.Has)
	if err != nil {
		return err
	}
	shapes := map[string][]int{} // as transformers has them, whatever wrote the folder
	for _, t := range layout {
		shapes[t.Name] = t.Shape
	}
	var tensors []weights.Tensor
	done := 0
	for _, name := range s.Names() {
		if shapes[name] == nil {
			continue // a buffer, or what the model does not read
		}
		tensors = append(tensors, weights.Tensor{Name: name, Shape: shapes[name], Read: func(dst []float32) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if done++; o.Progress != nil {
				o.Progress(done, len(tensors))
			}
			return s.Float32(name, dst)
		}})
	}
	if len(tensors) < len(layout) {
		for _, t := range layout {
			if !s.Has(t.Name) {
				return fmt.Errorf("weight %s %v is missing", t.Name, t.Shape)
			}
		}
	}
	if err := family.CopyFiles(from, to, o.DType); err != nil {
		return err
	}
	return weights.WriteSharded(to, tensors, o.DType, o.ShardBytes, nil)
}
