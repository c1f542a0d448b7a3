package grpo

import (
	"fmt"
	"testing"

	"mixr/runtime/fixture"
)

// trlCase is a run of TRL's own loss (bench/loss_fixture.py), with the settings that are not its defaults.
type trlCase struct {
	LossType    string `json:"loss_type"`
	Level       string
	Beta        float64
	TimesRatio  bool `json:"times_ratio"`
	Entropy     float64
	Share       *float64
	Drift       *float64
	Correction  bool
	Delta       float64
	OnPolicy    bool `json:"on_policy"`
	Loss        float64
	Grad        [][]float64
	EntropyGrad [][]float64 `json:"entropy_grad"`
}

// TestTRL holds reference and graph to values and gradients of TRL 1.16 for all losses that both have, at both levels.
func TestTRL(t *testing.T) {
	var file struct {
		Inputs struct {
			LogP, Old, Ref, Mask, Entropy, Correction [][]float64
			Advantage                                 []float64
		}
		Cases []trlCase
	}
	fixture.Load(t, "trl_loss.json", &file)
	in := file.Inputs
	const tol = 1e-7 // the file has nine digits, and sapo's temperatures there are float32
	for i, c := range file.Cases {
		t.Run(fmt.Sprintf("%d %s %s", i, c.LossType, c.Level), func(t *testing.T) {
			v, err := VariantOf(c.LossType)
			noError(t, err)
			v.Level, v.ClipHigh, v.RatioCap, v.Delta = Level(c.Level), 0.28, 5, c.Delta
			v.KL, v.KLTimesRatio, v.EntropyBonus, v.Reweighted = c.Beta, c.TimesRatio, c.Entropy, true
			b := Batch{LogP: in.LogP, Old: in.Old, Mask: bools(in.Mask), Advantage: in.Advantage}
			from := rows
			if c.OnPolicy {
				b.Old, from = nil, itself
			}
			if c.Beta != 0 {
				b.Ref = in.Ref
			}
			if c.Entropy != 0 {
				b.Entropy = in.Entropy
			}
			if c.Share != nil {
				b.HighEntropy, _, err = EntropyMask(in.Entropy, b.Mask, 1-*c.Share)
				noError(t, err)
			}
			if c.Drift != nil {
				for i, ratio := range RowLogRatio(in.Old, in.LogP, b.Mask) {
					b.Keep = append(b.Keep, KeepOnPolicy(b.Advantage[i], ratio[0], *c.Drift))
				}
			}
			if c.Correction {
				b.Correction = in.Correction
			}
			u := Update{Masks: b.Mask, MaxTokens: 8}
			plain, err := TokenWeights(v.Aggregation, u)
			noError(t, err)
			host, err := Loss(v, b, plain)
			noError(t, err)
			near(t, "loss", host.Loss, c.Loss, tol)
			nearRows(t, "grad", host.Grad, c.Grad, tol)
			if c.EntropyGrad != nil {
				nearRows(t, "entropy grad", host.EntropyGrad, c.EntropyGrad, tol)
			}

			w, err := v.Weights(u, b.Factors)
			noError(t, err)
			got := objective(t, v, from).Run(feeds(b, w))
			near(t, "graph loss", float64(got["loss"].Floats()[0]), c.Loss, graphValueTol)
			for k, want := range flat(c.Grad) {
				near(t, fmt.Sprint("graph grad ", k), float64(got["grad"].Floats()[k]), float64(want), graphValueTol)
			}
		})
	}
}
