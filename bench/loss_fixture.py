#!/usr/bin/env python3
"""Write runtime/grpo/testdata/trl_loss.json: losses and gradients of TRL's own GRPOTrainer._compute_loss.

    pip install trl==1.16.0 torch==2.15.0 transformers==5.24.0
    python bench/loss_fixture.py runtime/grpo/testdata/trl_loss.json

The method runs as it stands, in float64, on a stand-in for the trainer that has the settings it reads and hands it leaf tensors for the
log-probabilities and entropies of a seeded batch; their gradients are those of the loss. One micro-batch is the whole update.
"""

import collections
import json
import sys
import types

import torch
from trl import GRPOTrainer

torch.manual_seed(20261125)
ROWS, TOKENS = 5, 6
LENGTHS = [6, 3, 5, 4, 1]


def noise(*shape):
    return torch.rand(*shape, dtype=torch.float64)


batch = {
    "logp": -3 * noise(ROWS, TOKENS),
    "ref": -3 * noise(ROWS, TOKENS),
    "mask": torch.tensor([[float(t < n) for t in range(TOKENS)] for n in LENGTHS], dtype=torch.float64),
    "advantage": torch.tensor([1.2, -0.7, 0.4, -1.1, 0.3], dtype=torch.float64),
    "entropy": 2 * noise(ROWS, TOKENS),
    "ratio": 0.4 + 1.2 * noise(ROWS, TOKENS),  # of trainer and sampler
}
batch["mask"][0, 2] = 0  # a hole, as a tool's tokens leave it
batch["mask"][4, 0] = 0  # a row that is masked as a whole
batch["old"] = batch["logp"] - (noise(ROWS, TOKENS) - 0.5)


class One:
    """The accelerator of one process."""

    num_processes, sync_gradients = 1, True

    def gather(self, x):
        return x

    gather_for_metrics = gather

    def reduce(self, x, reduction="sum"):
        return x

    def pad_across_processes(self, x, dim=0, pad_index=0):
        return x


def compute(loss, level, beta=0.0, times_ratio=False, entropy=0.0, share=1.0, drift=None, correction=False, delta=None, on_policy=False):
    logp, h = batch["logp"].clone().requires_grad_(), batch["entropy"].clone().requires_grad_()
    self = types.SimpleNamespace(
        loss_type=loss, importance_sampling_level=level, beta=beta, epsilon_low=0.2, epsilon_high=5.0 if loss == "cispo" else 0.28,
        top_entropy_quantile=share, off_policy_mask_threshold=drift, aux_loss_enabled=False, use_vllm=correction,
        vllm_importance_sampling_correction=correction, max_completion_length=8, current_gradient_accumulation_steps=1,
        entropy_coef=entropy, _entropy_bonus_enabled=entropy != 0, use_adaptive_entropy=False, _entropy_window_stats=None,
        accelerator=One(), model=types.SimpleNamespace(training=True), _metrics={"train": collections.defaultdict(list)},
        args=types.SimpleNamespace(delta=delta, use_bias_correction_kl=times_ratio, sapo_temperature_pos=1.0, sapo_temperature_neg=1.05,
                                   steps_per_generation=1),
        get_off_policy_mask=GRPOTrainer.get_off_policy_mask,
        _get_per_token_logps_and_entropies=lambda *a, **k: (logp, h, None),
    )
    self.get_high_entropy_mask = types.MethodType(GRPOTrainer.get_high_entropy_mask, self)
    inputs = {
        "prompt_ids": torch.zeros(ROWS, 1), "prompt_mask": torch.ones(ROWS, 1), "completion_ids": torch.zeros(ROWS, TOKENS),
        "completion_mask": batch["mask"], "advantages": batch["advantage"], "ref_per_token_logps": batch["ref"],
        "importance_sampling_ratio": batch["ratio"], "num_items_in_batch": batch["mask"].sum(),
    }
    if not on_policy:
        inputs["old_per_token_logps"] = batch["old"]
    value = GRPOTrainer._compute_loss(self, None, inputs)
    value.backward()
    case = {"loss_type": loss, "level": level}
    for key, x, default in [("beta", beta, 0.0), ("times_ratio", times_ratio, False), ("entropy", entropy, 0.0), ("share", share, 1.0),
                            ("drift", drift, None), ("correction", correction, False), ("delta", delta, None), ("on_policy", on_policy, False)]:
        if x != default:
            case[key] = x
    case |= {"loss": rounded(value), "grad": rounded(logp.grad)}
    if entropy:
        case["entropy_grad"] = rounded(h.grad)
    return case


def rounded(x):
    if x.dim() == 0:
        return float(f"{x.item():.9g}")
    return [rounded(y) for y in x]


cases = []
for loss in ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo"]:
    for level in ["token", "sequence"]:
        token = level == "token"
        cases += [
            compute(loss, level),
            compute(loss, level, beta=0.04),
            compute(loss, level, entropy=0.01, share=0.37),
            compute(loss, level, beta=0.04, times_ratio=token, entropy=0.01, share=0.63, drift=0.02, correction=True),
            compute(loss, level, entropy=0.01, on_policy=True),
        ]
        if loss in ("grpo", "dapo", "luspo"):
            cases.append(compute(loss, level, delta=1.1 if loss == "grpo" else 1.4))

names = [("logp", "logp"), ("old", "old"), ("ref", "ref"), ("mask", "mask"), ("advantage", "advantage"), ("entropy", "entropy"), ("ratio", "correction")]
with open(sys.argv[1], "w") as f:
    inputs = {to: batch[name].tolist() for name, to in names}
    f.write('{"inputs": ' + json.dumps(inputs) + ',\n"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
