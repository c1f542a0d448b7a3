#!/usr/bin/env python3
"""Write runtime/grpo/testdata/optimizer/torch.json: what PyTorch and transformers make of AdamW, clipping and schedules.

    pip install torch==2.15.0 transformers==5.24.0
    python bench/optimizer_fixture.py

Weights and gradients follow from their indices, so that the file need not hold them: see `weight` and `gradient`.
"""

import json
import math
import pathlib

import torch
import transformers

PARAMS = [("a.weight", [3, 5], "decoder"), ("a.bias", [7], "decoder"), ("conv.weight", [2, 3, 4], "vision")]
RATE, FACTOR = 0.05, {"decoder": 1.0, "vision": 0.2}
DECAY, BETAS, EPS, CLIP = 0.1, (0.9, 0.99), 1e-8, 1.0
STEPS, SKIPPED = 12, 5  # the gradient of one update overflows


def weight(p, i):
    return math.sin(1 + 17 * p + i)


def gradient(p, i, step):
    return 10 ** (step % 3 - 2) * math.cos(3 + 11 * p + 5 * i + 7 * step)


def adamw():
    tensors = [torch.tensor([weight(p, i) for i in range(math.prod(s))]).reshape(s).requires_grad_() for p, (_, s, _) in enumerate(PARAMS)]
    optimizer = torch.optim.AdamW(
        [{"params": [t], "lr": RATE * FACTOR[m], "weight_decay": DECAY if len(s) > 1 else 0} for t, (_, s, m) in zip(tensors, PARAMS)],
        betas=BETAS, eps=EPS,
    )
    norms = []
    for step in range(STEPS):
        for p, t in enumerate(tensors):
            t.grad = torch.tensor([gradient(p, i, step) for i in range(t.numel())]).reshape(t.shape)
        if step == SKIPPED:
            tensors[1].grad[3] = math.inf
        norm = torch.nn.utils.clip_grad_norm_(tensors, CLIP)
        if torch.isfinite(norm):
            norms.append(float(norm))
            optimizer.step()
    return {
        "norms": norms,
        "tensors": {
            prefix + name: t.flatten().tolist()
            for w, (name, _, _) in zip(tensors, PARAMS)
            for prefix, t in [("", w.detach()), ("m.", optimizer.state[w]["exp_avg"]), ("v.", optimizer.state[w]["exp_avg_sq"])]
        },
    }


def schedules():
    names = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}
    for kind, name in names.items():
        for steps, share in [(1, 0), (4, 0), (10, 0.2), (30, 0.05), (100, 0.03), (16, 0.05), (7, 0.8)]:
            warmup = math.ceil(steps * share)  # transformers.TrainingArguments.get_warmup_steps
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
            schedule = transformers.get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
            factors = []
            for _ in range(steps + 1):
                factors.append(schedule.get_last_lr()[0])
                optimizer.step()
                schedule.step()
            yield {"kind": kind, "steps": steps, "warmup_frac": share, "warmup": warmup, "factors": factors}


path = pathlib.Path(__file__).parent.parent / "runtime/grpo/testdata/optimizer/torch.json"
path.write_text(json.dumps({"adamw": adamw(), "schedules": list(schedules())}) + "\n")
