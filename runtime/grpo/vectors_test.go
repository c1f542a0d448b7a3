package grpo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The vector files hold values of the formulas, computed by an independent generator. Decoding is strict: a kind of
// case or a field that this test does not know is a failure, never a pass.

type vectorFile struct {
	Description   string
	Version       int
	Tolerance     struct{ Value, Gradient float64 }
	Advantages    []advantageCase
	LossInputs    lossInputs `json:"loss_inputs"`
	Losses        []lossCase
	GradAccum     []accumCase `json:"grad_accum"`
	KL            []klCase
	EntropyMask   []entropyCase    `json:"entropy_mask"`
	ISCorrection  []correctionCase `json:"is_correction"`
	OffPolicyMask []offPolicyCase  `json:"off_policy_mask"`
	Sampler       json.RawMessage  // the order of prompts is package data's
	Overlong      json.RawMessage  // and the penalty on length package reward's, which tests it
}

type caseName struct {
	Name    string
	Comment string
}

type advantageCase struct {
	caseName
	Rewards     [][]*float64
	Weights     []float64
	GroupSize   int `json:"group_size"`
	Aggregation string
	Scale       string
	Std         string
	Epsilon     float64
	Total       []*float64
	Advantages  []float64
	FracZeroStd *float64 `json:"frac_zero_std"`
}

type lossInputs struct {
	LogP        [][]float64 `json:"logp"`
	Old         [][]float64 `json:"old_logp"`
	Ref         [][]float64 `json:"ref_logp"`
	Mask        [][]float64
	Advantages  []float64
	EntropyKeep [][]float64 `json:"entropy_keep"`
}

type lossParams struct {
	LossType     string `json:"loss_type"`
	Level        string
	EpsLow       float64 `json:"eps_low"`
	EpsHigh      float64 `json:"eps_high"`
	Delta        *float64
	Cap          float64
	TauPos       float64 `json:"tau_pos"`
	TauNeg       float64 `json:"tau_neg"`
	KPos         float64 `json:"k_pos"` // this and the next three of vespo, which is skipped
	LambdaPos    float64 `json:"lambda_pos"`
	KNeg         float64 `json:"k_neg"`
	LambdaNeg    float64 `json:"lambda_neg"`
	Beta         float64
	KLTimesRatio bool `json:"kl_times_ratio"`
	MaxTokens    int  `json:"max_completion_length"`
	Tokens       int  `json:"n_tokens"`
	Processes    int
}

type lossCase struct {
	caseName
	lossParams
	LogP        [][]float64     `json:"logp"`
	Old         json.RawMessage `json:"old_logp"` // a matrix or "same as logp"
	Ref         [][]float64     `json:"ref_logp"`
	Mask        [][]float64
	Advantages  []float64
	EntropyKeep [][]float64 `json:"entropy_keep"`
	Loss        *float64
	PerToken    [][]float64 `json:"per_token_loss"`
	Grad        [][]float64 `json:"dloss_dlogp"`
}

type accumCase struct {
	caseName
	lossParams
	One       float64 `json:"one_microbatch"`
	Two       float64 `json:"two_microbatches_sum"`
	Invariant bool
}

type klCase struct {
	caseName
	LogP, Ref, K1, K2, K3 float64
	Slope                 float64 `json:"dk3_dlogp"`
}

type entropyCase struct {
	caseName
	Entropy, Mask, Keep [][]float64
	Quantile, Threshold float64
}

type correctionCase struct {
	caseName
	Trainer  [][]float64 `json:"trainer_logp"`
	Sampler  [][]float64 `json:"sampler_logp"`
	Mask     [][]float64
	Mode     string
	Min, Max *float64
	Ratio    [][]float64
}

type offPolicyCase struct {
	caseName
	Advantage float64
	Drift     float64 `json:"mean_old_minus_new_logp"`
	Threshold float64
	Keep      int
}

func TestVectors(t *testing.T) {
	t.Run("testdata", func(t *testing.T) { runVectorFile(t, filepath.Join("testdata", "vectors.json")) })
	t.Run("shared", func(t *testing.T) {
		dir := filepath.Join("..", "..", "..", "shared", "vectors")
		if _, err := os.Stat(dir); err != nil {
			t.Skip("no shared vectors beside the repository; the committed copy in testdata was tested")
		}
		runVectorDir(t, dir)
	})
	t.Run("env", func(t *testing.T) {
		dir := os.Getenv("MIXR_VECTORS")
		if dir == "" {
			t.Skip("MIXR_VECTORS names no folder of further vector files")
		}
		runVectorDir(t, dir)
	})
}

func runVectorDir(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no *.json files in %s (%v)", dir, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runVectorFile(t, file) })
	}
}

func runVectorFile(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := runVectors(t, data); n == 0 {
		t.Fatalf("%s holds no case", file)
	}
}

func decodeVectors(data []byte) (vectorFile, error) {
	var f vectorFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&f)
	return f, err
}

// TestVectorsAreStrict guards against cases that would pass because nobody reads them.
func TestVectorsAreStrict(t *testing.T) {
	for _, text := range []string{`{"new_kind": []}`, `{"losses": [{"loss_type": "grpo", "surprise": 1}]}`} {
		if _, err := decodeVectors([]byte(text)); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

// runVectors runs all cases of a file and returns their number.
func runVectors(t *testing.T, data []byte) (cases int) {
	f, err := decodeVectors(data)
	if err != nil {
		t.Fatalf("vector file: %v; teach vectors_test.go the new case before trusting it", err)
	}
	tol := f.Tolerance
	if tol.Value == 0 || tol.Value > 1e-6 {
		tol.Value = 1e-6
	}
	if tol.Gradient == 0 || tol.Gradient > 1e-5 {
		tol.Gradient = 1e-5
	}
	run := func(kind string, i int, c caseName, test func(t *testing.T)) {
		cases++
		t.Run(fmt.Sprintf("%s/%d_%s", kind, i, c.Name), test)
	}
	for i, c := range f.Advantages {
		run("advantages", i, c.caseName, func(t *testing.T) { c.test(t, tol.Value) })
	}
	for i, c := range f.Losses {
		run("losses", i, c.caseName, func(t *testing.T) { c.test(t, f.LossInputs, tol.Value, tol.Gradient) })
	}
	for i, c := range f.GradAccum {
		run("grad_accum", i, c.caseName, func(t *testing.T) { c.test(t, f.LossInputs, tol.Value) })
	}
	for i, c := range f.KL {
		run("kl", i, c.caseName, func(t *testing.T) { c.test(t, tol.Value) })
	}
	for i, c := range f.EntropyMask {
		run("entropy_mask", i, c.caseName, func(t *testing.T) {
			keep, threshold, err := EntropyMask(c.Entropy, bools(c.Mask), c.Quantile)
			noError(t, err)
			near(t, "threshold", threshold, c.Threshold, tol.Value)
			nearRows(t, "keep", keep, c.Keep, 0)
		})
	}
	for i, c := range f.ISCorrection {
		run("is_correction", i, c.caseName, func(t *testing.T) {
			got, err := Correct(CorrectionMode(c.Mode), c.Trainer, c.Sampler, bools(c.Mask), c.Min, c.Max)
			noError(t, err)
			nearRows(t, "ratio", got, c.Ratio, tol.Value)
		})
	}
	for i, c := range f.OffPolicyMask {
		run("off_policy_mask", i, c.caseName, func(t *testing.T) {
			if got := KeepOnPolicy(c.Advantage, c.Drift, c.Threshold); got != (c.Keep == 1) {
				t.Errorf("keep: got %t, want %d", got, c.Keep)
			}
		})
	}
	return cases
}

func (c advantageCase) test(t *testing.T, tol float64) {
	std := StdSample
	if c.Std != "" {
		std = Std(c.Std)
	}
	o := Advantage{GroupSize: c.GroupSize, Combine: Combine(c.Aggregation), Scale: Scale(c.Scale), Std: std, StdEps: c.Epsilon}
	if o.Combine == NormalizeThenSum {
		o.Scale = "" // TRL accepts a scale there and ignores it
	}
	got, err := Advantages(c.Rewards, c.Weights, o)
	noError(t, err)
	nearRows(t, "advantages", [][]float64{got.Advantage}, [][]float64{c.Advantages}, tol)
	for i, want := range c.Total {
		switch total := got.Total[i]; {
		case (want == nil) != (total == nil):
			t.Errorf("total %d: got %v, want %v", i, total, want)
		case want != nil:
			near(t, fmt.Sprint("total ", i), *total, *want, tol)
		}
	}
	if c.FracZeroStd != nil && o.Scale == ScaleGroup {
		flat := 0.0
		for _, g := range got.Groups {
			if g.Valid >= 2 && g.Flat {
				flat++
			}
		}
		near(t, "frac_zero_std", flat/float64(len(got.Groups)), *c.FracZeroStd, tol)
	}
}

// variant reads the parameters of a case over the published ones.
func (p lossParams) variant(t *testing.T) Variant {
	t.Helper()
	v, err := VariantOf(p.LossType)
	noError(t, err)
	if p.Level != "" {
		v.Level = Level(p.Level)
	}
	v.ClipLow, v.ClipHigh, v.RatioCap = p.EpsLow, p.EpsHigh, p.Cap
	v.TauPos, v.TauNeg = p.TauPos, p.TauNeg
	v.KL, v.KLTimesRatio, v.Reweighted = p.Beta, p.KLTimesRatio, true
	if p.Delta != nil {
		v.Delta = *p.Delta
	}
	return v
}

func (in lossInputs) batch(v Variant) Batch {
	b := Batch{LogP: in.LogP, Old: in.Old, Mask: bools(in.Mask), Advantage: in.Advantages, Factors: Factors{HighEntropy: in.EntropyKeep}}
	if v.KL != 0 {
		b.Ref = in.Ref
	}
	return b
}

func (c lossCase) test(t *testing.T, in lossInputs, tol, gradTol float64) {
	if c.LossType == "vespo" {
		t.Skip("no spec offers vespo")
	}
	for _, x := range []struct{ dst, src *[][]float64 }{{&in.LogP, &c.LogP}, {&in.Ref, &c.Ref}, {&in.Mask, &c.Mask}, {&in.EntropyKeep, &c.EntropyKeep}} {
		if *x.src != nil {
			*x.dst = *x.src
		}
	}
	if c.Advantages != nil {
		in.Advantages = c.Advantages
	}
	if c.Old != nil {
		if string(c.Old) == `"same as logp"` {
			in.Old = nil
		} else if err := json.Unmarshal(c.Old, &in.Old); err != nil {
			t.Fatalf("old_logp: %v", err)
		}
	}
	v := c.variant(t)
	b := in.batch(v)
	w, err := TokenWeights(v.Aggregation, Update{Masks: b.Mask, MaxTokens: c.MaxTokens, Tokens: c.Tokens, Processes: c.Processes})
	noError(t, err)
	got, err := Loss(v, b, w)
	noError(t, err)
	if c.Loss == nil && c.PerToken == nil && c.Grad == nil {
		t.Fatal("the case expects nothing")
	}
	if c.Loss != nil {
		near(t, "loss", got.Loss, *c.Loss, tol)
	}
	if c.PerToken != nil {
		nearRows(t, "per_token_loss", got.PerToken, c.PerToken, tol)
	}
	if c.Grad != nil {
		nearRows(t, "dloss_dlogp", got.Grad, c.Grad, gradTol)
	}
}

func (c accumCase) test(t *testing.T, in lossInputs, tol float64) {
	v := c.variant(t)
	b := in.batch(v)
	u := Update{Masks: b.Mask, MaxTokens: c.MaxTokens, Tokens: c.Tokens, Processes: c.Processes}
	one := splitLoss(t, v, b, u, len(b.LogP))
	two := splitLoss(t, v, b, u, 1)
	near(t, "one micro-batch", one, c.One, tol)
	near(t, "two micro-batches", two, c.Two, tol)
	if invariant := math.Abs(one-two) <= tol; invariant != c.Invariant {
		t.Errorf("invariant: got %t, want %t", invariant, c.Invariant)
	}
}

// splitLoss computes the loss of an update in micro-batches of `rows` rows with weights of the whole update.
func splitLoss(t *testing.T, v Variant, b Batch, u Update, rows int) float64 {
	t.Helper()
	u.MicroRows = rows
	w, err := TokenWeights(v.Aggregation, u)
	noError(t, err)
	sum := 0.0
	for lo := 0; lo < len(b.LogP); lo += rows {
		hi := lo + rows
		part := pick(b, span{lo, hi}.indices())
		got, err := Loss(v, part, w[lo:hi])
		noError(t, err)
		sum += got.Loss
	}
	return sum
}

func (c klCase) test(t *testing.T, tol float64) {
	for _, x := range []struct {
		e    KLEstimator
		want float64
	}{{K1, c.K1}, {K2, c.K2}, {K3, c.K3}, {AbsKL, math.Abs(c.K1)}} {
		got, slope := Variant{KLEstimator: x.e}.kl(c.LogP - c.Ref)
		near(t, string(x.e), got, x.want, tol)
		if x.e == K3 {
			near(t, "dk3_dlogp", slope, c.Slope, tol)
		}
	}
}

func bools(m [][]float64) [][]bool {
	out := make([][]bool, len(m))
	for i, row := range m {
		out[i] = make([]bool, len(row))
		for t, v := range row {
			out[i][t] = v != 0
		}
	}
	return out
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s: got %.9g, want %.9g within %g", what, got, want, tol)
	}
}

func nearRows(t *testing.T, what string, got, want [][]float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d rows, want %d", what, len(got), len(want))
	}
	for i := range want {
		if len(got[i]) != len(want[i]) {
			t.Fatalf("%s: row %d: got %d values, want %d", what, i, len(got[i]), len(want[i]))
		}
		for k := range want[i] {
			near(t, fmt.Sprintf("%s[%d][%d]", what, i, k), got[i][k], want[i][k], tol)
		}
	}
}
