// Package reward scores a completion against an example: routing, answer extraction, the reward components and how they become one reward.
//
// In: a resolved experiment (which task goes to which reward, with which weight and options), a data.Example and the completion's
// text with special tokens already stripped. Out: one Result with every component, where a component that does not
// apply is nil and never 0.
//
//	extract.go       where the answer stands: answer block, \boxed{}, "the answer is", the last letter or number
//	yesno.go         matching: yes or no          choice.go     matching: multiple choice
//	chart.go         numbers, texts, lists (list.go), dates (date.go); number.go and expression.go read numbers
//	iou.go           boxes: boxes.go reads them, space.go converts them, assign.go pairs them
//	similarity.go    bmas: BMAS (bmas.go) and its variants; cosines.go multiplies
//	overlap.go       text: ROUGE-L, BLEU, n-gram F, which read no model
//	format.go        the form of a completion     penalty.go    length and repetition
//
// Every option is a field of schema/reward.cue with its formula and source. Its zero value in Go is the schema's default, so a spec.Rewards
// that a test writes by hand means what an experiment would.
//
// Scoring is pure: no model is asked, no file is read, no state is kept between calls, and a Scorer may be used from
// several goroutines. The one thing beside the texts that a reward may look at is the frozen input-embedding table of
// the initial policy (BMAS).
//
// Error policy: what the policy wrote can never be an error; text that cannot be read scores 0 and says why in
// Result.Note, which then begins with "unparsed". Nothing is guessed or drawn in its place. What people wrote can: gold that cannot be
// read (CheckGold), a task without a route, a route without a reward, an unknown option are errors, never a silent 0.
package reward
