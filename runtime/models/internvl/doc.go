// Package internvl is InternVL 2.5 and 3 (arXiv 2412.05271, 2504.10479): the InternViT tower with pixel shuffle and projector as
// graphs, and the host code that cuts pictures in tiles and writes prompts. The language side is the shared decoder, Qwen2, Llama or
// InternLM2.
//
// In: a checkpoint's configuration, in the layout of transformers (model type internvl) or in the original one (internvl_chat);
// pictures; conversations. Out: a models.Model. Any size of the family comes from the same code, with InternViT-300M (LayerNorm) or
// InternViT-6B (RMSNorm, normed queries and keys). The package never holds a weight and never runs a graph.
//
// Errors: host functions return them; graph functions panic with *graph.Error, which graph.Build recovers.
//
// Shapes: I tiles of all pictures, P patches of a tile (image_size/14 squared, 1024 in released models), M merged visual tokens
// (P/4 of them a tile), E head width, D width of the decoder, Dv width of the tower, F feed-forward width, T tokens of a prompt.
package internvl
