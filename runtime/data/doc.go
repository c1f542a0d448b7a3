// Package data turns dataset cards into the examples a run sees.
//
// In: the sources of an experiment (spec.Source: a card, a task, a weight) and the files the cards name, JSONL rows
// and images. Out: validated Examples, the held-out ones apart, and a Mix whose batch at any step is a pure function
// of (seed, step, size), so a restarted run, or one with other workers, sees the same examples in the same order.
//
// It never decodes a whole image, never resizes, tokenises or scores, never writes, never goes to the network, and
// never drops a row: a mistake in a card or a row is an error that says where it is and what to do.
package data
