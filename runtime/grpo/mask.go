package grpo

import (
	"fmt"
	"math"
	"slices"
)

// EntropyMask keeps the tokens of highest entropy (arXiv 2506.01939): keep[i][t] is 1 where the token counts and its
// entropy is at least the threshold, the quantile q in [0, 1] of all counted entropies, linearly interpolated between
// order statistics (NumPy's default). To keep the top share s use q = 1 - s. Masks must be those of the whole update.
// Without a counted token everything is dropped and the threshold is 0. Denominators of the loss are not reduced.
func EntropyMask(entropy [][]float64, mask [][]bool, q float64) (keep [][]float64, threshold float64, err error) {
	if !(q >= 0 && q <= 1) {
		return nil, 0, fmt.Errorf("entropy mask: quantile: got %v, want a value in [0, 1]", q)
	}
	if len(mask) != len(entropy) {
		return nil, 0, fmt.Errorf("entropy mask: %d rows of entropy, %d of mask", len(entropy), len(mask))
	}
	var counted []float64
	for i, row := range entropy {
		if len(mask[i]) != len(row) {
			return nil, 0, fmt.Errorf("entropy mask: row %d has %d entropies and %d mask values", i, len(row), len(mask[i]))
		}
		for t, h := range row {
			if mask[i][t] {
				counted = append(counted, h)
			}
		}
	}
	if len(counted) > 0 {
		slices.Sort(counted)
		at := q * float64(len(counted)-1)
		lo := int(at)
		hi := min(lo+1, len(counted)-1)
		threshold = counted[lo] + float64((counted[hi]-counted[lo])*(at-float64(lo)))
	}
	for i, row := range entropy {
		k := make([]float64, len(row))
		for t, h := range row {
			if mask[i][t] && h >= threshold {
				k[t] = 1
			}
		}
		keep = append(keep, k)
	}
	return keep, threshold, nil
}

// KeepOnPolicy is the off-policy mask of a row: a row that is to be discouraged is dropped once the policy has moved
// far from the one that sampled it. drift is the mean over counted tokens of sampler logp - policy logp.
func KeepOnPolicy(advantage, drift, threshold float64) bool {
	return advantage >= 0 || drift <= threshold
}

// CorrectionMode says how sampler and trainer log-probabilities that disagree are reconciled.
type CorrectionMode string

const (
	TokenTruncate    CorrectionMode = "token_truncate"
	TokenMask        CorrectionMode = "token_mask"
	SequenceTruncate CorrectionMode = "sequence_truncate"
	SequenceMask     CorrectionMode = "sequence_mask"
)

// Correct returns the importance ratios of trainer against sampler, from d = (trainer - sampler) at counted tokens and 0
// elsewhere: exp(d) per token [N][T_n], or exp(sum d), a sum and not a mean, per row [N][1]. Truncate clamps to [lo, hi],
// Mask sets values outside to 0; nil bounds are absent.
func Correct(mode CorrectionMode, trainer, sampler [][]float64, mask [][]bool, lo, hi *float64) ([][]float64, error) {
	if len(sampler) != len(trainer) || len(mask) != len(trainer) {
		return nil, fmt.Errorf("importance correction: %d trainer rows, %d sampler rows, %d masks", len(trainer), len(sampler), len(mask))
	}
	sequence := mode == SequenceTruncate || mode == SequenceMask
	if !sequence && mode != TokenTruncate && mode != TokenMask {
		return nil, fmt.Errorf("importance correction: got mode %q, want token_truncate, token_mask, sequence_truncate or sequence_mask", mode)
	}
	bounded := func(ratio float64) float64 {
		outside := lo != nil && ratio < *lo || hi != nil && ratio > *hi
		switch {
		case !outside:
			return ratio
		case mode == TokenMask || mode == SequenceMask:
			return 0
		case lo != nil && ratio < *lo:
			return *lo
		}
		return *hi
	}
	var out [][]float64
	for i := range trainer {
		if len(sampler[i]) != len(trainer[i]) || len(mask[i]) != len(trainer[i]) {
			return nil, fmt.Errorf("importance correction: row %d: %d trainer tokens, %d sampler tokens, %d mask values", i, len(trainer[i]), len(sampler[i]), len(mask[i]))
		}
		d := make([]float64, len(trainer[i]))
		sum := 0.0
		for t := range d {
			if mask[i][t] {
				d[t] = trainer[i][t] - sampler[i][t]
				sum += d[t]
			}
		}
		if sequence {
			out = append(out, []float64{bounded(math.Exp(sum))})
			continue
		}
		for t := range d {
			d[t] = bounded(math.Exp(d[t]))
		}
		out = append(out, d)
	}
	return out, nil
}
