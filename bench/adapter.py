#!/usr/bin/env python3
"""Compares the adapters that a LoRA run leaves, loaded by PEFT over the policy it started from, with its merged policy.

    pip install torch transformers peft
    mixr run experiments/quickstart.cue --set policy.lora.rank=8 --set policy.lora.alpha=16 --set grpo.steps=5 --set eval.examples=0
    python bench/adapter.py experiments/policies/nano results/quickstart-XXXXXXXX

Both are run by transformers in float32 on random text; the process ends with 1 if their logits differ by more than rounding.
"""
import os
import sys

import torch

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
from peft import PeftModel  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText  # noqa: E402

LIMIT = 1e-5  # of the logits' root mean square: two products in place of one, in float32


def load(folder):
    kind = AutoModelForImageTextToText if hasattr(AutoConfig.from_pretrained(folder), "vision_config") else AutoModelForCausalLM
    model, info = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    wrong = {k: v for k, v in info.items() if v}
    if wrong:
        sys.exit(f"{folder}: {wrong}")
    return model.eval()


def main(base, run):
    torch.manual_seed(1)
    merged = load(f"{run}/policy")
    ids = torch.randint(10, 1000, (2, 40))
    with torch.no_grad():
        untrained = load(base)(input_ids=ids).logits
        adapted = PeftModel.from_pretrained(load(base), f"{run}/adapter").eval()(input_ids=ids).logits
        want = merged(input_ids=ids).logits
    scale = want.square().mean().sqrt()
    learnt, off = (want - untrained).abs().max() / scale, (want - adapted).abs().max() / scale
    print(f"adapters against merged weights: {off:.1e} of the logits' root mean square; training changed them by up to {learnt:.1e}")
    if not (off <= LIMIT and learnt > 100 * LIMIT):
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
