// Package monitor watches a grpo run for its known ways to fail. In: what each step measured (Step), in order. Out: what is wrong at that
// step (Findings), each with the step at which it began. Pure and deterministic: findings are a function of the steps and the limits, and
// the state between two steps is plain data that survives JSON bit for bit, so that a resumed run finds what an uninterrupted one does.
//
// Every monitor compares with a limit of spec.MonitorLimits, whose schema says why that is its default; results/README.md has what they
// were measured at. A monitor that pools looks at the last Window steps that had prompts of a task and source, and says nothing before
// there are so many; one that compares with the beginning says nothing before there are twice as many.
//
// A rise or fall counts where it is larger than Noise standard errors, taken from the spread between steps: prompts of different steps are
// drawn independently, completions of one prompt are not.
package monitor
