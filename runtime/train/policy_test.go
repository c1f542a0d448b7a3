package train

import (
	"context"
	"slices"
	"testing"

	"mixr/runtime/chat"
	"mixr/runtime/models"
	"mixr/runtime/models/family"
	"mixr/runtime/ort/orttest"
)

// A policy that is opened on its own answers as the sampling of a run does, and says every token as it draws it.
func TestGenerate(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open("tiny.cue"))
	check(t, r.model.export(r.in, w.path("policy")))
	checkpoint, err := family.Load(w.path("policy"))
	check(t, err)
	reported := 0
	p, err := OpenPolicy(orttest.Open(t), checkpoint, PolicyOptions{Threads: 1, Progress: func(done, total int) { reported = 100 * done / total }})
	check(t, err)
	defer p.Close()
	if reported != 100 {
		t.Errorf("progress ends at %d %%", reported)
	}

	ex := r.in.Data.Train("mcq")[0]
	picture, err := p.Picture(ex.Images[0], models.Limits{MinPixels: r.exp.Prompt.MinPixels, MaxPixels: r.exp.Prompt.MaxPixels})
	check(t, err)
	messages := chat.Ask(r.exp.Prompt.System, question(r.exp.Prompt, ex), 1)
	want, err := r.rollout(r.lanes[0], ex, sampling{count: 1, maxTokens: 10, stop: r.stop})
	check(t, err)
	var heard []int
	got, err := p.Generate(t.Context(), messages, []*models.Picture{picture}, GenerateOptions{MaxTokens: 10, Token: func(id int) bool {
		heard = append(heard, id)
		return true
	}})
	check(t, err)
	tokens := want.completions[0].tokens
	if got.Tokens != len(tokens) || got.Finish != want.completions[0].finish || got.Text != p.Decode(tokens) {
		t.Errorf("got %+v, want %v, %s", got, tokens, want.completions[0].finish)
	}
	if got.Finish == "eos" {
		tokens = tokens[:len(tokens)-1]
	}
	if !slices.Equal(heard, tokens) {
		t.Errorf("heard %v of %v", heard, tokens)
	}

	draw := func(ctx context.Context, seed uint64, token func(int) bool) *Answer {
		a, err := p.Generate(ctx, chat.Ask("", "sum", 0), nil, GenerateOptions{Temperature: 1, MaxTokens: 40, Seed: seed, Token: token})
		check(t, err)
		return a
	}
	one := draw(t.Context(), 1, nil)
	if again := draw(t.Context(), 1, nil); *again != *one {
		t.Errorf("one seed gives %+v and %+v", one, again)
	}
	if two, three := draw(t.Context(), 2, nil), draw(t.Context(), 3, nil); two.Text == one.Text && three.Text == one.Text {
		t.Errorf("three seeds give %q", one.Text)
	}
	likeliest, err := p.Generate(t.Context(), chat.Ask("", "sum", 0), nil, GenerateOptions{MaxTokens: 40})
	check(t, err)
	if a, err := p.Generate(t.Context(), chat.Ask("", "sum", 0), nil, GenerateOptions{Temperature: 1, TopP: 1e-9, MaxTokens: 40, Seed: 1}); err != nil || *a != *likeliest {
		t.Errorf("from the likeliest token alone %+v, %v, greedily %+v", a, err, likeliest)
	}
	if a := draw(t.Context(), 1, func(int) bool { return false }); a.Tokens != 1 || a.Finish != "stopped" {
		t.Errorf("stopped at once: %+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := draw(ctx, 1, nil); a.Tokens != 1 || a.Finish != "stopped" {
		t.Errorf("with a context that has ended: %+v", a)
	}
	if _, err := p.Generate(t.Context(), chat.Ask("", "<|im_end|>", 0), nil, GenerateOptions{MaxTokens: 4}); err == nil {
		t.Error("a question with a special token is put")
	}
}
