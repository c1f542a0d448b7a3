package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mixr/runtime/chat"
	"mixr/runtime/models"
	"mixr/runtime/models/family"
	"mixr/runtime/ort"
	"mixr/runtime/report"
	"mixr/runtime/spec"
	"mixr/runtime/train"
)

func (a *app) chatCommand() *cobra.Command {
	var o chatOptions
	c := &cobra.Command{
		Use:   "chat RUN|MODEL [QUESTION]",
		Short: "ask a policy",
		Long: `Ask a policy one question, or talk to it. With QUESTION, or a question on the standard input, the answer
and nothing else is printed on the standard output. Otherwise questions are read line by line and the
policy sees the whole conversation. There,

  /image FILE   adds an image to the next question
  /clear        begins a new conversation
  /quit         ends, and so does Ctrl-D; Ctrl-C ends an answer

A question is put as it is: no template of an experiment stands around it. The system message and the
size of images are those of the run, where there is one.

` + policyNames,
		Example: `  mixr chat quickstart-0123abcd --image datasets/nlvr/images/dev-2445-3.png "How many blue blocks are there?"
  mixr chat hf:Qwen/Qwen2.5-0.5B-Instruct --temperature 0.7
  echo "What is the capital of France?" | mixr chat quickstart-0123abcd`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return arguments(1, false)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.systemSet = c.Flags().Changed("system")
			return a.chat(c.Context(), c.InOrStdin(), args, o)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&o.images, "image", nil, "image `FILE` of the first question (repeatable)")
	f.StringVar(&o.system, "system", "", "system message")
	f.Float64Var(&o.temperature, "temperature", 0, "sampling temperature; 0 = the most probable token each time")
	f.Float64Var(&o.topP, "top-p", 1, "draw from the likeliest tokens that have this probability together; 1 = from all")
	f.IntVar(&o.maxTokens, "max-tokens", 512, "longest answer in tokens")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the sampling")
	return c
}

type chatOptions struct {
	images      []string
	system      string
	systemSet   bool
	temperature float64
	topP        float64
	maxTokens   int
	seed        uint64
}

func (a *app) chat(ctx context.Context, in io.Reader, args []string, o chatOptions) error {
	switch {
	case o.temperature < 0 || o.temperature > 10:
		return usagef("--temperature: got %v, want 0 to 10", o.temperature)
	case !(o.topP > 0 && o.topP <= 1):
		return usagef("--top-p: got %v, want a number above 0, at most 1", o.topP)
	case o.maxTokens < 1:
		return usagef("--max-tokens: got %d, want at least 1", o.maxTokens)
	}
	question := ""
	if len(args) == 2 {
		question = args[1]
	} else if !isTerminal(in) {
		text, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("read the question: %w", err)
		}
		question = strings.TrimSpace(string(text))
	}
	alone := len(args) == 2 || !isTerminal(in)
	if alone && question == "" {
		return usagef("mixr chat: the question is empty")
	}
	watch := newScreen(a.errOut)
	dir, run, err := a.policyFolder(ctx, args[0], watch)
	if err != nil {
		return err
	}
	engine, err := a.openEngine(ctx, watch)
	if err != nil {
		return err
	}
	defer engine.Close()
	c, err := a.openConversation(engine, watch, dir, run, o)
	if err != nil {
		return err
	}
	defer c.policy.Close()
	for _, path := range o.images {
		if err := c.show(path); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return errStopped
	case !alone:
		return c.loop(in)
	}
	if err := c.ask(ctx, question); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errStopped
	}
	return nil
}

// errStopped is how a chat ends that a signal ended.
var errStopped = fmt.Errorf("stopped: %w", context.Canceled)

// conversation is what was said so far, and the policy that it is said to.
type conversation struct {
	policy   *train.Policy
	options  chatOptions
	limits   models.Limits
	answers  io.Writer // for answers alone
	tty      bool      // answers go to a terminal
	remarks  io.Writer
	messages []chat.Message
	pictures []*models.Picture // of messages, in order
	waiting  []*models.Picture // for the next question
	asked    int
}

// openConversation loads the policy in dir, that of a run if run is its folder.
func (a *app) openConversation(engine *ort.Engine, watch *screen, dir, run string, o chatOptions) (*conversation, error) {
	checkpoint, err := family.Load(dir)
	if err != nil {
		return nil, err
	}
	prompt, err := promptOf(dir, run)
	if err != nil {
		return nil, err
	}
	c := &conversation{options: o, answers: a.out, tty: isTerminal(a.out), remarks: a.errOut}
	c.limits = models.Limits{MinPixels: prompt.MinPixels, MaxPixels: prompt.MaxPixels}
	if !o.systemSet {
		c.options.system = prompt.System
	}
	c.clear()
	bar := newLoading(watch, "loading "+dir)
	c.policy, err = train.OpenPolicy(engine, checkpoint, train.PolicyOptions{Threads: a.machine.Workers, Progress: bar.at})
	watch.hide()
	return c, err
}

// promptOf is how the run's experiment makes prompts; of a model, the schema's defaults with what its image processor says.
func promptOf(dir, run string) (spec.Prompt, error) {
	p := spec.Prompt{MinPixels: schemaNumber("prompt.min_pixels"), MaxPixels: schemaNumber("prompt.max_pixels")}
	path, into := filepath.Join(run, specFile), any(&struct {
		Prompt *spec.Prompt `json:"prompt"`
	}{&p})
	var processor struct {
		Min int `json:"min_pixels"`
		Max int `json:"max_pixels"`
	}
	if run == "" {
		path, into = filepath.Join(dir, "preprocessor_config.json"), &processor
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	} else if run == "" && os.IsNotExist(err) {
		return p, nil // a policy that reads text alone
	}
	if err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	if processor.Min > 0 && processor.Max >= processor.Min {
		// A processor allows pictures that fill the context; the schema's bound is what an experiment would use.
		p.MaxPixels = min(p.MaxPixels, processor.Max)
		p.MinPixels = min(processor.Min, p.MaxPixels)
	}
	return p, nil
}

// show adds an image to the next question.
func (c *conversation) show(path string) error {
	picture, err := c.policy.Picture(path, c.limits)
	if err == nil {
		c.waiting = append(c.waiting, picture)
	}
	return err
}

// clear begins a new conversation.
func (c *conversation) clear() {
	c.messages, c.pictures, c.waiting = nil, nil, nil
	if c.options.system != "" {
		c.messages = []chat.Message{{Role: "system", Content: []chat.Part{{Kind: chat.Text, Text: c.options.system}}}}
	}
}

// ask puts a question and writes the answer as it comes. A question that cannot be put leaves the conversation as it was.
func (c *conversation) ask(ctx context.Context, question string) error {
	user := chat.Ask("", question, len(c.waiting))
	messages, pictures := append(c.messages[:len(c.messages):len(c.messages)], user...), append(c.pictures[:len(c.pictures):len(c.pictures)], c.waiting...)
	s := &stream{to: c.answers, tty: c.tty, decode: c.policy.Decode}
	start := time.Now()
	answer, err := c.policy.Generate(ctx, messages, pictures, train.GenerateOptions{
		Temperature: c.options.temperature, TopP: c.options.topP, MaxTokens: c.options.maxTokens, Seed: c.options.seed + uint64(c.asked), Token: s.token,
	})
	if err != nil {
		return err
	}
	if err := s.end(answer.Text); err != nil {
		return err
	}
	c.asked++
	c.waiting, c.pictures = nil, pictures
	c.messages = append(messages, chat.Message{Role: "assistant", Content: []chat.Part{{Kind: chat.Text, Text: answer.Text}}})
	how := map[string]string{"length": ", cut at --max-tokens", "stopped": ", stopped"}[answer.Finish]
	_, err = fmt.Fprintf(c.remarks, "%s, %.1f tokens/s%s\n", counted(answer.Tokens, "token"), float64(answer.Tokens)/time.Since(start).Seconds(), how)
	return err
}

// stream writes the text of tokens as they come: whole characters, and on a terminal none that would move its cursor.
type stream struct {
	to     io.Writer
	tty    bool
	decode func(tokens []int) string
	tokens []int
	shown  string
	err    error
}

// token takes one more token; false if it cannot be written.
func (s *stream) token(id int) bool {
	s.tokens = append(s.tokens, id)
	s.write(strings.TrimRight(s.decode(s.tokens), "\uFFFD")) // the last character may want more tokens
	return s.err == nil
}

// end writes what was held back, and a line feed.
func (s *stream) end(text string) error {
	s.write(text)
	s.write(s.shown + "\n")
	return s.err
}

// write brings what is shown to text.
func (s *stream) write(text string) {
	rest, more := strings.CutPrefix(text, s.shown)
	if !more || s.err != nil {
		return
	}
	s.shown = text
	if s.tty {
		rest = report.Printable(rest)
	}
	_, s.err = io.WriteString(s.to, rest)
}
