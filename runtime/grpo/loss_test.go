package grpo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// variants returns every published loss, usable as it is.
func variants(t *testing.T) []Variant {
	t.Helper()
	var out []Variant
	for _, name := range []string{"grpo", "bnpo", "dr_grpo", "dapo", "luspo", "cispo", "sapo", "vespo"} {
		v, err := VariantOf(name)
		noError(t, err)
		v.RatioCap = 5
		out = append(out, v)
		if name == "luspo" {
			continue
		}
		sequence, kl := v, v
		sequence.Name, sequence.Level = name+" sequence", Sequence
		kl.Name, kl.KL, kl.KLTimesRatio = name+" kl", 0.1, true
		sequenceKL := sequence
		sequenceKL.Name, sequenceKL.KL, sequenceKL.KLTimesRatio, sequenceKL.KLEstimator = name+" sequence kl", 0.1, true, K2
		out = append(out, sequence, kl, sequenceKL)
	}
	delta, err := VariantOf("grpo")
	noError(t, err)
	delta.Name, delta.Delta = "grpo delta", 1.3
	return append(out, delta)
}

// randomBatch makes n ragged rows with log-ratios up to 0.5 either way, away from the kinks at 0.8, 1.2 and 1.3.
func randomBatch(rng *rand.Rand, n int, v Variant) Batch {
	var b Batch
	for range n {
		t := 1 + rng.IntN(6)
		logp, old, ref, mask := make([]float64, t), make([]float64, t), make([]float64, t), make([]bool, t)
		for i := range logp {
			logp[i], ref[i], mask[i] = -3*rng.Float64(), -3*rng.Float64(), rng.IntN(4) > 0
			for {
				d := rng.Float64() - 0.5
				if rho := math.Exp(d); math.Abs(rho-0.8) > .01 && math.Abs(rho-1.2) > .01 && math.Abs(rho-1.3) > .01 {
					old[i] = logp[i] - d
					break
				}
			}
		}
		b.LogP, b.Old, b.Ref, b.Mask = append(b.LogP, logp), append(b.Old, old), append(b.Ref, ref), append(b.Mask, mask)
		b.Advantage = append(b.Advantage, rng.NormFloat64())
	}
	if v.KL == 0 {
		b.Ref = nil
	}
	return b
}

func lossOf(t *testing.T, v Variant, b Batch) Losses {
	t.Helper()
	w, err := TokenWeights(v.Aggregation, Update{Masks: b.Mask, MaxTokens: 8})
	noError(t, err)
	got, err := Loss(v, b, w)
	noError(t, err)
	return got
}

// TestGradients compares the analytic gradient with central differences of the same loss. Factors under stop-gradient are
// held fixed there: cap and gamma weights depend on logp only through Old, so moving Old along keeps them.
func TestGradients(t *testing.T) {
	const h = 1e-6
	rng := rand.New(rand.NewPCG(2, 3))
	for _, v := range variants(t) {
		t.Run(v.Name, func(t *testing.T) {
			for range 20 {
				b := randomBatch(rng, 4, v)
				if v.Aggregation != RowSum {
					for i := range b.LogP {
						keep, corr := make([]float64, len(b.LogP[i])), make([]float64, len(b.LogP[i]))
						for k := range keep {
							keep[k], corr[k] = float64(rng.IntN(2)), 0.5+rng.Float64()
						}
						b.Keep, b.Correction = append(b.Keep, keep), append(b.Correction, corr)
					}
				}
				stopped := v.Surrogate == Cap || v.Surrogate == Gamma
				if stopped && v.KLTimesRatio {
					continue // the ratio is stopped in one term and not in the other; TestStoppedTerms covers it
				}
				got := lossOf(t, v, b)
				for i := range b.LogP {
					for k := range b.LogP[i] {
						at := func(d float64) float64 {
							l, o := b.LogP[i][k], b.Old[i][k]
							defer func() { b.LogP[i][k], b.Old[i][k] = l, o }()
							b.LogP[i][k] += d
							if stopped {
								b.Old[i][k] += d
							}
							return lossOf(t, v, b).Loss
						}
						near(t, fmt.Sprintf("grad[%d][%d]", i, k), got.Grad[i][k], (at(h)-at(-h))/(2*h), 1e-5)
					}
				}
			}
		})
	}
}

// TestStoppedTerms: gradients of policy term and KL term add, whatever each of them stops.
func TestStoppedTerms(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	for _, name := range []string{"cispo", "vespo"} {
		v, err := VariantOf(name)
		noError(t, err)
		v.RatioCap = 5
		both := v
		both.KL, both.KLTimesRatio = 0.1, true
		b := randomBatch(rng, 4, both)
		whole := lossOf(t, both, b)
		klOnly := b
		klOnly.Advantage = make([]float64, 4) // A = 0 leaves the KL term
		kl := lossOf(t, both, klOnly)
		b.Ref = nil
		policy := lossOf(t, v, b)
		for i := range whole.Grad {
			for k := range whole.Grad[i] {
				near(t, name, whole.Grad[i][k], policy.Grad[i][k]+kl.Grad[i][k], 1e-12)
			}
		}
	}
}

// TestPadding: masked positions hold anything and rows have any padding, with no change to a single bit.
func TestPadding(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	for _, v := range variants(t) {
		b := randomBatch(rng, 5, v)
		want := lossOf(t, v, b)
		for _, fill := range []float64{1e4, -1e4, math.NaN(), math.Inf(1)} {
			p := Batch{Advantage: b.Advantage}
			pad := func(row []float64, mask []bool) []float64 {
				out := append([]float64{}, row...)
				for k, m := range mask {
					if !m {
						out[k] = fill
					}
				}
				return append(out, fill, fill)
			}
			for i := range b.LogP {
				p.LogP = append(p.LogP, pad(b.LogP[i], b.Mask[i]))
				p.Old = append(p.Old, pad(b.Old[i], b.Mask[i]))
				if b.Ref != nil {
					p.Ref = append(p.Ref, pad(b.Ref[i], b.Mask[i]))
				}
				p.Mask = append(p.Mask, append(append([]bool{}, b.Mask[i]...), false, false))
			}
			got := lossOf(t, v, p)
			if got.Loss != want.Loss {
				t.Errorf("%s, fill %v: loss %v, want %v", v.Name, fill, got.Loss, want.Loss)
			}
			for i := range want.Grad {
				for k := range got.Grad[i] {
					if w := append(append([]float64{}, want.Grad[i]...), 0, 0)[k]; got.Grad[i][k] != w {
						t.Errorf("%s, fill %v: grad[%d][%d] %v, want %v", v.Name, fill, i, k, got.Grad[i][k], w)
					}
				}
			}
		}
	}
}

// TestMicroBatches: no split of an update changes its loss, and no permutation of its rows; bnpo is the stated exception
// to the first.
func TestMicroBatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for _, v := range variants(t) {
		b := randomBatch(rng, 6, v)
		u := Update{Masks: b.Mask, MaxTokens: 8}
		whole := splitLoss(t, v, b, u, 6)
		moved := 0.0
		for _, rows := range []int{1, 2, 3} {
			moved = max(moved, math.Abs(splitLoss(t, v, b, u, rows)-whole))
		}
		if (moved > 1e-12) != (v.Aggregation == MicroTokenMean) {
			t.Errorf("%s: splits move the loss by %v", v.Name, moved)
		}
		for _, x := range [][][]float64{b.LogP, b.Old, b.Ref} {
			for i, j := 0, len(x)-1; i < j; i, j = i+1, j-1 {
				x[i], x[j] = x[j], x[i]
			}
		}
		for i, j := 0, 5; i < j; i, j = i+1, j-1 {
			b.Mask[i], b.Mask[j] = b.Mask[j], b.Mask[i]
			b.Advantage[i], b.Advantage[j] = b.Advantage[j], b.Advantage[i]
		}
		near(t, v.Name+" reversed", splitLoss(t, v, b, u, 6), whole, 1e-12)
	}
}

// TestProcesses: averaging over P processes that each weigh by P gives the loss of one process (verl, TRL #5619).
func TestProcesses(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 11))
	v, err := VariantOf("dapo")
	noError(t, err)
	b := randomBatch(rng, 4, v)
	whole := lossOf(t, v, b).Loss
	tokens := 0
	for _, row := range b.Mask {
		for _, m := range row {
			if m {
				tokens++
			}
		}
	}
	sum := 0.0
	for p := range 2 {
		part := Batch{LogP: b.LogP[2*p : 2*p+2], Old: b.Old[2*p : 2*p+2], Mask: b.Mask[2*p : 2*p+2], Advantage: b.Advantage[2*p : 2*p+2]}
		w, err := TokenWeights(v.Aggregation, Update{Masks: part.Mask, Tokens: tokens, Processes: 2})
		noError(t, err)
		got, err := Loss(v, part, w)
		noError(t, err)
		sum += got.Loss / 2
	}
	near(t, "average over processes", sum, whole, 1e-12)
}

// TestMaskedUpdate: when every completion is masked, loss and gradient are 0 (TRL #6439).
func TestMaskedUpdate(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 13))
	for _, v := range variants(t) {
		b := randomBatch(rng, 3, v)
		for _, row := range b.Mask {
			clear(row)
		}
		got := lossOf(t, v, b)
		for _, row := range got.Grad {
			for _, g := range row {
				if g != 0 || got.Loss != 0 {
					t.Errorf("%s: loss %v, gradient %v, want 0", v.Name, got.Loss, g)
				}
			}
		}
	}
}

// TestClippedTokensHaveNoGradient at the golden ratios .5, 1, 1.5 of NeMo-RL, whose token-mean loss is -0.6333.
func TestClippedTokensHaveNoGradient(t *testing.T) {
	v, err := VariantOf("dapo")
	noError(t, err)
	b := Batch{Advantage: []float64{1, -1, 2}}
	for _, ratio := range []float64{.5, 1, 1.5} {
		b.LogP, b.Old, b.Mask = append(b.LogP, []float64{math.Log(ratio)}), append(b.Old, []float64{0}), append(b.Mask, []bool{true})
	}
	got := lossOf(t, v, b)
	near(t, "loss", got.Loss, -0.6333, 1e-4)
	for i, clipped := range []bool{false, false, true} {
		if got.Clipped[i][0] != clipped || (got.Grad[i][0] == 0) != clipped {
			t.Errorf("ratio %d: clipped %t, gradient %v", i, got.Clipped[i][0], got.Grad[i][0])
		}
	}
}

// TestDelta walks the four regions of the two-sided clip.
func TestDelta(t *testing.T) {
	v, err := VariantOf("grpo")
	noError(t, err)
	v.Delta = 2
	for _, c := range []struct {
		rho, a, value, slope float64
	}{
		{1, -1, 1, 1}, {1.5, -1, 1.5, 1.5}, {3, -1, 2, 0}, {0.5, -1, 0.8, 0}, {3, 1, -1.2, 0}, {0.5, 1, -0.5, -0.5},
	} {
		got := v.term(math.Log(c.rho), 0, -1, c.a)
		near(t, fmt.Sprintf("value at %v, %v", c.rho, c.a), got.value, c.value, 1e-12)
		near(t, fmt.Sprintf("slope at %v, %v", c.rho, c.a), got.byRatio, c.slope, 1e-12)
	}
}

func TestKLSlopes(t *testing.T) {
	for _, e := range []KLEstimator{K1, K2, K3, AbsKL} {
		for _, x := range []float64{-2, -.5, .3, 4} {
			_, slope, err := e.KL(x, 0)
			noError(t, err)
			hi, _, _ := e.KL(x+1e-6, 0)
			lo, _, _ := e.KL(x-1e-6, 0)
			near(t, fmt.Sprintf("%s at %v", e, x), slope, (hi-lo)/2e-6, 1e-6)
		}
	}
	if v, _, _ := K3.KL(1e-9, 0); v < 0 || v > 1e-17 {
		t.Errorf("k3 near 0 cancels: got %v, want about 5e-19", v)
	}
	if _, slope, _ := AbsKL.KL(0, 0); slope != 0 {
		t.Errorf("slope of abs at 0: got %v", slope)
	}
	if _, _, err := KLEstimator("k4").KL(0, 0); err == nil {
		t.Error("k4 was accepted")
	}
}

func TestVariantErrors(t *testing.T) {
	good, err := VariantOf("grpo")
	noError(t, err)
	for _, c := range []struct {
		want string
		edit func(*Variant)
	}{
		{"clip_low", func(v *Variant) { v.ClipLow = 2 }},
		{"finite", func(v *Variant) { v.ClipHigh = math.NaN() }},
		{"surrogate", func(v *Variant) { v.Surrogate = "ppo" }},
		{"level", func(v *Variant) { v.Level = "" }},
		{"ratio_cap", func(v *Variant) { v.Surrogate, v.RatioCap = Cap, 0.2 }}, // TRL's accidental default
		{"row_sum", func(v *Variant) { v.Aggregation = RowSum }},
		{"kl estimator", func(v *Variant) { v.KLEstimator = "k9" }},
	} {
		v := good
		c.edit(&v)
		if err := v.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
	if _, err := VariantOf("ppo"); err == nil {
		t.Error("ppo was accepted")
	}
	b := Batch{LogP: [][]float64{{0}}, Mask: [][]bool{{true}}, Advantage: []float64{1}}
	kl := good
	kl.KL = 0.1
	if _, err := Loss(kl, b, [][]float64{{1}}); err == nil {
		t.Error("a KL weight without a reference was accepted")
	}
	b.Mask[0] = nil
	if _, err := Loss(good, b, [][]float64{{1}}); err == nil {
		t.Error("a mask of another length was accepted")
	}
	for _, u := range []Update{{Masks: make([][]bool, 3), MicroRows: 2}} {
		if _, err := TokenWeights(MicroTokenMean, u); err == nil {
			t.Error("3 rows in micro-batches of 2 were accepted")
		}
	}
	if _, err := TokenWeights(FixedLength, Update{}); err == nil {
		t.Error("fixed_length without a length was accepted")
	}
	if _, err := TokenWeights("sum", Update{}); err == nil {
		t.Error("an unknown aggregation was accepted")
	}
}

// TestGammaCorrection: the correction enters the gamma ratio once a token, or once a row.
func TestGammaCorrection(t *testing.T) {
	r := row{logp: []float64{-1, -1}, old: []float64{-1, -1.5}, mask: []bool{true, true}, corrs: []float64{2, 3}}
	near(t, "per token", r.logGammaRatio(), 0.5+math.Log(6), 1e-12)
	r.corrs = []float64{2}
	near(t, "per row", r.logGammaRatio(), 0.5+math.Log(2), 1e-12)
	r.corrs = []float64{0}
	near(t, "masked away", r.logGammaRatio(), math.Log(1e-8)+0.5, 1e-12)
}
