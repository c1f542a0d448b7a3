package spec

// Experiment is one resolved experiment: the user's values over the defaults of schema.#Experiment.
// Field names and meanings are those of the schema; JSON tags are the CUE paths. Paths inside are as written
// (relative to the file that wrote them); Resolved.Path turns them into usable ones.
type Experiment struct {
	Schema     string            `json:"schema"` // schema major, "v1"
	Name       string            `json:"name"`
	Notes      string            `json:"notes,omitempty"`
	Stage      string            `json:"stage"` // grpo | sft | sft+grpo, which Resolved.Stages splits | eval
	Seed       uint64            `json:"seed"`
	Policy     Policy            `json:"policy"`
	Data       Data              `json:"data"`
	Prompt     Prompt            `json:"prompt"`
	Route      map[string]string `json:"route"` // task -> reward; total over the tasks of the mix
	Rewards    Rewards           `json:"rewards"`
	GRPO       *GRPO             `json:"grpo,omitempty"` // set iff Stage is grpo (of a file as written: or eval)
	SFT        *SFT              `json:"sft,omitempty"`  // set iff Stage is sft (or eval)
	Eval       Eval              `json:"eval"`
	StopWhen   []StopRule        `json:"stop_when,omitempty"` // any of them ends training
	Checkpoint Checkpoint        `json:"checkpoint"`
}

// Policy names the model to train.
type Policy struct {
	Family string   `json:"family,omitempty"` // of the checkpoint, which is asked; empty: whichever it is
	From   string   `json:"from"`             // folder in Hugging Face layout: config.json, tokenizer.json, model.safetensors
	Init   string   `json:"init"`             // weights: read them from From; random: draw them from the run seed
	Freeze []string `json:"freeze"`           // modules that do not train: vision, merger, embedding, decoder
	LoRA   *LoRA    `json:"lora,omitempty"`

	Recompute bool `json:"recompute"` // differentiate layer by layer, keeping their inputs alone
}

// LoRA describes adapters of the decoder's layers. With them nothing else trains.
type LoRA struct {
	Rank    int      `json:"rank"`
	Alpha   float64  `json:"alpha"`   // the adapters' output is multiplied by Alpha/Rank
	Targets []string `json:"targets"` // names of linear layers: q_proj, ...
	Dropout float64  `json:"dropout"` // 0 to below 1
}

// Data is the mix.
type Data struct {
	Sources map[string]Source `json:"sources"`
}

// Source is one data set (or one task of it) in the mix.
type Source struct {
	Card   string  `json:"card"`            // path of a dataset card (schema.#Dataset)
	Task   string  `json:"task"`            // yesno | mcq | chart | grounding | open
	Weight float64 `json:"weight"`          // share of prompts is weight / sum of weights, exact in every batch
	Limit  int     `json:"limit,omitempty"` // use only the first n training examples in canonical order; 0 = all
}

// Prompt is how an example becomes model input.
type Prompt struct {
	System    string            `json:"system"`     // system message; empty = none
	Templates map[string]string `json:"templates"`  // task -> text with {question} and, for mcq, {choices}
	MaxPixels int               `json:"max_pixels"` // images are resized to at most this many pixels
	MinPixels int               `json:"min_pixels"`
}

// Rewards holds one entry a reward component, keyed by its name, and how they become one reward.
type Rewards struct {
	Extract    []string    `json:"extract"` // where the answer is looked for, in order: answer unclosed boxed cue last whole
	Combine    string      `json:"combine"` // sum | convex | gated
	Matching   *Matching   `json:"matching,omitempty"`
	Chart      *Chart      `json:"chart,omitempty"`
	IoU        *IoU        `json:"iou,omitempty"`
	BMAS       *BMAS       `json:"bmas,omitempty"`
	Text       *Text       `json:"text,omitempty"`
	Format     *Format     `json:"format,omitempty"`
	Overlong   *Overlong   `json:"overlong,omitempty"`
	Repetition *Repetition `json:"repetition,omitempty"`
}

type Matching struct {
	Weight     float64 `json:"weight"`
	Strictness string  `json:"strictness"` // named | strict | lenient
	Names      string  `json:"names"`      // either | letter | text
}

type Chart struct {
	Weight    float64 `json:"weight"`
	Tolerance float64 `json:"tolerance"` // relative, 0.05
	Numbers   string  `json:"numbers"`   // plain | math
	Years     string  `json:"years"`     // gold | wide | none
	Codes     bool    `json:"codes"`     // golds that are codes are compared as texts
	Dates     string  `json:"dates"`     // text | day_first | month_first
	Lists     string  `json:"lists"`     // text | ordered | any_order
	Text      string  `json:"text"`      // exact | anls
}

type IoU struct {
	Weight    float64 `json:"weight"`
	Overlap   string  `json:"overlap"`   // iou | giou | diou
	Boxes     string  `json:"boxes"`     // first | all, where there is one gold box
	Divide    string  `json:"divide"`    // longer | precision | recall | f
	Threshold float64 `json:"threshold"` // 0 = none
	Schedule  string  `json:"schedule"`  // constant | dynamic
	Space     string  `json:"space"`     // policy | original_pixels | resized_pixels | unit | thousandths
	Order     string  `json:"order"`     // xyxy | yxyx | xywh
}

type BMAS struct {
	Weight      float64 `json:"weight"`
	Pairing     string  `json:"pairing"`     // best | one_to_one
	Combine     string  `json:"combine"`     // mean | sum | f1 | min
	Punctuation string  `json:"punctuation"` // keep | drop
	StopWords   string  `json:"stop_words"`  // keep | drop
	Frequency   string  `json:"frequency"`   // equal | idf
	Centre      bool    `json:"centre"`      // subtract the table's mean row
	Floor       float64 `json:"floor"`       // similarity that is worth 0
}

// Text compares words.
type Text struct {
	Weight  float64 `json:"weight"`
	Measure string  `json:"measure"` // rouge_l | bleu | ngram_f
}

// Format's weight is the lambda of R = R_task + lambda * R_format.
type Format struct {
	Weight  float64 `json:"weight"`
	Require string  `json:"require"` // think_answer | open_r1 | tags | answer | boxed
}

// Overlong is the penalty on length.
type Overlong struct {
	Weight float64 `json:"weight"`
	Limit  int     `json:"limit"`  // tokens; 0 = the longest completion, see OverlongLimit
	Buffer int     `json:"buffer"` // tokens before the limit
}

// Repetition is the penalty on repeated n-grams of words.
type Repetition struct {
	Weight float64 `json:"weight"`
	NGram  int     `json:"ngram"`
}

// GRPO holds the hyperparameters of the grpo stage.
type GRPO struct {
	Steps               int     `json:"steps"`
	BatchSize           int     `json:"batch_size"` // completions a step = prompts * group_size
	GroupSize           int     `json:"group_size"`
	Temperature         float64 `json:"temperature"`
	MaxCompletionTokens int     `json:"max_completion_tokens"`

	Loss        string   `json:"loss"`            // grpo | bnpo | dr_grpo | dapo | gspo | cispo | sapo | luspo
	Level       string   `json:"level,omitempty"` // token | sequence; empty = what the loss means
	ClipLow     float64  `json:"clip_low"`
	ClipHigh    float64  `json:"clip_high"`
	ClipDual    float64  `json:"clip_dual"`           // upper bound of the ratio where A < 0; 0 = none
	RatioCap    *float64 `json:"ratio_cap,omitempty"` // cispo's; nil for all others
	TauPositive float64  `json:"tau_positive"`        // sapo's, A > 0
	TauNegative float64  `json:"tau_negative"`        // sapo's, A <= 0

	KL            float64 `json:"kl"`             // weight of the penalty; 0 = no reference
	KLEstimator   string  `json:"kl_estimator"`   // k1 | k2 | k3 | abs
	KLClamp       float64 `json:"kl_clamp"`       // largest |estimate|; 0 = none
	KLGradient    string  `json:"kl_gradient"`    // own | k2
	KLTimesRatio  bool    `json:"kl_times_ratio"` // penalty * ratio
	KLIn          string  `json:"kl_in"`          // loss | reward
	ReferenceSync int     `json:"reference_sync"` // updates between syncs; 0 = frozen
	ReferenceMix  float64 `json:"reference_mix"`  // share of the policy at a sync

	Iterations     int     `json:"iterations"`  // mu: passes over a rollout
	Minibatches    int     `json:"minibatches"` // updates a pass
	EntropyBonus   float64 `json:"entropy_bonus"`
	EntropyShare   float64 `json:"entropy_share"`    // share of tokens, by entropy, that the policy term counts; 1 = all
	Truncated      string  `json:"truncated"`        // keep | mask
	Correction     string  `json:"correction"`       // none | token_truncate | token_mask | sequence_truncate | sequence_mask
	CorrectionMin  float64 `json:"correction_min"`   // bounds of its weights
	CorrectionMax  float64 `json:"correction_max"`   //
	OffPolicyDrift float64 `json:"off_policy_drift"` // nats a token; 0 = off

	Advantage Advantage     `json:"advantage"`
	Monitors  MonitorLimits `json:"monitors"`
	Optimizer
	Sampling
}

// Sampling is what a completion is drawn from and where it ends, besides temperature and longest length. Filters work in the order of
// the fields, the temperature between the first two.
type Sampling struct {
	RepetitionPenalty float64        `json:"repetition_penalty"`    // 1 = off
	TopK              int            `json:"top_k"`                 // 0 = off
	TopP              float64        `json:"top_p"`                 // 1 = off
	MinP              float64        `json:"min_p"`                 // 0 = off
	Stop              []string       `json:"stop"`                  // texts that end a completion
	TaskTokens        map[string]int `json:"task_tokens,omitempty"` // longest completion, by task; absent = that of all tasks
}

// Advantage says how rewards become advantages.
type Advantage struct {
	Baseline      string  `json:"baseline"`   // mean | leave_one_out
	Combine       string  `json:"combine"`    // sum_then_normalize | normalize_then_sum
	Scale         string  `json:"scale"`      // group | batch | none | task
	TaskDecay     float64 `json:"task_decay"` // of the running deviation of scale task
	Std           string  `json:"std"`        // sample (n-1) | population (n)
	StdEps        float64 `json:"std_eps"`    // added to the std
	Flat          string  `json:"flat"`       // keep | drop | resample: groups without spread
	ResampleLimit int     `json:"resample_limit"`
}

// SFT holds the hyperparameters of the supervised stage (loss on the target completion only).
type SFT struct {
	Steps      int `json:"steps"`
	BatchSize  int `json:"batch_size"`  // examples a step
	PackTokens int `json:"pack_tokens"` // most tokens computed at once: examples are packed; 0 = eight examples
	Optimizer
}

// Optimizer is AdamW with a schedule; embedded in the stage that uses it (`grpo.learning_rate`).
type Optimizer struct {
	LearningRate float64    `json:"learning_rate"`
	Schedule     string     `json:"schedule"` // constant | linear | cosine
	WarmupFrac   float64    `json:"warmup_frac"`
	WeightDecay  float64    `json:"weight_decay"`
	AdamBeta1    float64    `json:"adam_beta1"`
	AdamBeta2    float64    `json:"adam_beta2"`
	AdamEps      float64    `json:"adam_eps"`
	GradClip     float64    `json:"grad_clip"` // global L2 norm; 0 = off
	ModuleRate   ModuleRate `json:"module_rate"`
	SkipLimit    int        `json:"skip_limit"` // updates in a row that may be skipped for a gradient that is not finite
}

// ModuleRate holds factors of the learning rate.
type ModuleRate struct {
	Vision    float64 `json:"vision"`
	Merger    float64 `json:"merger"`
	Embedding float64 `json:"embedding"`
	Decoder   float64 `json:"decoder"`
	Adapter   float64 `json:"adapter"`
}

// Eval is the evaluation before, in the course of and after training, on held-out examples.
type Eval struct {
	Examples            int     `json:"examples"`    // per source; 0 = no evaluation
	Samples             int     `json:"samples"`     // completions per example
	Temperature         float64 `json:"temperature"` // 0 = greedy
	MaxCompletionTokens int     `json:"max_completion_tokens"`
	Every               int     `json:"every"`            // steps between evaluations in training; 0 = before and after alone
	Greedy              bool    `json:"greedy"`           // one greedy completion beside the samples
	PassK               []int   `json:"pass_k,omitempty"` // of reports
	KeepBest            string  `json:"keep_best"`        // none | reward | correct: which policy is left
	Sampling
}

// StopRule ends training at the step at which its metric has been beyond its bound, or its monitor in alert, for so many steps in a row.
type StopRule struct {
	Metric  string   `json:"metric,omitempty"` // a column of table metrics, eval.COLUMN, or hours; empty where Monitor is set
	Monitor string   `json:"monitor,omitempty"`
	Above   *float64 `json:"above,omitempty"` // of a metric exactly one of Above and Below
	Below   *float64 `json:"below,omitempty"`
	For     int      `json:"for"`   // steps; of eval.COLUMN evaluations
	After   int      `json:"after"` // steps up to this one do not count
}

// Checkpoint says how often a run can be resumed from.
type Checkpoint struct {
	Every int `json:"every"` // steps between checkpoints
	Keep  int `json:"keep"`  // how many to keep
}
