package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// evalStage is the stage that evaluates and does not train.
const evalStage = "eval"

// Stages splits an experiment whose stage is a chain, "sft+grpo", into one experiment a stage, in their order: each has its own block
// alone, and every one but the last is called NAME_STAGE. Those after the first start from the result of the one before; where that
// lies is no part of an experiment. An experiment of one stage is itself; of eval, without what concerns training.
func (r *Resolved) Stages() []*Resolved {
	stages := strings.Split(r.Experiment.Stage, "+")
	switch {
	case r.Experiment.Stage == evalStage:
		return []*Resolved{r.Evaluation(r.Experiment.Name)}
	case len(stages) == 1:
		return []*Resolved{r}
	}
	var out []*Resolved
	for i, stage := range stages {
		e := *r.Experiment
		e.Stage = stage
		if i < len(stages)-1 {
			e.Name += "_" + stage
			e.StopWhen = nil // they are no part of a fingerprint, but what comes next would depend on them
		}
		if i > 0 {
			e.Policy.Init = "weights"
		}
		out = append(out, r.only(&e))
	}
	return out
}

// Evaluation is the experiment as one evaluation of its policy, under that name: stage eval, the blocks grpo, sft and policy.lora taken
// out, and what else concerns training alone at its default. So its fingerprint does not depend on them.
func (r *Resolved) Evaluation(name string) *Resolved {
	e := *r.Experiment
	e.Name, e.Stage = name, evalStage
	e.Policy.LoRA, e.Policy.Recompute, e.Policy.Freeze = nil, false, nil
	e.Eval.Every, e.Eval.KeepBest, e.StopWhen = 0, "none", nil
	for _, l := range r.Leaves {
		if l.Path == "policy.freeze" {
			if err := json.Unmarshal([]byte(l.Default), &e.Policy.Freeze); err != nil {
				panic(fmt.Errorf("spec: the schema's default of %s: %w", l.Path, err)) // a test loads it
			}
		}
	}
	return r.only(&e)
}

// only is r with the values of e, which differs from it in name, stage and policy: blocks of other stages are left out.
func (r *Resolved) only(e *Experiment) *Resolved {
	if e.Stage != "grpo" {
		e.GRPO = nil
	}
	if e.Stage != "sft" {
		e.SFT = nil
	}
	now := values(e)
	was := values(r.Experiment)
	maps.DeleteFunc(was, func(path, value string) bool { return now[path] == value })
	var leaves []Leaf
	for _, l := range r.Leaves {
		value, kept := now[l.Path]
		switch _, changed := was[l.Path]; {
		case !kept && changed:
			continue
		case changed:
			l.Value = value
		}
		leaves = append(leaves, l)
	}
	return &Resolved{e, slices.Clip(leaves)}
}
