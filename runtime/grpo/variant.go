package grpo

import (
	"fmt"
	"math"
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
	// Gamma: L = -sg(exp(lambda + k ln w - lambda w)) A l, with w the ratio of whole sequences and (k, lambda) by the
	// sign of A. VESPO. It has its own ratio: Level is ignored by L (not by the KL term).
	Gamma Surrogate = "gamma"
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
	RowMean        Aggregation = "row_mean"         // mean over rows of the row's mean: grpo, sapo
	TokenMean      Aggregation = "token_mean"       // mean over all tokens of the update: dapo, cispo, vespo
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
	Delta             float64 // Clip: upper bound of the ratio for A < 0; 0 = none
	RatioCap          float64 // Cap: >= 1
	TauPos, TauNeg    float64 // Gate: for A > 0 and for A <= 0
	KPos, LambdaPos   float64 // Gamma: for A >= 0
	KNeg, LambdaNeg   float64 // Gamma: for A < 0

	KL           float64     // weight of the KL term, added to L after all multipliers; 0 = no reference needed
	KLEstimator  KLEstimator // empty = K3
	KLTimesRatio bool        // multiply the KL term by rho, with the gradient through both
}

// VariantOf returns the row of parameters behind a published name: grpo, bnpo, dr_grpo, dapo, luspo, cispo, sapo, vespo.
// Numbers are the defaults of TRL 1.9; cispo has no usable default for its cap (TRL's is 0.2 by accident of sharing
// epsilon_high), so RatioCap stays 0 and Check asks for it.
func VariantOf(name string) (Variant, error) {
	v, ok := map[string]Variant{
		"grpo":    {Surrogate: Clip, Level: Token, Aggregation: RowMean},
		"bnpo":    {Surrogate: Clip, Level: Token, Aggregation: MicroTokenMean},
		"dr_grpo": {Surrogate: Clip, Level: Token, Aggregation: FixedLength},
		"dapo":    {Surrogate: Clip, Level: Token, Aggregation: TokenMean},
		"luspo":   {Surrogate: Clip, Level: Sequence, Aggregation: RowSum},
		"cispo":   {Surrogate: Cap, Level: Token, Aggregation: TokenMean},
		"sapo":    {Surrogate: Gate, Level: Token, Aggregation: RowMean},
		"vespo":   {Surrogate: Gamma, Level: Token, Aggregation: TokenMean},
	}[name]
	if !ok {
		return Variant{}, fmt.Errorf("loss: got %q, want grpo, bnpo, dr_grpo, dapo, luspo, cispo, sapo or vespo", name)
	}
	v.Name = name
	v.ClipLow, v.ClipHigh = 0.2, 0.2
	v.TauPos, v.TauNeg = 1, 1.05
	v.KPos, v.LambdaPos, v.KNeg, v.LambdaNeg = 2, 3, 3, 2
	return v, nil
}

// Check reports the first field that makes no sense, by its name.
func (v Variant) Check() error {
	bad := func(field string, got any, want string) error {
		return fmt.Errorf("loss %s: %s: got %v, want %s", v.Name, field, got, want)
	}
	for _, x := range []float64{v.ClipLow, v.ClipHigh, v.Delta, v.RatioCap, v.TauPos, v.TauNeg, v.KPos, v.LambdaPos, v.KNeg, v.LambdaNeg, v.KL} {
		if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
			return bad("parameters", x, "finite values >= 0")
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
			return bad("tau", 0, "> 0")
		}
	case Gamma:
	default:
		return bad("surrogate", v.Surrogate, "clip, cap, gate or gamma")
	}
	if v.Level != Token && v.Level != Sequence {
		return bad("level", v.Level, "token or sequence")
	}
	if v.Aggregation == RowSum && (v.Level != Sequence || v.KL != 0) {
		// TRL multiplies a [B, T] array by a row weight and takes a plain mean, which counts padding.
		return bad("aggregation", v.Aggregation, "a sequence-level ratio without KL beside row_sum (luspo)")
	}
	if _, err := v.KLEstimator.kl(0); err != nil {
		return err
	}
	return nil
}
