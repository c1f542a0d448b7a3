package grpo

import (
	"fmt"
	"math"
	"slices"
)

// Surrogate is the form of the per-token policy loss L, with rho the ratio, A the advantage, l the log-probability
// under the policy, sg stop-gradient.
type Surrogate string

const (
	// Clip: L = -min(min(rho, Delta) A, clip(rho, 1-ClipLow, 1+ClipHigh) A); the inner min only if Delta > 0.
	// PPO's objective (arXiv 1707.06347 eq. 7); Delta is the two-sided clip of TRL ("dual clip" elsewhere).
	Clip Surrogate = "clip"
	// Cap: L = -sg(min(rho, RatioCap)) A l. CISPO (arXiv 2506.13585) with an absolute cap and no floor.
	Cap Surrogate = "cap"
	// Gate: L = -(4/tau) sigmoid(tau (rho - 1)) A, tau by the sign of A. SAPO (arXiv 2511.20347).
	Gate Surrogate = "gate"
)

// Level is what the importance ratio is taken over.
type Level string

const (
	Token    Level = "token"    // rho_t = exp(l_t - o_t)
	Sequence Level = "sequence" // rho = exp(sum m (l - o) / max(1, sum m)), one value a row (GSPO, arXiv 2507.18071)
)

// Aggregation is the rule that makes one loss of the per-token losses of N rows; see TokenWeights for the weights.
type Aggregation string

const (
	RowMean        Aggregation = "row_mean"         // mean over rows of the row's mean: grpo, gspo, sapo
	TokenMean      Aggregation = "token_mean"       // mean over all tokens of the update: dapo, cispo
	MicroTokenMean Aggregation = "micro_token_mean" // mean over micro-batches of the mean over their tokens: bnpo
	FixedLength    Aggregation = "fixed_length"     // sum over tokens / (N * longest possible completion): dr_grpo
	RowSum         Aggregation = "row_sum"          // mean over rows of the row's sum: luspo
)

// Variant names a loss by its maths. The zero value of a numeric field switches its term off; which fields a surrogate
// reads is said beside it, and the others are ignored.
type Variant struct {
	Name        string
	Surrogate   Surrogate
	Level       Level
	Aggregation Aggregation

	ClipLow, ClipHigh float64 // Clip: ratio bounds 1-ClipLow and 1+ClipHigh
	Delta             float64 // Clip: upper bound of the ratio for A < 0; 0 = none. Below 1+ClipHigh it bounds A > 0 as well
	RatioCap          float64 // Cap: >= 1
	TauPos, TauNeg    float64 // Gate: for A > 0 and for A <= 0

	KL           float64     // weight of the KL estimate; 0 = no reference needed
	KLEstimator  KLEstimator // empty = K3
	KLClamp      float64     // largest |estimate|, see KLEstimator; 0 = none
	KLGradient   KLGradient  // empty = OwnGradient
	KLTimesRatio bool        // multiply the KL term by rho, with the gradient through both; Token level only
	KLInReward   bool        // the KL is taken off the rewards (KLReward), and the loss has no KL term

	EntropyBonus float64 // weight of the mean entropy of the update's tokens, which the loss loses; 0 = off

	// Reweighted says that Factors may multiply the policy term, so that the KL term needs weights of its own.
	Reweighted bool
}

// VariantOf returns the row of parameters behind a published name: grpo, bnpo, dr_grpo, dapo, gspo, cispo, sapo, luspo.
// Numbers are the defaults of TRL 1.9; cispo has no usable default for its cap (TRL's is 0.2 by accident of sharing
// epsilon_high), so RatioCap stays 0 and Check asks for it.
func VariantOf(name string) (Variant, error) {
	v, ok := map[string]Variant{
		"grpo":    {Surrogate: Clip, Level: Token, Aggregation: RowMean},
		"bnpo":    {Surrogate: Clip, Level: Token, Aggregation: MicroTokenMean},
		"dr_grpo": {Surrogate: Clip, Level: Token, Aggregation: FixedLength},
		"dapo":    {Surrogate: Clip, Level: Token, Aggregation: TokenMean},
		"gspo":    {Surrogate: Clip, Level: Sequence, Aggregation: RowMean},
		"luspo":   {Surrogate: Clip, Level: Sequence, Aggregation: RowSum},
		"cispo":   {Surrogate: Cap, Level: Token, Aggregation: TokenMean},
		"sapo":    {Surrogate: Gate, Level: Token, Aggregation: RowMean},
	}[name]
	if !ok {
		return Variant{}, fmt.Errorf("loss: got %q, want grpo, bnpo, dr_grpo, dapo, gspo, cispo, sapo or luspo", name)
	}
	v.Name = name
	v.ClipLow, v.ClipHigh = 0.2, 0.2
	v.TauPos, v.TauNeg = 1, 1.05
	return v, nil
}

// PenalisesKL reports whether the loss has a KL term, and so reads the reference.
func (v Variant) PenalisesKL() bool { return v.KL != 0 && !v.KLInReward }

// Check reports the first field that makes no sense, by its name in the schema.
func (v Variant) Check() error {
	bad := func(field string, got any, want string) error {
		return fmt.Errorf("loss %s: %s: got %v, want %s", v.Name, field, got, want)
	}
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"clip_low", v.ClipLow}, {"clip_high", v.ClipHigh}, {"clip_dual", v.Delta}, {"ratio_cap", v.RatioCap}, {"tau_positive", v.TauPos},
		{"tau_negative", v.TauNeg}, {"kl", v.KL}, {"kl_clamp", v.KLClamp}, {"entropy_bonus", v.EntropyBonus},
	} {
		if math.IsNaN(f.value) || math.IsInf(f.value, 0) || f.value < 0 {
			return bad(f.name, f.value, "a finite value >= 0")
		}
	}
	switch v.Surrogate {
	case Clip:
		if v.ClipLow > 1 {
			return bad("clip_low", v.ClipLow, "at most 1")
		}
	case Cap:
		if v.RatioCap < 1 {
			return bad("ratio_cap", v.RatioCap, ">= 1 (an absolute cap on the ratio)")
		}
	case Gate:
		if v.TauPos == 0 || v.TauNeg == 0 {
			return bad("tau_positive and tau_negative", []float64{v.TauPos, v.TauNeg}, "values > 0")
		}
	default:
		return bad("surrogate", v.Surrogate, "clip, cap or gate")
	}
	if v.Level != Token && v.Level != Sequence {
		return bad("level", v.Level, "token or sequence")
	}
	if !slices.Contains([]KLEstimator{"", K1, K2, K3, AbsKL}, v.KLEstimator) {
		return bad("kl_estimator", v.KLEstimator, "k1, k2, k3 or abs")
	}
	if !slices.Contains([]KLGradient{"", OwnGradient, K2Gradient}, v.KLGradient) {
		return bad("kl_gradient", v.KLGradient, "own or k2")
	}
	if v.KLTimesRatio && v.Level != Token {
		// The gradient through one ratio a row would add, at each token, the KL of all others.
		return bad("kl_times_ratio", true, "false where the ratio is of a sequence")
	}
	return nil
}
