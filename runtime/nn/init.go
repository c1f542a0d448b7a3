package nn

import (
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// Init fills dst with the random initial value of a parameter, as Hugging Face does for a model without weights: normal with the given
// standard deviation for matrices and embeddings, 0 for biases, 1 for norm gains. The values depend on the seed, the name and the
// shape alone, not on the order or number of parameters.
func Init(s Spec, std float64, seed uint64, dst []float32) {
	if len(s.Shape) == 1 {
		value := float32(1)
		if strings.HasSuffix(s.Name, ".bias") {
			value = 0
		}
		for i := range dst {
			dst[i] = value
		}
		return
	}
	h := fnv.New64a()
	h.Write([]byte(s.Name))
	rng := rand.New(rand.NewPCG(seed, h.Sum64()))
	for i := range dst {
		dst[i] = float32(rng.NormFloat64() * std)
	}
}
