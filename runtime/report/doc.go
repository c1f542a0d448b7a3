// Package report compares runs. In: run folders, read through package table. Out: plain values that marshal to JSON
// (Comparison, StudyComparison, Table, Gain, Listing, Run), and pages of each: for a terminal, and of comparisons and tables in
// Markdown and HTML too, of tables in LaTeX and CSV. It never writes into a run, never loads a model, and claims no
// more than its numbers carry: every difference comes with an interval and the number of examples behind it, and what a
// single seed cannot show is said beside it.
//
// Errors are for what stops a report (no run, a damaged table). What makes a number doubtful (examples that do not
// match, another library version, an unfinished run) is a warning on the result, and is printed with it.
package report
