// Command parity computes with mixr what bench/parity.py computes with PyTorch: for the checkpoint, prompts and completions of a
// case folder, positions, logits, greedy tokens, and the loss, gradients and weights of one GRPO update.
//
//	go run ./bench/parity CASE
//
// It reads CASE/model and CASE/case.json, and writes CASE/outputs.safetensors. The graphs are those that a
// training run compiles; only the graph of all logits, which no run needs, is built here.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"mixr/runtime/compile"
	"mixr/runtime/graph"
	"mixr/runtime/models"
	"mixr/runtime/models/family"
	"mixr/runtime/ort"
	"mixr/runtime/ort/fetch"
	"mixr/runtime/weights"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: parity CASE")
		os.Exit(2)
	}
	if err := compute(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
}

// run is one case with what it needs to be computed, and what came out so far.
type run struct {
	*testCase
	*machine
	model   models.Model
	weights tensors
	out     []weights.Tensor
}

func (r *run) write(name string, data []float32, shape ...int) {
	r.out = append(r.out, weights.Tensor{Name: name, Shape: shape, Data: slices.Clone(data)})
}

func compute(dir string) error {
	lib, err := fetch.Find(context.Background(), fetch.Options{
		Lib: os.Getenv("MIXR_ORT_LIB"), CacheDir: os.Getenv("MIXR_CACHE_DIR"), Log: func(line string) { fmt.Fprintln(os.Stderr, line) },
	})
	if err != nil {
		return err
	}
	engine, err := ort.Open(lib)
	if err != nil {
		return err
	}
	r := &run{machine: &machine{engine, map[*graph.Graph]*ort.Session{}}}
	if r.model, err = family.LoadModel(filepath.Join(dir, "model")); err != nil {
		return err
	}
	if r.testCase, err = readCase(dir, r.model); err != nil {
		return err
	}
	if r.weights, err = load(engine, r.model, filepath.Join(dir, "model")); err != nil {
		return err
	}
	for i, p := range r.Prompts {
		var pos, rows []float32
		for t := range p.IDs {
			rows = append(rows, float32(p.placed.Feature[t]))
		}
		for _, axis := range p.placed.Pos {
			for _, x := range axis {
				pos = append(pos, float32(x))
			}
		}
		r.write(fmt.Sprintf("positions.%d", i), pos, 3, len(p.IDs))
		r.write(fmt.Sprintf("rows.%d", i), rows, len(rows))
	}
	if err := r.logits(); err != nil {
		return err
	}
	program, err := compile.Compile(r.experiment(), r.model)
	if err != nil {
		return err
	}
	if r.Greedy > 0 {
		if err := r.greedy(program); err != nil {
			return err
		}
	}
	if err := r.update(program); err != nil { // last: it changes the weights
		return err
	}
	return weights.Write(filepath.Join(dir, "outputs.safetensors"), r.out, "F32", nil)
}
