package grpo

import "fmt"

// Order returns the sequence in which a sampler emits prompt indices: order (a permutation of the prompts) is cut into
// chunks of promptsPerBatch, the last partial chunk is dropped, each chunk is emitted `repeats` times (iterations times
// steps per generation), and inside a chunk each index stands groupSize times in a row.
func Order(order []int, promptsPerBatch, groupSize, repeats int) ([]int, error) {
	if promptsPerBatch < 1 || groupSize < 1 || repeats < 1 {
		return nil, fmt.Errorf("order: %d prompts a batch, group size %d, %d repeats: want all >= 1", promptsPerBatch, groupSize, repeats)
	}
	var out []int
	for ; len(order) >= promptsPerBatch; order = order[promptsPerBatch:] {
		for range repeats {
			for _, index := range order[:promptsPerBatch] {
				for range groupSize {
					out = append(out, index)
				}
			}
		}
	}
	return out, nil
}
