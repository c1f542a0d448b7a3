package train

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
	"mixr/runtime/table"
)

// narrow is a set of sampling options that all have an effect on the tiny policy.
const narrow = `grpo.repetition_penalty=1.2 grpo.top_k=60 grpo.top_p=0.8 grpo.min_p=0.02 grpo.temperature=0.9 grpo.max_completion_tokens=24`

// Several prompts that decode side by side, as their completions end one by one and prompts leave, draw what each draws alone; the
// recorded log-probabilities are those of the scorer within 1e-4 (the bound on what rounding may do to a log-probability), and of a
// narrower distribution they are at least the policy's own where no penalty moves logits.
func TestSideBySide(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open("tiny.cue", "grpo.max_completion_tokens=40"))
	examples := slices.Concat(r.in.Data.Train("mcq")[:2], r.in.Data.Train("open")[:1], r.in.Data.Train("yesno")[:2])
	for name, o := range map[string]spec.Sampling{
		"plain":  {RepetitionPenalty: 1, TopP: 1},
		"narrow": {RepetitionPenalty: 1, TopP: 0.8, TopK: 100, MinP: 0.01},
		"all":    {RepetitionPenalty: 1.3, TopP: 0.9, TopK: 200, MinP: 0.001},
	} {
		t.Run(name, func(t *testing.T) {
			const temperature, count = 0.8, 5
			var samplings []sampling
			for i, ex := range examples {
				s := r.sampling(r.lanes[0], ex, o, temperature, 40)
				s.seed, s.first, s.count = 3, i*count, count
				samplings = append(samplings, s)
			}
			together, err := r.rolloutAll(r.lanes[0], examples, samplings)
			check(t, err)
			lengths := map[int]bool{}
			for i, ex := range examples {
				alone, err := r.rollout(r.lanes[1], ex, samplings[i])
				check(t, err)
				scored, err := r.logp(r.lanes[0], &r.lanes[0].policy, together[i], temperature)
				check(t, err)
				at := 0
				for j, c := range together[i].completions {
					if a := alone.completions[j]; !slices.Equal(a.tokens, c.tokens) || a.finish != c.finish {
						t.Fatalf("example %d, completion %d: alone %v %s, side by side %v %s", i, j, a.tokens, a.finish, c.tokens, c.finish)
					}
					lengths[len(c.tokens)] = true
					for k := range c.tokens {
						if d := math.Abs(float64(c.own[k]) - float64(scored[at])); !(d < 1e-4) {
							t.Errorf("token %d of completion %d: sampler %g, scorer %g", k, j, c.own[k], scored[at])
						}
						if o.RepetitionPenalty == 1 && c.logp[k] < c.own[k]-1e-6 {
							t.Errorf("token %d of completion %d: %g in the narrower distribution, %g in the policy's", k, j, c.logp[k], c.own[k])
						}
						at++
					}
					if c.narrowed() != (name != "plain") {
						t.Errorf("narrowed: %v", c.narrowed())
					}
				}
			}
			if len(lengths) < 4 {
				t.Errorf("lengths %v: nothing has left early", lengths)
			}
		})
	}
}

// No bit of a rollout with every option depends on workers; tables have what was drawn from and the policy's own; and the limits of tasks
// and stop texts hold.
func TestSamplingOptions(t *testing.T) {
	w := newWorld(t)
	overrides := append(strings.Fields(narrow), "grpo.task_tokens={yesno: 3, open: 7}", `grpo.stop=["7", "red"]`, "grpo.batch_size=40",
		"eval.temperature=1", "eval.top_p=0.5", "eval.samples=2", "eval.examples=2", "grpo.steps=2")
	in := w.open("tiny.cue", overrides...)
	one := w.finished(in, Options{Workers: 1, InFlight: 1})
	sameResults(t, "3 workers", results(t, w.finished(in, Options{Workers: 3})), results(t, one))

	limits, finishes := map[string]int{"yesno": 3, "open": 7}, map[string]int{}
	for _, c := range rowsOf[table.Completion](t, one) {
		limit := limits[c.Task]
		if limit == 0 {
			limit = 24
		}
		if int(c.NumTok) > limit || c.Finish == "length" && int(c.NumTok) != limit {
			t.Errorf("%s of %d tokens ends by %s, want at most %d", c.Task, c.NumTok, c.Finish, limit)
		}
		stops := strings.Contains(c.Completion, "7") || strings.Contains(c.Completion, "red")
		if stops != (c.Finish == "stop") {
			t.Errorf("%q ends by %s", c.Completion, c.Finish)
		}
		finishes[c.Finish]++
		if len(c.OwnLogp) != len(c.Logp) || slices.Equal(c.OwnLogp, c.Logp) {
			t.Errorf("own log-probabilities %v, of the distribution drawn from %v", c.OwnLogp, c.Logp)
		}
	}
	if finishes["stop"] == 0 || finishes["length"] == 0 || finishes["eos"] == 0 {
		t.Errorf("completions end by %v: the test tests little", finishes)
	}
	for _, m := range rowsOf[table.Metrics](t, one) {
		if m.Step == 1 && !(*m.LogpGapMax < 1e-4) {
			t.Errorf("the trainer differs from the policy's own by %g", *m.LogpGapMax)
		}
	}
	shift := func(step int32) float64 {
		sum, n := 0.0, 0
		for _, c := range rowsOf[table.Completion](t, one) {
			for k := range c.Logp {
				if c.Step == step {
					sum, n = sum+float64(c.Logp[k])-float64(c.OwnLogp[k]), n+1
				}
			}
		}
		return sum / float64(n)
	}
	for _, m := range rowsOf[table.Metrics](t, one) {
		if want := shift(m.Step); m.FilterShift == nil || math.Abs(*m.FilterShift-want) > 1e-9 || want == 0 { // sums in another order
			t.Errorf("step %d: filter_shift %v, want %g", m.Step, m.FilterShift, want)
		}
	}
	plain := w.finished(w.open("tiny.cue", "grpo.steps=1", "eval.examples=0"), Options{})
	if m := rowsOf[table.Metrics](t, plain)[0]; m.FilterShift != nil {
		t.Errorf("filter_shift %g where nothing narrows", *m.FilterShift)
	}
	for _, c := range rowsOf[table.Completion](t, plain) {
		if c.OwnLogp != nil {
			t.Errorf("own log-probabilities where nothing narrows: %v", c.OwnLogp)
		}
	}
}

// A stop text is found where the tokens that hold it end, also across tokens and in a special token's own text.
func TestStopTexts(t *testing.T) {
	w := newWorld(t)
	tok := w.open("tiny.cue").Policy.Tokenizer
	special := tok.SpecialTokens()["<|im_start|>"]
	encode := func(text string) (ids []int) {
		for _, b := range []byte(text) {
			ids = append(ids, tok.Encode(string(rune(b)))...)
		}
		return ids
	}
	for _, c := range []struct {
		texts  []string
		tokens []int
		want   int // tokens of the completion; 0 = it is not stopped
	}{
		{[]string{"cd"}, encode("abcdef"), 4},
		{[]string{"xyz", "ef"}, encode("abcdef"), 6},
		{[]string{"abcdefg"}, encode("abcdef"), 0},
		{[]string{"<|im_start|>"}, append(encode("ab"), special, special), 3},
		{[]string{"b<|im_start|>"}, append(encode("ab"), special), 3},
		{[]string{"\n\n"}, encode("a\nb\n\nc"), 5},
		{[]string{strings.Repeat("ab", 40)}, encode(strings.Repeat("ab", 60)), 80},
	} {
		s, got := newStopTexts(c.texts, tok), 0
		for n := 1; n <= len(c.tokens) && got == 0; n++ {
			if s.ends(c.tokens[:n]) {
				got = n
			}
		}
		if got != c.want {
			t.Errorf("%q in %v: stops after %d tokens, want %d", c.texts, c.tokens, got, c.want)
		}
	}
	if newStopTexts(nil, tok).ends(encode("ab")) {
		t.Error("no text stops a completion")
	}
}

// Batches are neighbours, in order, all of them, of up to some 48 rows and even in number.
func TestBatches(t *testing.T) {
	for _, c := range []struct {
		n, g int
		want string
	}{
		{10, 8, "[{0 5} {5 10}]"}, {20, 8, "[{0 5} {5 10} {10 15} {15 20}]"}, {1, 8, "[{0 1}]"}, {2, 8, "[{0 1} {1 2}]"}, {4, 8, "[{0 2} {2 4}]"}, {3, 64, "[{0 1} {1 2} {2 3}]"}, {5, 1, "[{0 2} {2 5}]"}, {0, 8, "[]"},
	} {
		if got := fmt.Sprint(batches(c.n, c.g)); got != c.want {
			t.Errorf("%d prompts of %d: %s, want %s", c.n, c.g, got, c.want)
		}
	}
}

// Completions begin with the tokens of the narrowed distribution, as often as it says.
func TestDrawnFrequencies(t *testing.T) {
	w := newWorld(t)
	r := w.prepared(w.open("tiny.cue"))
	ex := r.in.Data.Train("yesno")[0]
	s := r.sampling(r.lanes[0], ex, spec.Sampling{RepetitionPenalty: 1, TopP: 1, TopK: 6}, 1, 1)
	s.seed, s.count = 11, 3000
	g, err := r.sampleGroup(r.lanes[0], rendered(t, r, ex), s)
	check(t, err)
	count, p := map[int]int{}, map[int]float64{}
	for _, c := range g.completions {
		count[c.tokens[0]]++
		p[c.tokens[0]] = math.Exp(float64(c.logp[0]))
	}
	chi, mass := 0.0, 0.0
	for token, n := range count {
		want := p[token] * float64(s.count)
		chi += (float64(n) - want) * (float64(n) - want) / want
		mass += p[token]
	}
	// 20.5 is the 0.999 quantile of chi-square with 5 degrees of freedom; the seed is fixed.
	if len(count) != 6 || math.Abs(mass-1) > 1e-5 || chi > 20.5 {
		t.Errorf("%d tokens of mass %g, chi-square %g: %v", len(count), mass, chi, count)
	}
}

func rendered(t *testing.T, r *runner, ex data.Example) *prompt {
	t.Helper()
	p, err := r.lanes[0].prompter.render(ex)
	check(t, err)
	return p
}
