// Package decoder is the transformer decoder that Qwen2, Llama and the language side of Qwen2.5-VL and InternVL share: grouped-query
// attention with rotary positions, RMSNorm before each part, SwiGLU. What differs between them is data, a Config.
//
// In: sizes (Config, read from a Hugging Face text configuration by Parse), token ids, masks, positions. Out: functions that add the
// decoder to a graph, over whole rows (Embed, Text, Head) or one token for each completion of some prompts (Step, Sample), and on the
// host the rotary tables (Config.Tables) and draws from narrowed distributions (Picker). It never holds a weight, never runs a graph and
// knows no images.
//
// Errors: host functions return them; graph functions panic with *graph.Error, which graph.Build recovers.
//
// Shapes: N rows of T tokens; P prompts that decode side by side, at most G completions of each, R of all; C places of a completion's
// cache, S key/value length of the prompts'; H heads, K key/value heads, h = H/K, E head width, D width, F feed-forward width, V vocabulary,
// M merged visual tokens.
package decoder

import (
	"fmt"

	"mixr/runtime/nn"
)

// Config holds the sizes and switches of one decoder.
type Config struct {
	Vocab        int // V, rows of the embedding; may exceed the tokenizer's size
	Width        int // D
	FeedForward  int // F
	Layers       int
	Heads        int // H
	KVHeads      int // K, divides H
	HeadWidth    int // E, even; D/H unless the checkpoint says otherwise
	NormEps      float64
	InitStd      float64 // standard deviation of random initial weights
	MaxPositions int     // positions seen in training; 0 = the checkpoint does not say
	Rope         Rope
	QKVBias      bool // Qwen2 has one, Llama not
	OutBias      bool
	MLPBias      bool
	Tied         bool // the head is the token embedding

	// Where the parameters stand in a checkpoint: Prefix + "embed_tokens.weight", Prefix + "layers.0. ...", Prefix + "norm.weight", and
	// HeadName for an untied head.
	Prefix, HeadName string
}

// CheckCompletion reports a longest completion that leaves no room for a prompt within MaxPositions. Rotary angles exist for any
// position; beyond that number the policy has never seen them.
func (c *Config) CheckCompletion(maxTokens int) error {
	if c.MaxPositions > 0 && maxTokens >= c.MaxPositions {
		return fmt.Errorf("max_completion_tokens: got %d, want less than the policy's max_position_embeddings %d, which the prompt shares",
			maxTokens, c.MaxPositions)
	}
	return nil
}

// Embedding is the name of the token embedding [V, D].
func (c *Config) Embedding() string { return c.Prefix + "embed_tokens.weight" }

func (c *Config) heads() nn.Heads {
	return nn.Heads{Query: c.Heads, KV: c.KVHeads, Width: c.HeadWidth}
}
