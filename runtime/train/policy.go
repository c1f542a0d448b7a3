package train

import (
	"cmp"
	"context"

	"mixr/runtime/chat"
	"mixr/runtime/compile"
	"mixr/runtime/data"
	"mixr/runtime/images"
	"mixr/runtime/models"
	"mixr/runtime/models/family"
	"mixr/runtime/ort"
	"mixr/runtime/spec"
)

// Policy is a checkpoint with its weights, ready to answer: the sampling of a rollout without a run around it. One goroutine uses it.
type Policy struct {
	checkpoint *family.Checkpoint
	model      *model
	lane       *lane
}

// PolicyOptions say how a policy is opened.
type PolicyOptions struct {
	Threads int // that compute one token; with another number, sums may be rounded in another order
	// Progress, if not nil, is told how many of the weights are read.
	Progress func(done, total int)
}

// OpenPolicy compiles a checkpoint for sampling and reads its weights. Close frees them.
func OpenPolicy(e *ort.Engine, c *family.Checkpoint, o PolicyOptions) (*Policy, error) {
	program, err := compile.Compile(&spec.Experiment{Stage: "eval"}, c.Model)
	if err != nil {
		return nil, err
	}
	p := &Policy{checkpoint: c}
	if p.model, err = openModel(e, program, o.Threads); err != nil {
		return nil, err
	}
	err = p.model.read(c.Dir, o.Progress)
	if err == nil {
		p.lane, err = p.model.openLane(nil, nil)
	}
	if err != nil {
		p.model.Close()
		return nil, err
	}
	return p, nil
}

// Close frees the policy.
func (p *Policy) Close() {
	p.lane.Close()
	p.model.Close()
}

// GenerateOptions say how an answer is drawn.
type GenerateOptions struct {
	Temperature float64 // 0 = greedy
	TopP        float64 // draw from the likeliest tokens that have this probability together; 1, or 0, = from all
	MaxTokens   int
	Seed        uint64
	// Token, if not nil, is told every token of the answer as it is drawn; false ends the answer.
	Token func(id int) bool
}

// Answer is what a policy said.
type Answer struct {
	Text   string // without special tokens
	Tokens int
	Finish string // eos (ended by itself) | length (cut at MaxTokens) | stopped (by Token, or the context)
}

// Generate answers a conversation, which has a part for each of the pictures, in order. When the context ends, so does the answer; that
// is no error.
func (p *Policy) Generate(ctx context.Context, messages []chat.Message, pictures []*models.Picture, o GenerateOptions) (*Answer, error) {
	if err := p.checkpoint.Model.Decoder().CheckCompletion(o.MaxTokens); err != nil {
		return nil, err
	}
	prompt := &prompt{example: data.Example{ID: "chat"}, pictures: pictures} // the id names the stream of random numbers
	var err error
	if prompt.Prompt, err = p.checkpoint.Prompt(p.checkpoint.Tokenizer, messages, pictures); err != nil {
		return nil, err
	}
	features, err := p.model.features(p.lane.policy.vision, prompt)
	if err != nil {
		return nil, err
	}
	defer features.Free()
	narrowed := spec.Sampling{RepetitionPenalty: 1, TopP: cmp.Or(o.TopP, 1)}
	drawn, err := p.model.sample(p.lane, prompt, features, sampling{
		seed: o.Seed, count: 1, temperature: o.Temperature, maxTokens: o.MaxTokens, stop: p.checkpoint.Model.Stop(),
		filter: filterOf(narrowed, o.Temperature),
		each:   func(token int) bool { return (o.Token == nil || o.Token(token)) && ctx.Err() == nil },
	})
	if err != nil {
		return nil, err
	}
	return &Answer{Text: p.Decode(drawn[0].tokens), Tokens: len(drawn[0].tokens), Finish: drawn[0].finish}, nil
}

// Decode is the text of an answer's tokens, without special ones. Of an answer that is not finished the last characters may be U+FFFD,
// which more tokens complete.
func (p *Policy) Decode(tokens []int) string { return p.checkpoint.Tokenizer.Decode(tokens, true) }

// Picture loads an image file as the policy sees it.
func (p *Policy) Picture(path string, limits models.Limits) (*models.Picture, error) {
	img, err := images.Load(path)
	if err != nil {
		return nil, err
	}
	return p.checkpoint.Model.Picture([]images.RGB{img}, limits)
}
