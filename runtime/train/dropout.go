package train

import (
	"mixr/runtime/grpo"
	"mixr/runtime/nn"
)

// dropoutStream keeps the keys of dropout apart from the uniforms of sampling.
const dropoutStream = 0x64726f706f7574 // "dropout"

// dropoutKeys gives the keys [layers, N, T] by which adapters drop inputs in a gradient, nil if none does. A key is a
// hash of (run seed, example, place of the sequence among all that the run trains on, completion, position, layer), as a sampled
// token's uniform is: who computes the row, and what stands beside it, changes nothing. The tokens of a prompt count as its
// completion -1: they are computed once for the group.
func (r *runner) dropoutKeys(packed *rows, sequences []sequence) []int64 {
	if !r.model.program.Drops() {
		return nil
	}
	layers := r.model.program.Model.Decoder().Layers
	streams := make([][]grpo.Stream, len(sequences))
	for i, s := range sequences {
		streams[i] = make([]grpo.Stream, 1+len(s.completions))
		for c := range streams[i] {
			streams[i][c] = grpo.NewStream(r.exp.Seed^dropoutStream, s.prompt.example.ID, s.place*len(streams[i])+c)
		}
	}
	size := packed.n * packed.t
	keys := make([]int64, layers*size)
	for i, of := range packed.origin {
		for layer := range layers {
			bits := streams[of.sequence][of.completion+1].Bits(layer<<32 | of.position)
			keys[layer*size+i] = 1 + int64(bits%(nn.KeyRange-1))
		}
	}
	return keys
}
