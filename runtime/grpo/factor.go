package grpo

import (
	"fmt"
	"slices"
)

// Factors multiply the policy term of tokens, over the weight of the aggregation, whose denominators they do not reduce. They
// leave the KL term alone. nil is 1 everywhere.
type Factors struct {
	HighEntropy [][]float64 // [N][T_n] of EntropyMask; the entropy bonus acts on these tokens alone, as in TRL
	Keep        []bool      // [N] of KeepOnPolicy: false drops the row
	Correction  [][]float64 // [N][T_n] or [N][1] (one value a row) of Correct
}

// Weights are what the tokens [N][T_n] of an update are multiplied by in the graph (Objective); 0 where masked.
type Weights struct {
	Policy  [][]float64
	KL      [][]float64 // nil = Policy's, where the variant is not Reweighted, or there is no KL term
	Entropy [][]float64 // EntropyBonus / tokens that count; nil without a bonus
}

// Weights turns masks, factors and the aggregation rule into one number a token and term, from the whole update: the sum
// over its tokens then is the loss in whatever pieces it is computed. Where the ratio is of a sequence, the policy term's
// weight is the mean over the row's counted tokens: the term is the same at all of them, so its sum stays, and as the
// gradient through the ratio reaches each of them with the share 1/n, it is right token by token too. The capped surrogate
// has no gradient through the ratio, and keeps the weight of each token.
func (v Variant) Weights(u Update, f Factors) (Weights, error) {
	if err := f.check(v, u.Masks); err != nil {
		return Weights{}, err
	}
	w, err := TokenWeights(v.Aggregation, u)
	if err != nil {
		return Weights{}, err
	}
	out := Weights{Policy: w}
	if v.Reweighted {
		if v.PenalisesKL() {
			out.KL = w
		}
		out.Policy = make([][]float64, len(w))
		for i, row := range w {
			out.Policy[i] = slices.Clone(row)
			sum, n := 0.0, float64(counted(u.Masks[i]))
			for t, m := range u.Masks[i] {
				if m {
					out.Policy[i][t] *= f.at(i, t)
					sum += out.Policy[i][t]
				}
			}
			if v.Level == Sequence && v.Surrogate != Cap {
				for t, m := range u.Masks[i] {
					if m {
						out.Policy[i][t] = sum / n
					}
				}
			}
		}
	}
	if v.EntropyBonus != 0 {
		out.Entropy = entropyWeights(v.EntropyBonus, u.Masks, f.HighEntropy, 0)
	}
	return out, nil
}

// entropyWeights is the coefficient divided by the number of the tokens that count and, where a mask of entropies is given, are kept by
// it: at these tokens, 0 at others. tokens overrides their number, 0 = count them.
func entropyWeights(coefficient float64, masks [][]bool, high [][]float64, tokens int) [][]float64 {
	out := make([][]float64, len(masks))
	n := 0
	for i, row := range masks {
		out[i] = make([]float64, len(row))
		for t, m := range row {
			if m && (high == nil || high[i][t] != 0) {
				out[i][t] = 1
				n++
			}
		}
	}
	if tokens != 0 {
		n = tokens
	}
	for _, row := range out {
		for t := range row {
			row[t] *= coefficient / float64(max(1, n))
		}
	}
	return out
}

// RowLogRatio is ln rho of sequences, the mean of logp - old over the counted tokens of each row, at each of its tokens
// [N][T_n]: what the graph is given as Inputs.RowLogRatio where a row comes in pieces. The lengths must agree.
func RowLogRatio(logp, old [][]float64, mask [][]bool) [][]float64 {
	out := make([][]float64, len(logp))
	for i := range logp {
		out[i] = row{logp: logp[i], old: old[i], mask: mask[i]}.logRatio(Sequence)
	}
	return out
}

// RowMeans lays out what MeanByRow reads for the R rows of a unit, whose tokens stand one row after the other, C in all: mean
// [R, C] with 1/n_r at the counted tokens of row r, and row [C], the row of each token.
func RowMeans(masks [][]bool) (mean []float32, row []int64) {
	c := 0
	for _, m := range masks {
		c += len(m)
	}
	mean = make([]float32, len(masks)*c)
	for r, m := range masks {
		share := float32(1 / float64(counted(m)))
		for _, counts := range m {
			if counts {
				mean[r*c+len(row)] = share
			}
			row = append(row, int64(r))
		}
	}
	return mean, row
}

// at is the product of the factors of token t of row i.
func (f Factors) at(i, t int) float64 {
	x := 1.0
	if f.HighEntropy != nil {
		x *= f.HighEntropy[i][t]
	}
	if f.Keep != nil && !f.Keep[i] {
		x = 0
	}
	switch {
	case f.Correction == nil:
	case len(f.Correction[i]) == 1:
		x *= f.Correction[i][0]
	default:
		x *= f.Correction[i][t]
	}
	return x
}

// check compares lengths with those of the masks, and what is given with what the variant expects.
func (f Factors) check(v Variant, masks [][]bool) error {
	if !v.Reweighted && (f.HighEntropy != nil || f.Keep != nil || f.Correction != nil) {
		return fmt.Errorf("loss %s: factors are given, but the variant is not reweighted", v.Name)
	}
	if f.Keep != nil && len(f.Keep) != len(masks) {
		return fmt.Errorf("loss %s: %d rows of mask, but %d of keep", v.Name, len(masks), len(f.Keep))
	}
	for _, x := range []struct {
		name string
		rows [][]float64
	}{{"high entropy", f.HighEntropy}, {"correction", f.Correction}} {
		if x.rows != nil && len(x.rows) != len(masks) {
			return fmt.Errorf("loss %s: %d rows of mask, but %d of %s", v.Name, len(masks), len(x.rows), x.name)
		}
		for i, r := range x.rows {
			if len(r) != len(masks[i]) && !(x.name == "correction" && len(r) == 1) {
				return fmt.Errorf("loss %s: row %d has %d tokens, but %d of %s", v.Name, i, len(masks[i]), len(r), x.name)
			}
		}
	}
	return nil
}
