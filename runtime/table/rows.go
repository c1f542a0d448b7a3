package table

import (
	"math"
	"time"
)

// Row is any of the row types; each belongs to exactly one table.
//
// Rules that hold for all of them (results/README.md lists every column, and a test keeps the two equal):
//   - a nullable column is a pointer and says `optional`; a required one is plain and does not. (`optional` on a
//     plain field would store 0, "" and false as null: a reward of 0 would vanish.)
//   - a column that a table did not have from the start is nullable and has the tag `since` with the version of the table that
//     added it; it is null in the rows of older files.
//   - a number is finite or null. Finite makes the pointer and counts what it drops.
//   - only Timing knows about time, hosts and attempts, so the other tables of an interrupted and resumed run have
//     the same bytes as those of an uninterrupted one.
//   - log-probabilities, entropy and KL are in nats; _frac is in [0, 1]; _s is seconds; _b is bytes.
type Row interface {
	Metrics | Slice | Completion | Eval | Timing
}

// Metrics is one row of metrics.parquet: one step, over its whole batch. A step of several updates (passes, minibatches) has the mean
// over its updates of losses and gradient norms, and the mean over the tokens of all of them of what belongs to tokens. Columns that only
// a rollout has are nil in the sft stage.
type Metrics struct {
	Step         int32    `parquet:"step,delta"` // 1, 2, ...
	Loss         *float64 `parquet:"loss,optional"`
	LossPolicy   *float64 `parquet:"loss_policy,optional"`
	LossKL       *float64 `parquet:"loss_kl,optional"`                // nil without a KL term in the loss: it is off, not 0
	LossEntropy  *float64 `parquet:"loss_entropy,optional" since:"2"` // nil without an entropy bonus
	KL           *float64 `parquet:"kl,optional"`                     // the experiment's estimate to the reference, a token
	KLPenalty    *float64 `parquet:"kl_penalty,optional" since:"2"`   // taken off the reward of a completion; nil where the KL is not in it
	Entropy      *float64 `parquet:"entropy,optional"`
	EntropyMin   *float64 `parquet:"entropy_min,optional" since:"2"`  // smallest mean entropy of a completion
	EntropyMax   *float64 `parquet:"entropy_max,optional" since:"2"`  // largest
	CountedFrac  *float64 `parquet:"counted_frac,optional" since:"2"` // tokens of which the policy term counts
	Correction   *float64 `parquet:"correction_mean,optional" since:"2"`
	ClipLowFrac  *float64 `parquet:"clip_low_frac,optional"`
	ClipHighFrac *float64 `parquet:"clip_high_frac,optional"`
	RatioMean    *float64 `parquet:"ratio_mean,optional"`
	GradNorm     *float64 `parquet:"grad_norm,optional"` // L2 over all parameters that train, before clipping
	LR           float64  `parquet:"lr"`                 // as used by the step's last update; 0 without one
	NumUpdates   *int32   `parquet:"n_updates,optional" since:"2"`
	NumSkipped   *int32   `parquet:"n_skipped,optional" since:"2"` // updates not made since their gradient was not finite

	RewardMean   *float64 `parquet:"reward_mean,optional"`
	RewardStd    *float64 `parquet:"reward_std,optional"`     // over the batch, n-1; not the spread within groups
	FormatMean   *float64 `parquet:"format_mean,optional"`    // nil without a format reward
	GroupStdMean *float64 `parquet:"group_std_mean,optional"` // mean over groups of the std within the group
	ZeroStdFrac  *float64 `parquet:"zero_std_frac,optional"`  // groups whose rewards are all equal: they teach nothing
	AdvAbsMean   *float64 `parquet:"adv_abs_mean,optional"`

	NumPrompts     int32    `parquet:"n_prompts"`
	NumCompletions int32    `parquet:"n_completions"`                  // sft: target completions, one a prompt
	NumDropped     *int32   `parquet:"n_dropped,optional" since:"2"`   // groups without spread that no update counted
	NumResampled   *int32   `parquet:"n_resampled,optional" since:"2"` // groups drawn in place of such
	TokPrompt      int64    `parquet:"tok_prompt"`                     // image tokens included; a prompt counts once a group
	TokCompletion  int64    `parquet:"tok_completion"`
	LenMean        *float64 `parquet:"len_mean,optional"` // tokens a completion
	LenMax         *int32   `parquet:"len_max,optional"`
	TruncFrac      *float64 `parquet:"trunc_frac,optional"`    // completions stopped by the length limit
	LogpGapMean    *float64 `parquet:"logp_gap_mean,optional"` // |trainer - sampler| a token, on equal weights
	LogpGapMax     *float64 `parquet:"logp_gap_max,optional"`
	FilterShift    *float64 `parquet:"filter_shift,optional" since:"2"` // what top_p and its like add to a token's log-probability
	RepeatFrac     *float64 `parquet:"repeat_frac,optional" since:"2"`  // 4-grams of tokens that stand in the completion before

	// Findings of the health monitors that hold at this step; the three lists are parallel, in order of Alerts.
	Alerts     []string  `parquet:"alerts,optional,list" since:"2"`      // NAME, or NAME TASK/SOURCE
	AlertSince []int32   `parquet:"alert_since,optional,list" since:"2"` // step at which it began
	AlertValue []float64 `parquet:"alert_value,optional,list" since:"2"`

	NumNonfinite int32 `parquet:"n_nonfinite"` // numbers of this row that were NaN or infinite and are null here
}

// Slice is one row of slices.parquet: one component of one task of one source in one step. Component is a reward
// component's name (matching, chart, iou, bmas, text, format, overlong, repetition), or reward, len or loss. N counts
// completions; Mean to Max are over the N - NumNull completions to which the component applies. Where it applies to none there is no row.
type Slice struct {
	Step      int32    `parquet:"step,delta"`
	Task      string   `parquet:"task,dict"`
	Source    string   `parquet:"source,dict"`
	Component string   `parquet:"component,dict"`
	N         int32    `parquet:"n"`
	NumNull   int32    `parquet:"n_null"`
	Mean      *float64 `parquet:"mean,optional"`
	Std       *float64 `parquet:"std,optional"` // n-1; nil for fewer than two values
	Min       *float64 `parquet:"min,optional"`
	Max       *float64 `parquet:"max,optional"`
}

// Completion is one row of completions.parquet: one sampled answer and all that was concluded from it.
type Completion struct {
	Step         int32     `parquet:"step,delta"`
	ExampleID    string    `parquet:"example_id,dict"`
	Source       string    `parquet:"source,dict"`
	Task         string    `parquet:"task,dict"`
	Gen          int32     `parquet:"gen"` // index in the group, 0 ... G-1
	Prompt       *string   `parquet:"prompt,optional,dict"`
	Completion   string    `parquet:"completion"`
	Extracted    *string   `parquet:"extracted,optional"` // the answer found in the completion; nil when none was found
	Parsed       bool      `parquet:"parsed"`             // the reward could read the answer
	Finish       string    `parquet:"finish,dict"`        // eos | length | stop
	NumPromptTok int32     `parquet:"n_prompt_tok"`
	NumTok       int32     `parquet:"n_tok"`
	LogpSum      float64   `parquet:"logp_sum"` // sum of Logp
	TokenIDs     []int32   `parquet:"token_ids,list"`
	Logp         []float32 `parquet:"logp,list"`                        // one a token, by the distribution drawn from
	OwnLogp      []float32 `parquet:"own_logp,optional,list" since:"3"` // by the policy's own distribution; nil where that was drawn from
	Matching     *float64  `parquet:"matching,optional"`
	Chart        *float64  `parquet:"chart,optional"`
	IoU          *float64  `parquet:"iou,optional"`
	BMAS         *float64  `parquet:"bmas,optional"`
	Text         *float64  `parquet:"text,optional" since:"2"`
	Format       *float64  `parquet:"format,optional"`
	Overlong     *float64  `parquet:"overlong,optional" since:"2"`   // penalty, -1 to 0
	Repetition   *float64  `parquet:"repetition,optional" since:"2"` // penalty, -1 to 0
	Reward       float64   `parquet:"reward"`
	GroupMean    float64   `parquet:"group_mean"`
	GroupStd     float64   `parquet:"group_std"`
	Advantage    float64   `parquet:"advantage"`
	Note         *string   `parquet:"note,optional"` // why a component is nil or 0, in words
}

// Eval is one row of eval.parquet: one completion of one held-out example. A reader that averages samples leaves out rows for which
// Beside is true.
type Eval struct {
	Step       int32    `parquet:"step,delta"` // updates the policy had seen; 0 = the initial weights
	When       string   `parquet:"when,dict"`  // before | during | after (training; or all of stage eval)
	ExampleID  string   `parquet:"example_id,dict"`
	ItemSHA    string   `parquet:"item_sha,dict"` // hex sha256 of question, gold and image content: guards pairing
	Source     string   `parquet:"source,dict"`
	Task       string   `parquet:"task,dict"`
	Sample     int32    `parquet:"sample"` // index of the completion, 0 ... samples-1; -1 of a greedy one beside them
	Question   *string  `parquet:"question,optional,dict"`
	Image      *string  `parquet:"image,optional,dict"` // path as the data set gives it
	Gold       *string  `parquet:"gold,optional,dict"`  // the accepted answer, for the reader
	Completion string   `parquet:"completion"`
	Extracted  *string  `parquet:"extracted,optional"`
	Parsed     bool     `parquet:"parsed"`
	Matching   *float64 `parquet:"matching,optional"`
	Chart      *float64 `parquet:"chart,optional"`
	IoU        *float64 `parquet:"iou,optional"`
	BMAS       *float64 `parquet:"bmas,optional"`
	Text       *float64 `parquet:"text,optional" since:"2"`
	Format     *float64 `parquet:"format,optional"`
	Overlong   *float64 `parquet:"overlong,optional" since:"2"`   // penalty, -1 to 0
	Repetition *float64 `parquet:"repetition,optional" since:"2"` // penalty, -1 to 0
	Reward     float64  `parquet:"reward"`
	Correct    *bool    `parquet:"correct,optional"` // nil where the task has no right or wrong
	NumTok     int32    `parquet:"n_tok"`
	Finish     string   `parquet:"finish,dict"`               // eos | length | stop
	Greedy     *bool    `parquet:"greedy,optional" since:"3"` // the most probable token each time; nil in files before version 3
}

// Beside reports whether the completion is no sample of its evaluation but the greedy one beside them (eval.greedy).
func (e *Eval) Beside() bool { return e.Sample < 0 }

// Timing is one row of timing.parquet: where the time of one step went. The only table that differs between an
// interrupted and an uninterrupted run.
type Timing struct {
	Step       int32     `parquet:"step,delta"`
	Attempt    int32     `parquet:"attempt"` // 1, 2, ...; index into the manifest's attempts, from 1
	WallS      float64   `parquet:"wall_s"`  // the step, without saving it
	RolloutS   *float64  `parquet:"rollout_s,optional"`
	RewardS    *float64  `parquet:"reward_s,optional"`
	ScoreS     *float64  `parquet:"score_s,optional"` // log-probabilities of the policy and the reference
	GradientS  float64   `parquet:"gradient_s"`
	OptimizerS float64   `parquet:"optimizer_s"`
	IOS        float64   `parquet:"io_s"`                         // saving the checkpoint; 0 in a step that saves none
	TokPerS    *float64  `parquet:"tok_per_s,optional"`           // completion tokens sampled (sft: trained) a second of wall_s
	HostPeakB  int64     `parquet:"host_peak_b"`                  // peak resident memory of the process so far
	TEnd       time.Time `parquet:"t_end,timestamp(microsecond)"` // UTC
}

// Name is the table a row type belongs to: its file is <name>.parquet.
func Name[R Row]() string {
	var r R
	switch any(r).(type) {
	case Metrics:
		return "metrics"
	case Slice:
		return "slices"
	case Completion:
		return "completions"
	case Eval:
		return "eval"
	default:
		return "timing"
	}
}

// Finite returns a pointer to x for a nullable column. A NaN or an infinity becomes nil and adds one to *lost, the
// row's n_nonfinite.
func Finite(x float64, lost *int32) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		*lost++
		return nil
	}
	return &x
}
