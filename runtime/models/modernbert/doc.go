// Package modernbert is the ModernBERT encoder (arXiv 2412.13663): token ids to hidden states, over texts of thousands of tokens.
//
// In: config.json of a checkpoint in Hugging Face layout, token ids. Out: on the graph side Encode, which adds the encoder to a graph,
// and Specs, the parameters that it needs; on the host side Feed, the inputs of a padded batch: masks of global and local layers and
// their rotary tables. What becomes of the hidden states (mean, first token, token by token) is the caller's business.
//
// The package never holds a weight, never runs a graph and does not tokenise.
//
// Errors: host functions return them; graph functions panic with *graph.Error, which graph.Build recovers.
//
// Shapes: N texts of T tokens, D width, F feed-forward width, H heads, E head width, V vocabulary.
package modernbert
