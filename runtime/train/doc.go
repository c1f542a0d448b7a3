// Package train is the one loop: rollout, reward, advantage, gradient, optimizer, for the grpo stage, and gradient, optimizer
// for the sft stage; with evaluation before, on the way and after, stop rules, checkpoints and result tables. Of the eval stage, one
// evaluation.
//
// In: a trial (package plan), its data, its policy's folder and an open ONNX Runtime engine. Out: a run folder (package table)
// that any later process can continue or read, with the trained policy. The same sampling serves a policy without a run (OpenPolicy),
// and the policy leaves in Hugging Face layout (Export). It prints nothing; progress goes to a callback, warnings to a zerolog.Logger.
//
// Determinism. The unit of work is some prompts that decode side by side (a rollout, an evaluation), one prompt group (grpo) or some
// examples (sft), and which these are follows from the experiment alone. Sessions run on one thread; workers take whole units, and
// results are added in the order of the units. So neither the number of workers nor the number of units in flight changes a bit. Every
// random number is a hash of (run seed, example, completion, position), see package grpo.
//
// Crash safety. State is saved at checkpoints alone. A run that died continues from its last checkpoint; rows written since are
// dropped and computed again, to the same bits.
package train
