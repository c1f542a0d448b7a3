package train

import (
	"fmt"
	"os"
	"path/filepath"

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
