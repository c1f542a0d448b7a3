package grpo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// names are the published losses.
var names = []string{"grpo", "bnpo", "dr_grpo", "dapo", "gspo", "cispo", "sapo", "luspo"}

// variants returns every published loss at either level, with every option of the KL term and without one, and the two-sided
// clip. Every second one has an entropy bonus and factors.
func variants(t *testing.T) (out []Variant) {
	t.Helper()
	add := func(v Variant, name string) {
		v.Name += name
		if len(out)%2 == 1 {
			v.Name += " entropy"
			v.EntropyBonus, v.Reweighted = 0.05, true
		}
		noError(t, v.Check())
		out = append(out, v)
	}
	for _, name := range names {
		for _, level := range []Level{Token, Sequence} {
			v, err := VariantOf(name)
			noError(t, err)
			v.Level, v.RatioCap = level, 1.1
			v.Name += " " + string(level)
			add(v, "")
			if v.Surrogate == Clip {
				v.Delta = 1.3
				add(v, " delta")
			}
			v.KL = 0.1
			reward := v
			reward.KLInReward = true
			add(reward, " kl in reward")
			for _, v.KLEstimator = range []KLEstimator{K1, K2, K3, AbsKL} {
				for _, v.KLClamp = range []float64{0, 0.3} {
					for _, v.KLGradient = range []KLGradient{OwnGradient, K2Gradient} {
						for _, v.KLTimesRatio = range []bool{false, true} {
							if v.KLTimesRatio && level == Sequence {
								continue
							}
							add(v, fmt.Sprintf(" %s clamp=%v gradient=%s times_ratio=%t", v.KLEstimator, v.KLClamp, v.KLGradient, v.KLTimesRatio))
						}
					}
				}
			}
		}
	}
	return out
}

// randomBatch makes n ragged rows with log-ratios up to 0.5 either way, away from the kinks at 0.8, 1.1, 1.2 and 1.3, and all
// that the variant reads. A row in five is masked as a whole.
func randomBatch(rng *rand.Rand, n int, v Variant) Batch {
	var b Batch
	for range n {
		t := 1 + rng.IntN(6)
		logp, old, ref, mask := make([]float64, t), make([]float64, t), make([]float64, t), make([]bool, t)
		entropy, high, correction := make([]float64, t), make([]float64, t), make([]float64, t)
		whole := rng.IntN(5) > 0
		for i := range logp {
			logp[i], ref[i], mask[i] = -3*rng.Float64(), -3*rng.Float64(), whole && rng.IntN(4) > 0
			entropy[i], high[i], correction[i] = 2*rng.Float64(), float64(rng.IntN(2)), 0.5+rng.Float64()
			for {
				d := rng.Float64() - 0.5
				rho := math.Exp(d)
				if !slices.ContainsFunc([]float64{0.8, 1.1, 1.2, 1.3}, func(kink float64) bool { return math.Abs(rho-kink) < .01 }) {
					old[i] = logp[i] - d
					break
				}
			}
		}
		b.LogP, b.Old, b.Ref, b.Mask = append(b.LogP, logp), append(b.Old, old), append(b.Ref, ref), append(b.Mask, mask)
		b.Advantage = append(b.Advantage, rng.NormFloat64())
		b.Entropy = append(b.Entropy, entropy)
		b.HighEntropy, b.Correction, b.Keep = append(b.HighEntropy, high), append(b.Correction, correction), append(b.Keep, rng.IntN(4) > 0)
	}
	if !v.PenalisesKL() {
		b.Ref = nil
	}
	if v.EntropyBonus == 0 {
		b.Entropy = nil
	}
	if !v.Reweighted {
		b.Factors = Factors{}
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

// frozen is the loss without the entropy bonus, written down again term by term, with all that stands under a stop-gradient
// taken from the log-probabilities `at`: so its plain derivative by LogP is the gradient that training wants.
func frozen(v Variant, b Batch, at [][]float64, weights [][]float64) (loss float64) {
	for i, row := range b.LogP {
		mean := func(logp []float64) float64 {
			sum, n := 0.0, 0.0
			for t, m := range b.Mask[i] {
				if m {
					sum, n = sum+logp[t]-b.Old[i][t], n+1
				}
			}
			return sum / max(1, n)
		}
		for t, l := range row {
			if !b.Mask[i][t] {
				continue
			}
			rho, still := math.Exp(l-b.Old[i][t]), math.Exp(at[i][t]-b.Old[i][t])
			if v.Level == Sequence {
				rho, still = math.Exp(mean(row)), math.Exp(mean(at[i]))
			}
			a, tau := b.Advantage[i], v.TauNeg
			if a > 0 {
				tau = v.TauPos
			}
			value := 0.0
			switch v.Surrogate {
			case Cap:
				value = -min(still, v.RatioCap) * a * l
			case Gate:
				value = -4 / tau / (1 + math.Exp(-tau*(rho-1))) * a
			case Clip:
				free := rho
				if v.Delta > 0 {
					free = min(rho, v.Delta)
				}
				value = -min(free*a, max(1-v.ClipLow, min(rho, 1+v.ClipHigh))*a)
			}
			if b.HighEntropy != nil {
				value *= b.HighEntropy[i][t] * b.Correction[i][t]
				if !b.Keep[i] {
					value = 0
				}
			}
			if b.Ref != nil {
				estimate := func(l float64) float64 {
					x := l - b.Ref[i][t]
					kl := map[KLEstimator]float64{K1: x, K2: x * x / 2, K3: math.Exp(-x) + x - 1, AbsKL: math.Abs(x)}[v.KLEstimator]
					if v.KLClamp > 0 {
						kl = min(max(kl, -v.KLClamp), v.KLClamp)
					}
					return kl
				}
				kl := estimate(l)
				if v.KLGradient == K2Gradient {
					x, x0 := l-b.Ref[i][t], at[i][t]-b.Ref[i][t]
					kl = estimate(at[i][t]) + x*x/2 - x0*x0/2
				}
				if v.KLTimesRatio {
					kl *= rho
				}
				value += v.KL * kl
			}
			loss += weights[i][t] * value
		}
	}
	return loss
}

// TestGradients compares values and analytic gradients with the formulas written down again and their central differences.
func TestGradients(t *testing.T) {
	const h = 1e-6
	rng := rand.New(rand.NewPCG(2, 3))
	for _, v := range variants(t) {
		t.Run(v.Name, func(t *testing.T) {
			for range 5 {
				b := randomBatch(rng, 4, v)
				w, err := TokenWeights(v.Aggregation, Update{Masks: b.Mask, MaxTokens: 8})
				noError(t, err)
				got, err := Loss(v, b, w)
				noError(t, err)
				base := make([][]float64, len(b.LogP))
				for i, row := range b.LogP {
					base[i] = slices.Clone(row)
				}
				value, bonus := frozen(v, b, base, w), 0.0
				for i, row := range got.EntropyGrad {
					for k, d := range row {
						bonus += d * b.Entropy[i][k]
					}
				}
				near(t, "loss", got.Loss, value+bonus, 1e-12)
				for i, row := range b.LogP {
					for k, l := range row {
						at := func(l float64) float64 {
							row[k] = l
							return frozen(v, b, base, w)
						}
						numeric := (at(l+h) - at(l-h)) / (2 * h)
						row[k] = l
						near(t, fmt.Sprintf("grad[%d][%d]", i, k), got.Grad[i][k], numeric, 1e-8) // rounding of the loss / h = 1e-10
					}
				}
			}
		})
	}
}

// TestEntropyBonus: the loss loses the coefficient times the mean entropy, for every loss (the published test of TRL), over
// the tokens of high entropy alone where they are chosen.
func TestEntropyBonus(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	for _, name := range names {
		v, err := VariantOf(name)
		noError(t, err)
		v.RatioCap, v.Reweighted = 5, true
		with := v
		with.EntropyBonus = 0.01
		b := randomBatch(rng, 6, with)
		sum, n := 0.0, 0.0
		for i, row := range b.Entropy {
			for k, h := range row {
				if b.Mask[i][k] && b.HighEntropy[i][k] == 1 {
					sum, n = sum+h, n+1
				}
			}
		}
		bonus := lossOf(t, with, b)
		b.Entropy = nil
		near(t, name, lossOf(t, v, b).Loss-bonus.Loss, 0.01*sum/n, 1e-12)
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
				if b.Entropy != nil {
					p.Entropy = append(p.Entropy, pad(b.Entropy[i], b.Mask[i]))
				}
				if b.HighEntropy != nil {
					p.HighEntropy = append(p.HighEntropy, pad(b.HighEntropy[i], b.Mask[i]))
					p.Correction = append(p.Correction, pad(b.Correction[i], b.Mask[i]))
				}
				p.Keep = b.Keep
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
		got := v.term(math.Log(c.rho), -1, c.a)
		near(t, fmt.Sprintf("value at %v, %v", c.rho, c.a), got.value, c.value, 1e-12)
		near(t, fmt.Sprintf("slope at %v, %v", c.rho, c.a), got.byRatio, c.slope, 1e-12)
	}
}

func TestKLSlopes(t *testing.T) {
	for _, e := range []KLEstimator{K1, K2, K3, AbsKL} {
		v := Variant{KLEstimator: e}
		for _, x := range []float64{-2, -.5, .3, 4} {
			_, slope := v.kl(x)
			hi, _ := v.kl(x + 1e-6)
			lo, _ := v.kl(x - 1e-6)
			near(t, fmt.Sprintf("%s at %v", e, x), slope, (hi-lo)/2e-6, 1e-6)
			// verl's k1+ and k3+: the value stays, clamped or not, the gradient is k2's.
			plus := Variant{KLEstimator: e, KLGradient: K2Gradient, KLClamp: 0.1}
			value, slope := plus.kl(x)
			want, _ := Variant{KLEstimator: e, KLClamp: 0.1}.kl(x)
			if value != want || slope != x {
				t.Errorf("%s straight through at %v: got %v with slope %v, want %v with %v", e, x, value, slope, want, x)
			}
		}
	}
	if v, _ := (Variant{}).kl(1e-9); v < 0 || v > 1e-17 {
		t.Errorf("k3 near 0 cancels: got %v, want about 5e-19", v)
	}
	if _, slope := (Variant{KLEstimator: AbsKL}).kl(0); slope != 0 {
		t.Errorf("slope of abs at 0: got %v", slope)
	}
	if value, slope := (Variant{KLClamp: 10}).kl(-14); value != 10 || slope != 0 {
		t.Errorf("k3 beyond the clamp: got %v with slope %v, want 10 with 0", value, slope)
	}
}

// TestKLReward: a row loses the sum over its counted tokens, not the mean.
func TestKLReward(t *testing.T) {
	v := Variant{Name: "grpo", Surrogate: Clip, Level: Token, KL: 0.5, KLEstimator: K1, KLInReward: true, KLClamp: 3}
	penalty, estimate, err := v.KLReward([][]float64{{-1, -1, -1}, {-2}}, [][]float64{{-2, -3, -9}, {-1}}, [][]bool{{true, true, false}, {true}})
	noError(t, err)
	nearRows(t, "penalty", [][]float64{penalty}, [][]float64{{0.5 * (1 + 2), -0.5}}, 1e-15)
	nearRows(t, "estimate", estimate, [][]float64{{1, 2, 0}, {-1}}, 1e-15)
	if penalty, _, err = v.KLReward([][]float64{{9}}, [][]float64{{-9}}, [][]bool{{true}}); err != nil || penalty[0] != 1.5 {
		t.Errorf("clamped at 3: got %v, %v, want 1.5", penalty, err)
	}
	if _, _, err := v.KLReward([][]float64{{0}}, [][]float64{{0, 0}}, [][]bool{{true}}); err == nil {
		t.Error("a reference of another length was accepted")
	}
	if _, _, err := v.KLReward([][]float64{{0}}, nil, nil); err == nil {
		t.Error("other numbers of rows were accepted")
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
		{"kl_estimator", func(v *Variant) { v.KLEstimator = "k9" }},
		{"kl_gradient", func(v *Variant) { v.KLGradient = "k3" }},
		{"kl_times_ratio", func(v *Variant) { v.Level, v.KLTimesRatio = Sequence, true }},
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
