package grpo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort/orttest"
)

// Tolerances of a float32 graph against the float64 host: a loss of order 1 over tens of tokens keeps about six digits.
const (
	graphValueTol = 1e-5
	graphGradTol  = 1e-4
)

// ratioFrom is where a graph has the old policy from.
type ratioFrom int

const (
	itself ratioFrom = iota // on policy
	rows                    // old log-probabilities; the ratio of a sequence from all its tokens
	pieces                  // the ratio of a sequence is given, so that its tokens may come in any pieces
)

// objective opens the loss of a variant with its gradients, declared as package compile does.
func objective(t *testing.T, v Variant, from ratioFrom) *orttest.Runner {
	t.Helper()
	return orttest.NewRunner(t, "objective", func(g *graph.Graph) {
		input := func(name string) *graph.Value { return g.Input(name, graph.F32, "C") }
		in := Inputs{LogP: input("logp"), Advantage: input("advantage"), Weight: input("weight")}
		switch {
		case from == itself:
		case v.Level == Token:
			in.Old = input("old")
		case from == rows:
			in.RowLogRatio = MeanByRow(graph.Sub(graph.StopGradient(in.LogP), input("old")), g.Input("mean", graph.F32, "R", "C"), g.Input("row", graph.I64, "C"))
		default:
			in.RowLogRatio = input("row_log_ratio")
		}
		if v.PenalisesKL() {
			in.Ref = input("ref")
			if v.Reweighted {
				in.KLWeight = input("kl_weight")
			}
		}
		if v.EntropyBonus != 0 {
			in.Entropy, in.EntropyWeight = input("entropy"), input("entropy_weight")
		}
		out := Objective(in, v)
		g.Output("loss", out.Loss)
		if out.KL != nil {
			g.Output("kl", out.KL)
		}
		wrt, into := []*graph.Value{in.LogP}, []string{"grad"}
		if in.Entropy != nil {
			wrt, into = append(wrt, in.Entropy), append(into, "entropy_grad")
		}
		for i, d := range graph.Gradients(out.Loss, wrt...) {
			g.Output(into[i], d)
		}
	})
}

// flat is one value a token, as graphs read them.
func flat(rows [][]float64) (out []float32) {
	for _, row := range rows {
		for _, x := range row {
			out = append(out, float32(x))
		}
	}
	return out
}

// feeds lays out the tokens of a batch.
func feeds(b Batch, w Weights) map[string]orttest.Value {
	advantage := make([][]float64, len(b.LogP))
	for i, row := range b.LogP {
		for range row {
			advantage[i] = append(advantage[i], b.Advantage[i])
		}
	}
	in := map[string]orttest.Value{}
	for name, rows := range map[string][][]float64{
		"logp": b.LogP, "advantage": advantage, "old": b.Old, "ref": b.Ref, "entropy": b.Entropy,
		"weight": w.Policy, "kl_weight": w.KL, "entropy_weight": w.Entropy,
	} {
		values := flat(rows)
		in[name] = orttest.F32(values, len(values))
	}
	if b.Old != nil {
		values := flat(RowLogRatio(b.LogP, b.Old, b.Mask))
		in["row_log_ratio"] = orttest.F32(values, len(values))
	}
	mean, row := RowMeans(b.Mask)
	in["mean"], in["row"] = orttest.F32(mean, len(b.Mask), len(row)), orttest.I64(row, len(row))
	return in
}

// spoil fills masked positions with values whose ratios and estimates overflow.
func spoil(b Batch) {
	for i, mask := range b.Mask {
		for t, m := range mask {
			if !m {
				b.LogP[i][t] = 120
				if b.Old != nil {
					b.Old[i][t] = -120
				}
				if b.Ref != nil {
					b.Ref[i][t] = 240
				}
			}
		}
	}
}

// TestObjectiveAgainstHost runs every loss at every level with every option, on and off policy, with the weights of the update
// and with masked tokens that overflow.
func TestObjectiveAgainstHost(t *testing.T) {
	rng := rand.New(rand.NewPCG(20, 21))
	for _, v := range variants(t) {
		for _, from := range []ratioFrom{itself, rows, pieces} {
			if from == pieces && v.Level == Token {
				continue
			}
			t.Run(fmt.Sprintf("%s ratio=%d", v.Name, from), func(t *testing.T) {
				b := randomBatch(rng, 8, v)
				if from == itself {
					b.Old = nil
				}
				spoil(b)
				u := Update{Masks: b.Mask, MaxTokens: 8, MicroRows: 4}
				plain, err := TokenWeights(v.Aggregation, u)
				noError(t, err)
				want, err := Loss(v, b, plain)
				noError(t, err)
				w, err := v.Weights(u, b.Factors)
				noError(t, err)
				got := objective(t, v, from).Run(feeds(b, w))

				near(t, "loss", float64(got["loss"].Floats()[0]), want.Loss, graphValueTol)
				at := 0
				for i, row := range b.LogP {
					for k := range row {
						where := fmt.Sprintf("[%d][%d]", i, k)
						grad := got["grad"].Floats()[at]
						near(t, "grad"+where, float64(grad), want.Grad[i][k], graphGradTol)
						free := b.Mask[i][k] && (b.Ref != nil || !want.Clipped[i][k])
						if !free && grad != 0 {
							t.Errorf("grad%s of a masked or clipped token: got %v, want exactly 0", where, grad)
						}
						if b.Ref != nil && b.Mask[i][k] {
							near(t, "kl"+where, float64(got["kl"].Floats()[at]), want.KL[i][k], graphValueTol)
						}
						if b.Entropy != nil {
							near(t, "entropy_grad"+where, float64(got["entropy_grad"].Floats()[at]), want.EntropyGrad[i][k], graphValueTol)
						}
						at++
					}
				}
			})
		}
	}
}

// TestObjectiveSplits cuts an update at random, into units of whole rows or into pieces of any tokens, puts its groups in
// another order and pads it: the loss of no variant moves by more than float32 rounding, 1e-6 of losses of order 1.
func TestObjectiveSplits(t *testing.T) {
	rng := rand.New(rand.NewPCG(22, 23))
	const size, groups, padding = 2, 5, 3
	for _, name := range names {
		for _, level := range []Level{Token, Sequence} {
			v, err := VariantOf(name)
			noError(t, err)
			v.Level, v.RatioCap, v.KL, v.EntropyBonus, v.Reweighted = level, 5, 0.1, 0.02, true
			t.Run(name+" "+string(level), func(t *testing.T) {
				byRows, byPieces := objective(t, v, rows), objective(t, v, pieces)
				b := randomBatch(rng, size*groups, v)
				plain, err := TokenWeights(v.Aggregation, Update{Masks: b.Mask, MaxTokens: 8, MicroRows: size})
				noError(t, err)
				want, err := Loss(v, b, plain)
				noError(t, err)
				for range 5 {
					b = shuffled(rng, b, size)
					w, err := v.Weights(Update{Masks: b.Mask, MaxTokens: 8, MicroRows: size}, b.Factors)
					noError(t, err)
					padded := b
					for _, x := range []*[][]float64{&padded.LogP, &padded.Old, &padded.Ref, &padded.Entropy, &w.Policy, &w.KL, &w.Entropy} {
						fill := 0.0
						if x != &w.Policy && x != &w.KL && x != &w.Entropy {
							fill = 100
						}
						var rows [][]float64
						for _, row := range *x {
							row = append([]float64{}, row...)
							for range padding {
								row = append(row, fill)
							}
							rows = append(rows, row)
						}
						*x = rows
					}
					padded.Mask = nil
					for _, m := range b.Mask {
						padded.Mask = append(padded.Mask, append(append([]bool{}, m...), make([]bool, padding)...))
					}

					sum := 0.0
					for lo, hi := 0, 0; lo < len(b.LogP); lo = hi { // units of whole rows
						hi = lo + 1 + rng.IntN(len(b.LogP)-lo)
						part, weights := pick(padded, span{lo, hi}.indices()), Weights{w.Policy[lo:hi], w.KL[lo:hi], w.Entropy[lo:hi]}
						sum += float64(byRows.Run(feeds(part, weights))["loss"].Floats()[0])
					}
					near(t, "units", sum, want.Loss, 1e-6)

					sum, all := 0.0, feeds(padded, w)
					tokens := len(all["logp"].Floats())
					for lo, hi := 0, 0; lo < tokens; lo = hi { // pieces of any tokens
						hi = lo + 1 + rng.IntN(tokens-lo)
						piece := map[string]orttest.Value{}
						for name, x := range all {
							if values, ok := x.Data.([]float32); ok && len(values) == tokens {
								piece[name] = orttest.F32(values[lo:hi], hi-lo)
							}
						}
						sum += float64(byPieces.Run(piece)["loss"].Floats()[0])
					}
					near(t, "pieces", sum, want.Loss, 1e-6)
				}
			})
		}
	}
}

// TestObjectiveAllMasked: an update of which no token counts (every completion was cut, and such are masked) has loss 0 and
// gradient 0, exactly, whatever stands at its tokens.
func TestObjectiveAllMasked(t *testing.T) {
	rng := rand.New(rand.NewPCG(24, 25))
	for _, name := range names {
		for _, level := range []Level{Token, Sequence} {
			v, err := VariantOf(name)
			noError(t, err)
			v.Level, v.RatioCap, v.KL, v.EntropyBonus, v.Reweighted = level, 5, 0.1, 0.02, true
			b := randomBatch(rng, 4, v)
			for _, row := range b.Mask {
				clear(row)
			}
			spoil(b)
			w, err := v.Weights(Update{Masks: b.Mask, MaxTokens: 8, MicroRows: 2}, b.Factors)
			noError(t, err)
			for out, x := range objective(t, v, rows).Run(feeds(b, w)) {
				for _, value := range x.Floats() {
					if value != 0 {
						t.Errorf("%s %s: %s has %v, want 0", name, level, out, value)
					}
				}
			}
		}
	}
}

func (s span) indices() (out []int) {
	for i := s.lo; i < s.hi; i++ {
		out = append(out, i)
	}
	return out
}

// TestObjectiveIsSafe drives single tokens to where float32 overflows. Nothing that is flat there may turn into NaN.
func TestObjectiveIsSafe(t *testing.T) {
	of := func(name string, edit func(*Variant)) Variant {
		v, err := VariantOf(name)
		noError(t, err)
		v.RatioCap = 5
		edit(&v)
		return v
	}
	clamp := func(v *Variant) { v.KL, v.KLClamp = 1, 10 }
	for _, c := range []struct {
		name              string
		v                 Variant
		logp, old, ref, a float32
		loss, grad        float64
	}{
		{"clip, ratio e^200, A > 0", of("grpo", func(*Variant) {}), 0, -200, 0, 1, -1.2, 0},
		{"clip, ratio e^-200, A < 0", of("grpo", func(*Variant) {}), -200, 0, 0, -1, 0.8, 0},
		{"dual clip, ratio e^200, A < 0", of("grpo", func(v *Variant) { v.Delta = 3 }), 0, -200, 0, -1, 3, 0},
		{"cap, ratio e^200", of("cispo", func(*Variant) {}), -2, -202, 0, 1, 10, -5},
		{"gate, ratio e^200", of("sapo", func(*Variant) {}), 0, -200, 0, 1, -4, 0},
		{"gspo, ratio e^200, A > 0", of("gspo", func(*Variant) {}), 0, -200, 0, 1, -1.2, 0},
		{"k3 at -200, clamped", of("grpo", clamp), -200, -200, 0, 0, 10, 0},
		{"k3 at 200, clamped", of("grpo", clamp), 0, 0, -200, 0, 10, 0},
		{"k3 at -200, clamped, gradient of k2", of("grpo", func(v *Variant) { clamp(v); v.KLGradient = K2Gradient }), -200, -200, 0, 0, 10, -200},
		{"k3 at the clamp's far side", of("grpo", func(v *Variant) { v.KL, v.KLClamp = 1, 1e30 }), -60, -60, 0, 0, math.Exp(60), -math.Exp(60)},
	} {
		t.Run(c.name, func(t *testing.T) {
			one := func(x float32) orttest.Value { return orttest.F32([]float32{x}, 1) }
			got := objective(t, c.v, pieces).Run(map[string]orttest.Value{
				"logp": one(c.logp), "old": one(c.old), "ref": one(c.ref), "advantage": one(c.a), "weight": one(1), "row_log_ratio": one(c.logp - c.old),
			})
			for name, want := range map[string]float64{"loss": c.loss, "grad": c.grad} {
				if x := float64(got[name].Floats()[0]); !(math.Abs(x-want) <= 1e-5*max(1, math.Abs(want))) {
					t.Errorf("%s: got %v, want %v", name, x, want)
				}
			}
		})
	}
}

func TestSFT(t *testing.T) {
	r := orttest.NewRunner(t, "sft", func(g *graph.Graph) {
		logp, weight := g.Input("logp", graph.F32, "C"), g.Input("weight", graph.F32, "C")
		loss := SFT(logp, weight)
		g.Output("loss", loss)
		g.Output("grad", graph.Gradients(loss, logp)[0])
	})
	got := r.Run(map[string]orttest.Value{"logp": orttest.F32([]float32{-1, -2, -4}, 3), "weight": orttest.F32([]float32{0.5, 0.25, 0}, 3)})
	if loss := got["loss"].Floats()[0]; loss != 1 {
		t.Errorf("loss: got %v, want 1", loss)
	}
	if grad := fmt.Sprint(got["grad"].Floats()); grad != "[-0.5 -0.25 0]" && grad != "[-0.5 -0.25 -0]" {
		t.Errorf("grad: got %s", grad)
	}
}

func TestObjectiveRefuses(t *testing.T) {
	good, err := VariantOf("grpo")
	noError(t, err)
	for _, c := range []struct {
		want string
		edit func(*Variant, *Inputs)
	}{
		{"surrogate", func(v *Variant, _ *Inputs) { v.Surrogate = "ppo" }},
		{"no old log-probabilities", func(v *Variant, in *Inputs) { v.Level, in.Old = Sequence, in.Advantage }},
		{"no ratio of the row", func(_ *Variant, in *Inputs) { in.RowLogRatio = in.Advantage }},
		{"reference", func(v *Variant, _ *Inputs) { v.KL = 0.1 }},
		{"reference", func(_ *Variant, in *Inputs) { in.Ref = in.Advantage }},
		{"reference", func(v *Variant, in *Inputs) { v.KL, v.KLInReward, in.Ref = 0.1, true, in.Advantage }},
		{"reweighted", func(v *Variant, in *Inputs) { v.KL, v.Reweighted, in.Ref = 0.1, true, in.Advantage }},
		{"reweighted", func(_ *Variant, in *Inputs) { in.KLWeight = in.Weight }},
		{"entropy bonus", func(v *Variant, _ *Inputs) { v.EntropyBonus = 0.1 }},
		{"entropy bonus", func(v *Variant, in *Inputs) { v.EntropyBonus, in.Entropy = 0.1, in.Weight }},
	} {
		_, err := graph.Build("refused", func(g *graph.Graph) {
			v := good
			in := Inputs{LogP: g.Input("logp", graph.F32, "C"), Advantage: g.Input("a", graph.F32, "C"), Weight: g.Input("w", graph.F32, "C")}
			c.edit(&v, &in)
			Objective(in, v)
		})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "objective_test.go") {
			t.Errorf("got %v, want an error with %q and this file", err, c.want)
		}
	}
	if _, err := graph.Build("refused", func(g *graph.Graph) {
		Objective(Inputs{LogP: g.Input("logp", graph.F32, "C"), Advantage: g.Input("a", graph.F32, "N"), Weight: g.Input("w", graph.F32, "C")}, good)
	}); err == nil {
		t.Error("an advantage of another length was accepted")
	}
}
