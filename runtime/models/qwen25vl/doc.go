// Package qwen25vl is Qwen2.5-VL (arXiv 2502.13923): the graphs of the model, and the host code that prepares what they are fed.
//
// In: config.json of a checkpoint in Hugging Face layout, images, token ids. Out: on the graph side Vision, Embed, Text, DecodeStep,
// Head and Sample, which add the model to a graph, and Specs, the parameters that it needs; on the host side patches, window
// layouts, rotary tables, positions and chat prompts as plain slices. Any size of the family comes from the same code, a few
// thousand parameters for tests or the released 3B and 7B.
//
// The graphs know nothing of images or rows of text: positions, masks and layouts are inputs that the host fills. The package
// never holds a weight, never runs a graph, and does not support videos.
//
// Errors: host functions return them; graph functions panic with *graph.Error, which graph.Build recovers.
//
// Shapes: P patches, M merged visual tokens (4 patches each), W attention windows of S places, N rows of T tokens, G completions
// of a prompt, C places of a completion's cache (C selected tokens in losses), S also key/value length, H heads, K key/value
// heads, h = H/K, E head width, D width, Dv width of the vision tower, F feed-forward width, V vocabulary.
package qwen25vl
