package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"mixr/runtime/grpo"
	"mixr/runtime/models"
	"mixr/runtime/spec"
)

// testCase is case.json, written by bench/parity.py: what to compute with the checkpoint beside it.
type testCase struct {
	Greedy  int      `json:"greedy"` // tokens to decode behind each prompt; 0 = none
	Step    bool     `json:"step"`   // whether weights are updated after the gradients
	Prompts []prompt `json:"prompts"`

	// The GRPO update.
	Groups       []group        `json:"groups"`
	Loss         string         `json:"loss"`
	Level        string         `json:"level"`
	KL           float64        `json:"kl"`
	KLTimesRatio bool           `json:"kl_times_ratio"`
	EntropyBonus float64        `json:"entropy_bonus"`
	ClipLow      float64        `json:"clip_low"`
	ClipHigh     float64        `json:"clip_high"`
	ClipDual     float64        `json:"clip_dual"`
	Temperature  float64        `json:"temperature"`
	MaxTokens    int            `json:"max_tokens"`
	Optimizer    spec.Optimizer `json:"optimizer"`
}

// prompt is token ids with the pictures that stand in them.
type prompt struct {
	IDs      []int     `json:"ids"`
	Pictures []picture `json:"pictures"`

	placed   *models.Prompt
	pictures []*models.Picture
}

// picture is one picture of a prompt.
type picture struct {
	Kind    string  `json:"kind"` // image | video
	Grid    [3]int  `json:"grid"`
	Tokens  int     `json:"tokens"`
	Seconds float64 `json:"seconds"` // of a grid step of a video
	Seed    uint32  `json:"seed"`    // of noise
	Size    int     `json:"size"`    // numbers in its pixels
}

// noise is n numbers in [-2, 2), multiples of 1/64: the last round of MurmurHash3 of seed and place, as in families.py.
func noise(seed uint32, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		x := uint32(i+1)*0x9E3779B1 + seed
		x = (x ^ x>>16) * 0x85EBCA6B
		x = (x ^ x>>13) * 0xC2B2AE35
		x ^= x >> 16
		out[i] = float32(x>>24)/64 - 2
	}
	return out
}

// group is the completions of one prompt, with what the loss reads of each of their tokens.
type group struct {
	Prompt      int         `json:"prompt"`
	Completions [][]int     `json:"completions"`
	Advantages  []float32   `json:"advantages"`
	Old         [][]float32 `json:"old"`
	Ref         [][]float32 `json:"ref"`
}

// framesInStep is the number of frames in a grid step of a Qwen2.5-VL video, its temporal_patch_size.
const framesInStep = 2

// readCase reads dir/case.json and places every prompt as the model does.
func readCase(dir string, m models.Model) (*testCase, error) {
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err != nil {
		return nil, err
	}
	c := &testCase{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("case.json: %w", err)
	}
	for i := range c.Prompts {
		p := &c.Prompts[i]
		for _, x := range p.Pictures {
			out := &models.Picture{Pixels: noise(x.Seed, x.Size), Tokens: x.Tokens, Grid: x.Grid, Video: x.Kind == "video"}
			if out.Video {
				out.FPS = framesInStep / x.Seconds
			}
			p.pictures = append(p.pictures, out)
		}
		if p.placed, err = m.Place(p.IDs, p.pictures); err != nil {
			return nil, fmt.Errorf("prompt %d: %w", i, err)
		}
	}
	return c, nil
}

// experiment is the update as mixr's own description of one. Two iterations make the ratio read the old log-probabilities.
func (c *testCase) experiment() *spec.Experiment {
	o := &spec.GRPO{
		Steps: 1, BatchSize: 8, GroupSize: 4, Temperature: c.Temperature, MaxCompletionTokens: c.MaxTokens, Loss: c.Loss, Level: c.Level,
		ClipLow: c.ClipLow, ClipHigh: c.ClipHigh, ClipDual: c.ClipDual, TauPositive: 1, TauNegative: 1.05,
		KL: c.KL, KLTimesRatio: c.KLTimesRatio, EntropyBonus: c.EntropyBonus,
		Iterations: 2, Minibatches: 1, EntropyShare: 1, Correction: "none", Optimizer: c.Optimizer,
	}
	if c.Loss == "cispo" {
		o.RatioCap = &c.ClipHigh // one number for both, as in TRL
	}
	return &spec.Experiment{Stage: "grpo", GRPO: o}
}

// masks say which tokens of each group count, by completion: all.
func (c *testCase) masks() (groups [][][]bool) {
	for _, g := range c.Groups {
		var rows [][]bool
		for _, y := range g.Completions {
			rows = append(rows, slices.Repeat([]bool{true}, len(y)))
		}
		groups = append(groups, rows)
	}
	return groups
}

// weights are the loss's weights of every completion token.
func (c *testCase) weights(v grpo.Variant) (grpo.Weights, error) {
	return v.Weights(grpo.Update{Masks: slices.Concat(c.masks()...), MaxTokens: c.MaxTokens, MicroRows: len(c.Groups[0].Completions)}, grpo.Factors{})
}
