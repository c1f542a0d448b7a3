package train

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/table"
)

// logpTolerance bounds what another shape of the same matrix products may change in a log-probability: float32 keeps 6e-8 of
// values near 6 (ln V), and each is a sum over a few hundred products.
const logpTolerance = 1e-5

// A group is one row in which the completions share the prompt. Each must get the log-probabilities that it gets alone, with an image,
// without, with several and with a video, whatever stands beside it.
func TestPackedScoresEqualSeparateOnes(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.temperature=0.8", "grpo.iterations=2")
	r := w.prepared(in)
	one, other := in.Data.Train("mcq")[0], in.Data.Train("chart")[0]
	several, film := one, one
	several.Images = []string{one.Images[0], other.Images[0]}
	film.Images, film.Video, film.FPS = nil, slices.Repeat(one.Images, 3), 1
	for _, ex := range []data.Example{one, withoutImage(t, in), several, film} {
		g := w.draw(r, ex, 0, 5)
		// A one-token completion has no token of its own in the row.
		g.completions = append(g.completions, completion{tokens: g.completions[0].tokens[:1], logp: g.completions[0].logp[:1]})
		packed, err := r.logp(r.lanes[0], &r.lanes[0].policy, g, 0.8)
		check(t, err)
		at := 0
		for j, c := range g.completions {
			alone := *g
			alone.completions = []completion{c}
			separate, err := r.logp(r.lanes[1], &r.lanes[1].policy, &alone, 0.8)
			check(t, err)
			for i, want := range separate {
				if d := math.Abs(float64(packed[at] - want)); d > logpTolerance {
					t.Errorf("%s completion %d token %d: packed %v, alone %v", ex.ID, j, i, packed[at], want)
				}
				if d := math.Abs(float64(packed[at] - c.logp[i])); d > 1e-4 {
					t.Errorf("%s completion %d token %d: trainer %v, sampler %v", ex.ID, j, i, packed[at], c.logp[i])
				}
				at++
			}
		}
		if at != len(packed) {
			t.Errorf("%d scores for %d tokens", len(packed), at)
		}
	}
}

func withoutImage(t *testing.T, in *Inputs) data.Example {
	for _, ex := range in.Data.Train("open") {
		if len(ex.Images) == 0 {
			return ex
		}
	}
	t.Fatal("every example has an image")
	return data.Example{}
}

// The sampler decodes token by token over a cache, the trainer scores whole rows: on equal weights they must agree, at every
// temperature (TRL #6789: with another distribution in the sampler, the ratio is not 1 on policy).
func TestSamplerAndTrainerAgree(t *testing.T) {
	w := newWorld(t)
	for _, o := range [][]string{{"grpo.temperature=0.6"}, {"grpo.temperature=1.7", frozen, "grpo.iterations=2"}} {
		in := w.open("tiny.cue", append(o, "grpo.batch_size=20", "eval.examples=0", "grpo.learning_rate=1e-2")...)
		for _, m := range rowsOf[table.Metrics](t, w.finished(in, Options{})) {
			if m.LogpGapMax == nil || *m.LogpGapMax > 1e-4 {
				t.Errorf("%v step %d: largest gap %v, want at most 1e-4", o, m.Step, show(m.LogpGapMax))
			}
			if in.Experiment.GRPO.Iterations == 1 && *m.RatioMean != 1 {
				t.Errorf("%v step %d: mean ratio %v on policy", o, m.Step, *m.RatioMean)
			}
		}
	}
}

func show(x *float64) string {
	if x == nil {
		return "null"
	}
	return fmt.Sprint(*x)
}

// Loss weights are of the whole update, so its gradient is the sum of the gradients of its parts, however it is cut into rows and
// units, padding included (TRL #5619, #5890, #6024; ms-swift #10117).
func TestUnitGradientsSumToTheWhole(t *testing.T) {
	for name, overrides := range map[string][]string{
		"everything": nil,
		"dropout":    {frozen, "policy.lora={rank: 4, dropout: 0.3}"},
	} {
		t.Run(name, func(t *testing.T) { unitGradientsSumToTheWhole(t, overrides...) })
	}
}

func unitGradientsSumToTheWhole(t *testing.T, overrides ...string) {
	w := newWorld(t)
	in := w.open("tiny_sft.cue", overrides...)
	r := w.prepared(in)
	stir(r.model)
	l := r.lanes[0]
	var prompts []*prompt
	var targets [][]int
	tokens := 0
	batch := append(in.Data.Train("open")[:3:3], in.Data.Train("mcq")[:3]...)
	batch = append(batch, withoutImage(t, in))
	for _, ex := range batch {
		p, err := l.prompter.render(ex)
		check(t, err)
		prompts = append(prompts, p)
		targets = append(targets, append(l.prompter.tok.Encode(ex.Target), in.Policy.Model.EndOfTurn()))
		tokens += len(targets[len(targets)-1])
	}
	gradient := func(size int) (loss float64, sum map[string][]float64) {
		sum = map[string][]float64{}
		for from := 0; from < len(prompts); from += size {
			to := min(from+size, len(prompts))
			u, err := r.sftUnit(l, prompts[from:to], targets[from:to], tokens, from)
			check(t, err)
			loss += u.loss
			for name, g := range u.gradients {
				if sum[name] == nil {
					sum[name] = make([]float64, g.Len())
				}
				for i, v := range g.Float32() {
					sum[name][i] += float64(v)
				}
			}
			free(u.gradients)
		}
		return loss, sum
	}
	wantLoss, want := gradient(len(prompts))
	norm := 0.0
	for _, g := range want {
		for _, v := range g {
			norm += v * v
		}
	}
	norm = math.Sqrt(norm)
	if norm < 0.01 {
		t.Fatalf("gradient norm %v: the case tests nothing", norm)
	}
	for _, size := range []int{1, 2, 5} {
		loss, got := gradient(size)
		if math.Abs(loss-wantLoss) > 1e-6*wantLoss {
			t.Errorf("units of %d rows: loss %v, whole %v", size, loss, wantLoss)
		}
		// Sums over other lengths round differently: 1e-6 of the norm is 10 float32 steps of its largest terms.
		for name, g := range got {
			for i, v := range g {
				if d := math.Abs(v - want[name][i]); d > 1e-6*norm {
					t.Errorf("units of %d rows: %s[%d] is %v, whole %v (norm %v)", size, name, i, v, want[name][i], norm)
					break
				}
			}
		}
	}
}
