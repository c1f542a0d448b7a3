package train

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/models"
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
// units, padding included, and however many examples share a row (TRL #5619, #5890, #6024; ms-swift #10117). With dropout too: what is
// dropped follows from the example and its place in the run.
func TestUnitGradientsSumToTheWhole(t *testing.T) {
	// Sums over other lengths round differently: 1e-6 of the norm is 10 float32 steps of its largest terms. Of those of adapters, which
	// are small beside what they are sums of, more is lost, the more where dropout leaves fewer terms.
	for name, c := range map[string]struct {
		tolerance float64
		overrides []string
	}{
		"everything": {1e-6, nil},
		"adapters":   {1e-6, []string{frozen, "policy.lora={rank: 4}"}},
		"dropout":    {2e-6, []string{frozen, "policy.lora={rank: 4, dropout: 0.3}"}},
	} {
		t.Run(name, func(t *testing.T) { unitGradientsSumToTheWhole(t, c.tolerance, c.overrides...) })
	}
}

// lessons renders examples for the supervised stage; place is that of the first.
func (r *runner) lessons(t *testing.T, examples []data.Example, place int) (lessons []*lesson) {
	t.Helper()
	render := r.lanes[0].prompter
	for i, ex := range examples {
		p, err := render.render(ex)
		check(t, err)
		target := append(render.tok.Encode(ex.Target), r.in.Policy.Model.EndOfTurn())
		lessons = append(lessons, &lesson{example: ex, prompt: p, target: target, place: place + i, window: i})
	}
	return lessons
}

func unitGradientsSumToTheWhole(t *testing.T, tolerance float64, overrides ...string) {
	w := newWorld(t)
	in := w.open("tiny_sft.cue", overrides...)
	r := w.prepared(in)
	stir(r.model)
	l := r.lanes[0]
	batch := append(in.Data.Train("open")[:3:3], in.Data.Train("mcq")[:3]...)
	lessons := r.lessons(t, append(batch, withoutImage(t, in)), 0)
	tokens, longest, sum := 0, 0, 0
	for _, x := range lessons {
		tokens, longest, sum = tokens+len(x.target), max(longest, x.length()), sum+x.length()
	}
	gradient := func(units [][]*lesson) (loss float64, sum map[string][]float64) {
		sum = map[string][]float64{}
		for _, unit := range units {
			u, err := r.sftUnit(l, unit, tokens)
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
	wantLoss, want := gradient(ofEqualLength(lessons))
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
	apart := func(size int) [][]*lesson { // units of that many examples, in order, each in a window of its own
		units := slices.Collect(slices.Chunk(lessons, size))
		for _, unit := range units {
			for i, x := range unit {
				x.window = i
			}
		}
		return units
	}
	for _, c := range []struct {
		name    string
		units   func() [][]*lesson
		n       int // units
		windows int // of the first one
	}{
		{"alone", func() [][]*lesson { return apart(1) }, 7, 1},
		{"by two", func() [][]*lesson { return apart(2) }, 4, 2},
		{"by five", func() [][]*lesson { return apart(5) }, 2, 5},
		{"some packed", func() [][]*lesson { return packed(lessons, 2*longest) }, 3, 3},
		{"all packed", func() [][]*lesson { return packed(lessons, sum) }, 1, 6},
		{"none fits", func() [][]*lesson { return packed(lessons, 1) }, 7, 1},
		{"in one window", func() [][]*lesson {
			for _, x := range lessons {
				x.window = 0
			}
			return [][]*lesson{lessons}
		}, 1, 1},
	} {
		units := c.units()
		windows := 1 + slices.MaxFunc(units[0], func(a, b *lesson) int { return a.window - b.window }).window
		if len(units) != c.n || windows != c.windows {
			t.Errorf("%s: %d units, %d windows in the first, want %d and %d", c.name, len(units), windows, c.n, c.windows)
		}
		loss, got := gradient(units)
		if math.Abs(loss-wantLoss) > 1e-6*wantLoss {
			t.Errorf("%s: loss %v, whole %v", c.name, loss, wantLoss)
		}
		diff := 0.0
		for name, g := range got {
			for i, v := range g {
				d := v - want[name][i]
				diff += d * d
				if math.Abs(d) > tolerance*norm {
					t.Errorf("%s: %s[%d] is %v, whole %v (norm %v)", c.name, name, i, v, want[name][i], norm)
					break
				}
			}
		}
		if diff = math.Sqrt(diff) / norm; diff > tolerance {
			t.Errorf("%s: the gradient differs by %.1e of its norm", c.name, diff)
		}
		t.Logf("%s: the gradient within %.1e of its norm", c.name, diff)
	}
}

// What dropout drops of a token does not depend on the unit in which it stands, nor on what stands there with it.
func TestDropoutKeysOfPackedExamples(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny_sft.cue", frozen, "policy.lora={rank: 4, dropout: 0.3}")
	r := w.prepared(in)
	c := in.Policy.Model.Decoder()
	type token struct{ sequence, completion, position, layer int }
	keys := func(units [][]*lesson) map[token]int64 {
		out := map[token]int64{}
		for _, unit := range units {
			var sequences []sequence
			for _, x := range unit {
				sequences = append(sequences, x.sequence())
			}
			rows := r.model.pack(sequences)
			all := r.dropoutKeys(rows, sequences)
			for i, of := range rows.origin {
				for layer := range c.Layers {
					out[token{sequences[of.sequence].place, of.completion, of.position, layer}] = all[layer*rows.n*rows.t+i]
				}
			}
		}
		return out
	}
	lessons := r.lessons(t, in.Data.Train("mcq"), 3)
	apart, together := keys(packed(lessons, 1)), keys(packed(lessons, 1<<20))
	if !maps.Equal(apart, together) || len(apart) < 100 {
		t.Errorf("%d keys in units of one, %d in a shared one, not all equal", len(apart), len(together))
	}
}

// A batch is packed in order, into the first unit with room, and a unit into windows as long as its longest example; one that is too long
// is a unit. Without packing, the longest come first, and equal ones in order.
func TestUnitsOfABatch(t *testing.T) {
	batch := func(lengths ...int) (lessons []*lesson) {
		for i, n := range lengths {
			p := &prompt{Prompt: models.TextPrompt(make([]int, n-1))}
			lessons = append(lessons, &lesson{prompt: p, target: []int{1, 2}, place: i})
		}
		return lessons
	}
	show := func(units [][]*lesson) (s string) {
		for _, unit := range units {
			for _, x := range unit {
				s += fmt.Sprintf("%d@%d ", x.place, x.window)
			}
			s += "| "
		}
		return s
	}
	for _, c := range []struct {
		lengths []int
		tokens  int
		want    string
	}{
		{[]int{5, 4, 6, 3, 12, 2, 1}, 10, "0@0 1@1 6@1 | 2@0 3@1 | 4@0 | 5@0 | "},
		{[]int{9, 2, 3, 4, 30, 5, 2}, 25, "0@0 1@1 2@1 3@1 5@2 6@2 | 4@0 | "},
	} {
		if got := show(packed(batch(c.lengths...), c.tokens)); got != c.want {
			t.Errorf("%v packed: %s, want %s", c.lengths, got, c.want)
		}
	}
	if got, want := show(ofEqualLength(batch(5, 7, 6, 5, 9, 2, 7, 3, 4, 5))), "4@0 1@1 6@2 2@3 0@4 3@5 9@6 8@7 | 7@0 5@1 | "; got != want {
		t.Errorf("apart: %s, want %s", got, want)
	}
}

// What Sizes says of a unit, from a few rows of each source, no unit of a batch exceeds.
func TestSizesCoverTheUnits(t *testing.T) {
	w := newWorld(t)
	for _, pack := range []int{0, 150, 400} {
		in := w.open("tiny_sft.cue", fmt.Sprint("sft.pack_tokens=", pack))
		s, err := in.Sizes(2, 3)
		check(t, err)
		r := w.prepared(in)
		full := 0 // units of about the largest size
		for step := range 4 {
			lessons := r.lessons(t, r.mix.Batch(step, 12), 0)
			units := ofEqualLength(lessons)
			if pack > 0 {
				units = packed(lessons, pack)
			}
			if len(units) > s.Units {
				t.Errorf("pack_tokens %d: %d units, want at most %d", pack, len(units), s.Units)
			}
			for _, unit := range units {
				tokens, targets, longest := 0, 0, 0
				for _, l := range unit {
					tokens, targets, longest = tokens+l.length(), targets+len(l.target), max(longest, l.length())
				}
				if tokens > s.Tokens || targets > s.Targets || longest > s.Longest || len(unit) > s.Examples && pack == 0 {
					t.Errorf("pack_tokens %d: a unit of %d examples has %d tokens, %d targets, longest %d; Sizes says %+v", pack, len(unit), tokens, targets, longest, s)
				}
				if 4*tokens > 3*s.Tokens {
					full++
				}
			}
		}
		if full == 0 {
			t.Errorf("pack_tokens %d: no unit has three quarters of the %d tokens that Sizes foresees", pack, s.Tokens)
		}
	}
}
