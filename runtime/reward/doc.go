// Package reward scores a completion against an example: routing, answer extraction and the reward components.
//
// In: a resolved experiment (which task goes to which reward, with which weight), a data.Example and the completion's
// text with special tokens already stripped. Out: one Result with every component, where a component that does not
// apply is nil and never 0.
//
// Scoring is pure: no model is asked, no file is read, no state is kept between calls, and a Scorer may be used from
// several goroutines. The one thing beside the texts that a reward may look at is the frozen input-embedding table of
// the initial policy (BMAS).
//
// Error policy: what the policy wrote can never be an error; text that cannot be read scores 0 and says why in
// Result.Note. What people wrote can: gold that cannot be read (CheckGold), a task without a route, a route without a
// reward are errors, never a silent 0.
package reward
