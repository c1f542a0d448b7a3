// Package spec turns .cue files into experiments and studies.
//
// In: one file (see Load) and overrides from the command line. Out: typed values with the place where each was
// written, or every mistake in the file, each one line at file:line:col. It never trains, never reads data, weights or
// rows, and opens no network connection: imports come from the file's own module and from the schemas in the binary.
//
// How a file becomes an experiment:
//
//	read     the file is evaluated with the schemas replaced by empty ones, so what comes out is what the user wrote (source.go)
//	check    every key and value is held against the real schema, one at a time, so no mistake hides another (check.go)
//	merge    base, rungs and overrides are laid over each other path by path; each value keeps its writers (tree.go)
//	fill     the schema's defaults are added; what is required and absent is a mistake (check.go)
//	rules    conditions between fields: "group_size divides batch_size", "every task has a reward" (rules.go)
//
// CUE itself has no override and reports mistakes of a union as a crowd; both are why layers are merged here as data and
// only then unified with the schema, which has the last word.
//
// Errors of the user are Diagnostics, returned and never printed. A panic is a bug in mixr.
package spec
