package grpo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// tokenwise is the loss as a graph computes it: a sum over tokens of one weight times one formula, in which the ratio's
// gradient falls on the token itself.
func tokenwise(v Variant, b Batch, w Weights) (loss float64, grad [][]float64) {
	logRatio := make([][]float64, len(b.LogP))
	for i := range b.LogP {
		logRatio[i] = b.row(i).logRatio(v.Level)
	}
	for i, row := range b.LogP {
		g := make([]float64, len(row))
		for t, l := range row {
			if !b.Mask[i][t] {
				continue
			}
			x := v.term(logRatio[i][t], l, b.Advantage[i])
			loss += w.Policy[i][t] * x.value
			g[t] = w.Policy[i][t] * (x.byRatio + x.byLogP)
			if b.Ref != nil {
				kl, weight, rho := w.KL, 0.0, 1.0
				if kl == nil {
					kl = w.Policy
				}
				weight = v.KL * kl[i][t]
				value, slope := v.kl(l - b.Ref[i][t])
				if v.KLTimesRatio {
					rho = math.Exp(logRatio[i][t])
					slope += value
				}
				loss, g[t] = loss+weight*value*rho, g[t]+weight*slope*rho
			}
			if b.Entropy != nil {
				loss -= w.Entropy[i][t] * b.Entropy[i][t]
			}
		}
		grad = append(grad, g)
	}
	return loss, grad
}

// shuffled puts the groups of a batch, of size rows each, in another order.
func shuffled(rng *rand.Rand, b Batch, size int) Batch {
	var order []int
	for _, g := range rng.Perm(len(b.LogP) / size) {
		for r := range size {
			order = append(order, g*size+r)
		}
	}
	return pick(b, order)
}

// pick returns rows of a batch.
func pick(b Batch, rows []int) Batch {
	out := Batch{Tokens: b.Tokens}
	for _, x := range []struct{ dst, src *[][]float64 }{
		{&out.LogP, &b.LogP}, {&out.Old, &b.Old}, {&out.Ref, &b.Ref}, {&out.Entropy, &b.Entropy},
		{&out.HighEntropy, &b.HighEntropy}, {&out.Correction, &b.Correction},
	} {
		for _, i := range rows {
			if *x.src != nil {
				*x.dst = append(*x.dst, (*x.src)[i])
			}
		}
	}
	for _, i := range rows {
		out.Mask, out.Advantage = append(out.Mask, b.Mask[i]), append(out.Advantage, b.Advantage[i])
		if b.Keep != nil {
			out.Keep = append(out.Keep, b.Keep[i])
		}
	}
	return out
}

// TestWeights: the weights of an update make a sum over single tokens of what the reference computes from whole rows, value
// and gradient, whatever the order of the groups; so no cut into units, micro-batches or processes can change a loss. The
// loss that is defined by its micro-batches, bnpo, is cut between groups.
func TestWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	const size, groups = 2, 4
	for _, v := range variants(t) {
		t.Run(v.Name, func(t *testing.T) {
			b := randomBatch(rng, size*groups, v)
			whole := math.NaN()
			for range 4 {
				u := Update{Masks: b.Mask, MaxTokens: 8, MicroRows: size}
				plain, err := TokenWeights(v.Aggregation, u)
				noError(t, err)
				want, err := Loss(v, b, plain)
				noError(t, err)
				w, err := v.Weights(u, b.Factors)
				noError(t, err)
				loss, grad := tokenwise(v, b, w)
				near(t, "loss", loss, want.Loss, 1e-12)
				nearRows(t, "grad", grad, want.Grad, 1e-12)
				if (w.KL != nil) != (v.Reweighted && v.PenalisesKL()) || (w.Entropy != nil) != (v.EntropyBonus > 0) {
					t.Errorf("weights of the KL %t, of the entropy %t", w.KL != nil, w.Entropy != nil)
				}
				if !math.IsNaN(whole) {
					near(t, "in another order", loss, whole, 1e-12)
				}
				whole, b = loss, shuffled(rng, b, size)
			}
		})
	}
}

// TestMicroBatches cuts an update into micro-batches of the reference: bnpo alone notices.
func TestMicroBatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for _, v := range variants(t) {
		b := randomBatch(rng, 6, v)
		for i := range b.LogP { // no row of bnpo may be masked as a whole, or its mean of means is nothing to compare with
			b.Mask[i][0] = true
		}
		for _, row := range entropyWeights(1, b.Mask, b.HighEntropy, 1) {
			for _, one := range row {
				b.Tokens += int(one)
			}
		}
		u := Update{Masks: b.Mask, MaxTokens: 8}
		whole := splitLoss(t, v, b, u, 6)
		moved := 0.0
		for _, rows := range []int{1, 2, 3} {
			moved = max(moved, math.Abs(splitLoss(t, v, b, u, rows)-whole))
		}
		if bnpo := v.Aggregation == MicroTokenMean; !bnpo && moved > 1e-12 || bnpo && !v.Reweighted && moved < 1e-12 {
			t.Errorf("%s: splits move the loss by %v", v.Name, moved)
		}
	}
}

func TestRowMeans(t *testing.T) {
	masks := [][]bool{{true, false, true}, {false}, {true}}
	mean, row := RowMeans(masks)
	if got, want := fmt.Sprint(mean, row), "[0.5 0 0.5 0 0 0 0 0 0 0 0 0 0 0 1] [0 0 0 1 2]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	ratios := RowLogRatio([][]float64{{1, 9, 3}, {5}, {2}}, [][]float64{{0, 0, 0}, {0}, {0}}, masks)
	if got, want := fmt.Sprint(ratios), "[[2 2 2] [0] [2]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWeightErrors(t *testing.T) {
	v, err := VariantOf("grpo")
	noError(t, err)
	v.Reweighted = true
	masks := [][]bool{{true, true}, {true}}
	for _, c := range []struct {
		want string
		f    Factors
	}{
		{"1 of keep", Factors{Keep: []bool{true}}},
		{"1 of correction", Factors{Correction: [][]float64{{1}}}},
		{"2 of correction", Factors{Correction: [][]float64{{1}, {1, 1}}}},
		{"1 of high entropy", Factors{HighEntropy: [][]float64{{1}, {1}}}},
	} {
		if _, err := v.Weights(Update{Masks: masks}, c.f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
	if _, err := v.Weights(Update{Masks: masks}, Factors{Correction: slices.Repeat([][]float64{{1}}, 2)}); err != nil {
		t.Errorf("one correction a row: %v", err)
	}
	v.Reweighted = false
	if _, err := v.Weights(Update{Masks: masks}, Factors{Keep: []bool{true, true}}); err == nil || !strings.Contains(err.Error(), "not reweighted") {
		t.Errorf("got %v, want an error", err)
	}
}
