// Package table stores what a run produced: typed rows in Parquet files, in a run folder that any process may die in.
//
// In: rows (Metrics, Slice, Completion, Eval, Timing), a Manifest that says what the run is, and small files (spec,
// graphs). Out: a folder that a reader can trust at any moment, and the same rows back. It never computes a value,
// never prints, and knows nothing of models, rewards or CUE.
//
//	results/<name>-<fingerprint>/
//	  run.json          manifest: what the run is, and which of the files below count
//	  lock              held while a process works on the run; names it
//	  spec.json provenance.json graphs/*.onnx
//	  checkpoints/step-000020/
//	  parts/metrics-000001-000010.parquet ...   while the run goes on
//	  metrics.parquet slices.parquet completions.parquet eval.parquet timing.parquet   once it is done
//
// How nothing is lost. Every file is written under .writing/, synced and renamed, so it is whole or absent. A file counts
// only when run.json lists it, and run.json is replaced in one rename: Commit lists a checkpoint and the parts up to it
// together. Open therefore finds the state of the last Commit, whatever the process did after it, and removes the rest.
// Finish merges the parts of each table in order of step; the bytes of the result depend on the rows alone, not on
// where parts or attempts began.
//
// Errors name the file and say what to do. Row types that break a rule of Row are errors of Write, never repaired.
package table
