"""What transformers, TRL and torch make of a case: logits, greedy tokens, positions, and one GRPO step. All in float32, attention in
its eager form."""

import contextlib
import types
from collections import defaultdict

import torch

PAD = 0


def batch(family, model, rows, left=0):
    """Inputs of the model's forward for rows of (prompt, ids that follow it), padded on the right; left > 0 pads prompts on the left
    to that length."""
    sequences = [[PAD] * max(0, left - len(p.ids)) + p.ids + list(after) for p, after in rows]
    masks = [[0] * max(0, left - len(p.ids)) + [1] * (len(p.ids) + len(after)) for p, after in rows]
    longest = max(map(len, sequences))
    ids = torch.tensor([s + [PAD] * (longest - len(s)) for s in sequences])
    mask = torch.tensor([m + [0] * (longest - len(m)) for m in masks])
    return dict(input_ids=ids, attention_mask=mask) | vision(family, model, [p for p, _ in rows], ids)


def vision(family, model, prompts, ids):
    """The vision inputs of prompts in rows ids."""
    images = [x for p in prompts for x in p.pictures if x["kind"] == "image"]
    videos = [x for p in prompts for x in p.pictures if x["kind"] == "video"]
    out = {}
    if images:
        out["pixel_values"] = torch.cat([x["pixels"] for x in images])
    if family == "qwen25vl":
        c = model.config
        out["mm_token_type_ids"] = (ids == c.image_token_id).int() + 2 * (ids == c.video_token_id).int()
        if images:
            out["image_grid_thw"] = torch.tensor([x["grid"] for x in images])
        if videos:
            out["pixel_values_videos"] = torch.cat([x["pixels"] for x in videos])
            out["video_grid_thw"] = torch.tensor([x["grid"] for x in videos])
            out["second_per_grid_ts"] = torch.tensor([x["seconds"] for x in videos])
    return out


def forget(model):
    """Drops the position offset that Qwen2.5-VL keeps from its last prompt."""
    if hasattr(getattr(model, "model", None), "rope_deltas"):
        model.model.rope_deltas = None


def positions(family, model, prompt):
    """Positions [3, T] of one prompt's tokens, as get_rope_index gives them; a family without it counts."""
    t = len(prompt.ids)
    if family != "qwen25vl" or not prompt.pictures:
        return torch.arange(t).expand(3, t)
    b = batch(family, model, [(prompt, [])])
    keep = ("input_ids", "attention_mask", "mm_token_type_ids", "image_grid_thw", "video_grid_thw", "second_per_grid_ts")
    pos, _ = model.model.get_rope_index(**{k: v for k, v in b.items() if k in keep})
    return pos[:, 0]


@torch.no_grad()
def logits(family, model, prompts):
    """Logits [T, V] of each prompt, of one right-padded batch."""
    forget(model)
    out = model(**batch(family, model, [(p, []) for p in prompts]), use_cache=False).logits
    return [out[i, : len(p.ids)] for i, p in enumerate(prompts)]


@torch.no_grad()
def greedy(family, model, prompt, tokens):
    """The most likely tokens one after the other, by generate and its cache, and the smallest lead of a chosen token over the next."""
    forget(model)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = PAD
    out = model.generate(
        **batch(family, model, [(prompt, [])]), do_sample=False, max_new_tokens=tokens, return_dict_in_generate=True, output_logits=True)
    forget(model)
    two = torch.stack([l[0].topk(2).values for l in out.logits])
    return out.sequences[0, len(prompt.ids):], float((two[:, 0] - two[:, 1]).min())


def trainer(model, case):
    """A GRPOTrainer of TRL that has what _compute_loss reads and nothing else: its own code computes the loss."""
    from trl import GRPOTrainer
    from trl.trainer.utils import add_fused_lm_head

    if "forward" not in vars(model):
        add_fused_lm_head(model, temperature=case["temperature"], outputs=("log_probs", "entropy"))
    t = GRPOTrainer.__new__(GRPOTrainer)
    t.model, t.beta, t.loss_type = model, case["kl"], "grpo" if case["loss"] == "gspo" else case["loss"]
    t.epsilon_low, t.epsilon_high, t.importance_sampling_level = case["clip_low"], case["clip_high"], case["level"]
    t.max_completion_length, t.current_gradient_accumulation_steps = case["max_tokens"], len(case["groups"])
    t.top_entropy_quantile, t.off_policy_mask_threshold, t.use_vllm = 1.0, None, False
    t._entropy_bonus_enabled, t.use_adaptive_entropy = case["entropy_bonus"] > 0, False
    t.aux_loss_enabled, t._metrics = False, {"train": defaultdict(list)}
    t.args = types.SimpleNamespace(
        use_bias_correction_kl=case["kl_times_ratio"], delta=case["clip_dual"] or None, steps_per_generation=len(case["groups"]),
        sapo_temperature_pos=1.0, sapo_temperature_neg=1.05)
    t.accelerator = types.SimpleNamespace(
        num_processes=1, is_main_process=False, sync_gradients=True, gather=lambda x: x, reduce=lambda x, reduction: x, autocast=contextlib.nullcontext)
    return t


def micro_batch(family, model, prompt, group, tokens):
    """What TRL's trainer hands to _compute_loss for the completions of one prompt: prompts padded on the left, completions on the
    right."""
    completions = group["completions"]
    longest = max(map(len, completions))
    pad = lambda rows, value: torch.tensor([list(r) + [value] * (longest - len(r)) for r in rows])
    g, t = len(completions), len(prompt.ids)
    ids = torch.tensor([prompt.ids] * g)
    inputs = dict(
        prompt_ids=ids, prompt_mask=torch.ones(g, t, dtype=torch.long), completion_ids=pad(completions, PAD),
        completion_mask=pad([[1] * len(c) for c in completions], 0), advantages=torch.tensor(group["advantages"]),
        num_items_in_batch=torch.tensor(float(tokens)),
    )
    whole = torch.cat([ids, inputs["completion_ids"]], dim=1)
    v = vision(family, model, [prompt] * g, whole)
    if "mm_token_type_ids" in v:
        v["mm_token_type_ids"][:, t:] = 0  # TRL marks the prompt's placeholders alone
    if prompt.pictures:
        v["num_images"] = [len(prompt.pictures)] * g
        if family == "internvl":
            v["num_tiles"] = [sum(x["grid"][0] for x in prompt.pictures)] * g
    for name in ("old", "ref"):
        if name in group:
            inputs[name + "_per_token_logps"] = pad(group[name], 0.0)
    return inputs | v


def log_probs(family, model, prompts, case):
    """Log-probabilities of every group's completions under the model, a list of rows for each group."""
    t = trainer(model, case)
    out = []
    for group in case["groups"]:
        p = prompts[group["prompt"]]
        m = micro_batch(family, model, p, group, 1)
        forget(model)
        keys = ("pixel_values", "image_grid_thw", "num_images", "num_tiles", "mm_token_type_ids")
        with torch.no_grad():
            logp, _, _ = t._get_per_token_logps_and_entropies(
                model, torch.cat([m["prompt_ids"], m["completion_ids"]], 1), torch.cat([m["prompt_mask"], m["completion_mask"]], 1),
                m["completion_ids"].shape[1], compute_entropy=True, **{k: m[k] for k in keys if k in m})
        out.append([row[: len(c)].tolist() for row, c in zip(logp, group["completions"])])
    return out


def step(family, model, prompts, case):
    """One update as TRL and torch make it: the loss summed over micro-batches of one prompt each, the gradient of every parameter,
    and its weights after AdamW. With "step" false the weights stay."""
    model.train()
    t = trainer(model, case)
    tokens = sum(len(c) for g in case["groups"] for c in g["completions"])
    model.zero_grad()
    loss = 0.0
    for group in case["groups"]:
        forget(model)
        # TRL's bonus is a mean over each micro-batch, mixr's over the update.
        t.entropy_coef = case["entropy_bonus"] * len(case["groups"]) * sum(map(len, group["completions"])) / tokens
        part = t._compute_loss(model, micro_batch(family, model, prompts[group["prompt"]], group, tokens))
        part.backward()
        loss += float(part)
    gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
    after = None
    if case["step"]:
        for p in model.parameters():
            # What no row used (the tower without a picture) has no gradient in torch, and AdamW passes it by; in mixr it is 0.
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        o = case["optimizer"]
        # Norm gains and biases are not decayed, as in the Trainer of transformers.
        decayed = [p for p in model.parameters() if p.dim() > 1]
        plain = [p for p in model.parameters() if p.dim() == 1]
        adamw = torch.optim.AdamW(
            [dict(params=decayed, weight_decay=o["weight_decay"]), dict(params=plain, weight_decay=0.0)],
            lr=o["learning_rate"], betas=(o["adam_beta1"], o["adam_beta2"]), eps=o["adam_eps"])
        if o["grad_clip"] > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), o["grad_clip"])
        adamw.step()
        after = {n: p.detach().clone() for n, p in model.named_parameters()}
    return loss, gradients, after


def likelihood(family, model, prompts):
    """The mean of -log p of every token behind the first of its prompt, and the gradient of every parameter."""
    model.zero_grad()
    forget(model)
    out = model(**batch(family, model, [(p, []) for p in prompts]), use_cache=False).logits
    terms = []
    for row, p in zip(out, prompts):
        logp = row[: len(p.ids) - 1].log_softmax(-1)
        terms.append(-logp.gather(1, torch.tensor(p.ids[1:])[:, None]).flatten())
    loss = torch.cat(terms).mean()
    loss.backward()
    return float(loss), {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
