// Package grpo holds the arithmetic of group relative policy optimisation (arXiv 2402.03300) and of its relatives.
//
// In: rewards, log-probabilities and loss masks of one policy update. Out: advantages, per-token loss weights, losses,
// learning rates and the uniforms that sampling consumes. There are two sides:
//
//   - The host side works in float64 on plain slices and is pure: the same input gives the same bits, nothing is read
//     from clocks, files or global state, and no goroutine is started.
//   - The graph side (Objective, MeanByRow, SFT, BuildAdamW, BuildAccumulate, BuildNorm) emits the part that runs in float32
//     beside the model.
//
// Loss is called by no run: it is the reference that the graph of every variant is held to, and itself is held to vectors of
// independent implementations.
//
// A variant is a row of parameters (Variant), never a copy of the loss. Every aggregation rule, mask and importance
// correction is a weight for each token, computed on the host from the whole update (Variant.Weights), so that
//
//	loss = sum over t of weight_t L_t + klWeight_t KL_t - entropyWeight_t H_t
//
// holds for all of them and cutting an update into micro-batches cannot change it (bnpo excepted: it is defined by its
// micro-batches, which here are the groups).
//
// The package never samples, never runs a model and never decides what is trained. Errors: bad arguments are returned
// as errors that name the value and its place; wrong shapes on the graph side panic with *graph.Error, which
// graph.Build returns.
//
// Shapes: B prompts, G completions per prompt, N = B*G rows of an update, R rows of a unit of compute, T_n tokens of row n
// (ragged), C selected positions.
package grpo
