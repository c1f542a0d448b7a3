"""One contestant of bench/peers.py in a process of its own: transformers' generate, a hand-written loop, eager PyTorch, TRL, or torch's
matrix product. It prints one line of JSON.

    python bench/peers/contestant.py NAME JOB.json
"""

import json
import sys
import time

import torch
import torch.nn.functional as F


class Job:
    """What to do: the policy's folder, its prompts, and the sizes that all contestants share."""

    def __init__(self, path):
        for key, value in json.load(open(path)).items():
            setattr(self, key, value)
        torch.set_num_threads(self.threads)
        torch.manual_seed(0)

    def load(self, trains=False):
        from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

        kind, reader = (AutoModelForImageTextToText, AutoProcessor) if self.sees else (AutoModelForCausalLM, AutoTokenizer)
        self.model = kind.from_pretrained(self.folder, dtype=torch.float32, attn_implementation="sdpa").train(trains)
        self.reader = reader.from_pretrained(self.folder, padding_side="left")
        self.tokenizer = self.reader.tokenizer if self.sees else self.reader
        self.tokenizer.eos_token = self.tokenizer.convert_ids_to_tokens(self.eos)
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.convert_ids_to_tokens(self.pad)
        self.model.generation_config.eos_token_id = self.eos
        self.model.generation_config.pad_token_id = self.tokenizer.pad_token_id
        return self.model

    def image(self, row):
        from PIL import Image

        return Image.open(row["image"]).convert("RGB")

    def messages(self, row):
        if not self.sees:
            return [{"role": "user", "content": row["text"]}]
        return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": row["text"]}]}]

    def batch(self, rows):
        """Inputs of the model's forward for prompts, padded on the left."""
        text = [self.reader.apply_chat_template(self.messages(r), add_generation_prompt=True, tokenize=False) for r in rows]
        if self.sees:
            return dict(self.reader(text=text, images=[self.image(r) for r in rows], padding=True, return_tensors="pt"))
        return dict(self.reader(text, padding=True, return_tensors="pt", add_special_tokens=False))


class Clock:
    """Wall and CPU seconds of repeated work; the first time warms up and is dropped."""

    def __init__(self):
        self.wall, self.cpu, self.tokens = [], [], []

    def lap(self, work, times):
        for i in range(times + 1):
            wall, cpu = time.perf_counter(), time.process_time()
            tokens = work()
            if i:
                self.wall.append(time.perf_counter() - wall)
                self.cpu.append(time.process_time() - cpu)
                self.tokens.append(tokens)
        return self

    def report(self, **more):
        print(json.dumps({"wall": self.wall, "cpu": self.cpu, "tokens": self.tokens} | more))


def counted(tokens, eos):
    """Tokens of completions [N, C] up to the one that ends each, which counts."""
    ended = (tokens == eos).int().cumsum(1)
    return int((ended - (tokens == eos).int() == 0).sum())


@torch.inference_mode()
def generate(job):
    """transformers' generate over all prompts at once, each with its group."""
    model, inputs = job.load(), job.batch(job.prompts)
    start = inputs["input_ids"].shape[1]

    def work():
        out = model.generate(**inputs, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, num_return_sequences=job.group,
                             max_new_tokens=job.tokens)
        return counted(out[:, start:], job.eos)

    Clock().lap(work, job.steps).report(prompt=inputs["attention_mask"].sum(1).tolist())


class Decoder:
    """The decoder written by hand on the checkpoint's tensors: fused projections, a cache laid out beforehand, prompts run once and
    shared by their group, sampling by inverse transform in one call."""

    def __init__(self, job):
        self.job, model = job, job.load()
        self.inner = model.model
        text = self.inner.language_model if job.sees else self.inner
        self.config, self.embed, self.norm, self.rotary, self.text = text.config, text.embed_tokens.weight, text.norm.weight, text.rotary_emb, text
        c = self.config
        self.heads, self.kv = c.num_attention_heads, c.num_key_value_heads
        self.width = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
        self.layers = []
        for layer in text.layers:
            a, m = layer.self_attn, layer.mlp
            parts = [a.q_proj, a.k_proj, a.v_proj]
            bias = None if a.q_proj.bias is None else torch.cat([p.bias for p in parts])
            self.layers.append((layer.input_layernorm.weight, torch.cat([p.weight for p in parts]), bias, a.o_proj.weight,
                                layer.post_attention_layernorm.weight, torch.cat([m.gate_proj.weight, m.up_proj.weight]), m.down_proj.weight))

    def rms(self, x, weight):
        return F.rms_norm(x, (x.shape[-1],), weight, self.config.rms_norm_eps)

    def forward(self, x, cos, sin, cache, at, mask):
        """x [N, T, D] at places at.. of the cache; mask [N, 1, T, at + T] is added to the scores. Returns the logits of the last
        token, [N, V]."""
        n, t, _ = x.shape
        h, k, e = self.heads, self.kv, self.width

        def turn(y):
            return y * cos + torch.cat([-y[..., e // 2:], y[..., :e // 2]], -1) * sin

        for (before, qkv, bias, out, after, up, down), (keys, values) in zip(self.layers, cache):
            y = F.linear(self.rms(x, before), qkv, bias).view(n, t, h + 2 * k, e).transpose(1, 2)
            q, new_k, new_v = turn(y[:, :h]), turn(y[:, h:h + k]), y[:, h + k:]
            keys[:, :, at:at + t], values[:, :, at:at + t] = new_k, new_v
            if t == 1:  # the queries of a key head are rows of one product
                o = F.scaled_dot_product_attention(q.reshape(n, k, h // k, e), keys[:, :, :at + 1], values[:, :, :at + 1], attn_mask=mask)
            else:
                new_k, new_v = (y.repeat_interleave(h // k, 1) for y in (new_k, new_v))
                o = F.scaled_dot_product_attention(q, new_k, new_v, attn_mask=mask).transpose(1, 2)
            x = x + F.linear(o.reshape(n, t, h * e), out)
            gate, wide = F.linear(self.rms(x, after), up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * wide, down)
        return F.linear(self.rms(x[:, -1], self.norm), self.embed)

    def start(self, inputs):
        """Embeddings [B, S, D] and positions [3, B, S] (axes t, h, w) of prompts, and the position that follows each, [B, 1]."""
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        x = F.embedding(ids, self.embed)
        pos = (mask.cumsum(1) - 1).clamp(min=0)
        if not self.job.sees:
            return x, pos.expand(3, -1, -1), pos[:, -1:] + 1
        features = self.inner.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        features = torch.cat(list(getattr(features, "pooler_output", features)))
        x = x.masked_scatter((ids == self.inner.config.image_token_id)[..., None], features)
        keep = ("input_ids", "attention_mask", "image_grid_thw", "mm_token_type_ids")
        pos, _ = self.inner.get_rope_index(**{k: v for k, v in inputs.items() if k in keep})
        return x, pos, pos.amax((0, 2))[:, None] + 1

    def angles(self, x, pos):
        """cos, sin [N, 1, T, E] at positions [3, N, T]."""
        cos, sin = self.rotary(x, pos if self.job.sees else pos[0])
        if self.job.sees and cos.dim() == 4:
            section = [s for s in (self.config.rope_parameters or self.config.rope_scaling)["mrope_section"]] * 2
            cos, sin = (torch.cat([part[i % 3] for i, part in enumerate(y.split(section, -1))], -1) for y in (cos, sin))
        return cos[:, None], sin[:, None]

    def sample(self, inputs):
        job = self.job
        x, pos, after = self.start(inputs)
        b, s, _ = x.shape
        rows = b * job.group
        hidden = inputs["attention_mask"] == 0
        causal = torch.ones(s, s, dtype=torch.bool).triu(1)
        mask = torch.zeros(b, 1, s, s).masked_fill_(causal | hidden[:, None, None], -1e9)
        cache = [torch.empty(2, b, self.kv, s, self.width) for _ in self.layers]
        logits = self.forward(x, *self.angles(x, pos), cache, 0, mask).repeat_interleave(job.group, 0)
        wide = []
        for part in cache:
            both = torch.empty(2, rows, self.kv, s + job.tokens, self.width)
            both[:, :, :, :s] = part.repeat_interleave(job.group, 1)
            wide.append(both)
        mask = torch.zeros(rows, 1, 1, s + job.tokens)
        mask[:, :, :, :s].masked_fill_(hidden.repeat_interleave(job.group, 0)[:, None, None], -1e9)
        after, out = after.repeat_interleave(job.group, 0), torch.full((rows, job.tokens), job.eos)
        done = torch.zeros(rows, dtype=torch.bool)
        for i in range(job.tokens):
            token = torch.multinomial(torch.softmax(logits, -1), 1)
            token[done] = job.eos
            out[:, i], done = token[:, 0], done | (token[:, 0] == job.eos)
            if i + 1 == job.tokens or done.all():
                break
            x = F.embedding(token, self.embed)
            logits = self.forward(x, *self.angles(x, (after + i).expand(3, -1, -1)), wide, s + i, mask[..., :s + i + 1])
        return counted(out, job.eos)


@torch.inference_mode()
def loop(job):
    decoder, inputs = Decoder(job), job.batch(job.prompts)
    Clock().lap(lambda: decoder.sample(inputs), job.steps).report()


def eager(job):
    """Forward, backward and AdamW on given completions: a padded batch of one group at a time, gradients added; only logits of
    completions. Image features are given, as mixr's frozen tower is not part of its training step."""
    decoder = Decoder(job)
    model, text = job.model.train(), decoder.text
    for p in model.parameters():
        p.requires_grad_(False)
    for p in text.parameters():
        p.requires_grad_(True)
    optimizer = torch.optim.AdamW([p for p in text.parameters() if p.requires_grad], lr=1e-6, fused=True)
    inputs, groups = job.batch(job.prompts), []
    with torch.no_grad():
        features = decoder.start(inputs)[0] if job.sees else None
        _, pos, after = decoder.start(inputs)
    for i, lengths in enumerate(job.drawn):
        longest, ids = max(lengths), inputs["input_ids"][i]
        real = inputs["attention_mask"][i].bool()
        completion = torch.randint(100, 6000, (len(lengths), longest))
        mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
        groups.append(dict(
            ids=torch.cat([ids[real].expand(len(lengths), -1), completion], 1),
            mask=torch.cat([torch.ones(len(lengths), int(real.sum())), mask], 1).long(),
            pos=torch.cat([pos[:, i, real], (after[i] + torch.arange(longest)).expand(3, -1)], 1)[:, None].expand(-1, len(lengths), -1),
            features=None if features is None else features[i, real], counted=mask.float(), completion=completion,
            advantage=torch.linspace(-1, 1, len(lengths))[:, None], reference=torch.full((len(lengths), longest), -2.0)))

    def work():
        optimizer.zero_grad()
        for g in groups:
            x, prompt = F.embedding(g["ids"], text.embed_tokens.weight), g["ids"].shape[1] - g["completion"].shape[1]
            if g["features"] is not None:
                image = g["ids"] == decoder.inner.config.image_token_id
                x = x.masked_scatter(image[..., None], g["features"][image[0, :prompt]].repeat(len(x), 1))
            hidden = text(inputs_embeds=x, attention_mask=g["mask"], position_ids=g["pos"] if job.sees else g["pos"][0],
                          use_cache=False).last_hidden_state[:, prompt - 1:-1]
            logp = F.linear(hidden, text.embed_tokens.weight).log_softmax(-1).gather(-1, g["completion"][..., None])[..., 0]
            ratio, gap = (logp - logp.detach()).exp(), g["reference"] - logp
            loss = -torch.min(ratio * g["advantage"], ratio.clamp(0.8, 1.2) * g["advantage"]) + 0.04 * (gap.exp() - gap - 1)
            ((loss * g["counted"]).sum(1) / g["counted"].sum(1)).mean().div(len(groups)).backward()
        torch.nn.utils.clip_grad_norm_(text.parameters(), 1.0)
        optimizer.step()
        return sum(map(sum, job.drawn))

    Clock().lap(work, job.steps).report()


def trl(job):
    """Whole steps of TRL's GRPOTrainer with the same batch, group, lengths, KL term and optimizer; rewards cost nothing."""
    import datasets
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    model = job.load(trains=True)
    if job.sees:
        for p in model.model.visual.parameters():
            p.requires_grad_(False)
    rows = [{"prompt": job.messages(r)} for r in job.prompts]
    if job.sees:
        for row, r in zip(rows, job.prompts):
            row["prompt"] = [{"role": "user", "content": r["text"]}]
            row["images"] = [job.image(r)]
    ends, tokens = [], [0]

    class Steps(TrainerCallback):
        def on_step_end(self, *_, **__):
            ends.append((time.perf_counter(), time.process_time(), tokens[0]))

    def reward(completion_ids, **_):
        tokens[0] = sum(map(len, completion_ids))
        return [float(ids[0] % 7) for ids in completion_ids]

    config = GRPOConfig(
        output_dir=job.scratch, use_cpu=True, bf16=False, fp16=False, report_to=[], save_strategy="no", logging_strategy="no", seed=0,
        per_device_train_batch_size=len(rows) * job.group, num_generations=job.group, max_completion_length=job.tokens,
        max_steps=job.steps + 1, temperature=1.0, beta=0.04, loss_type="grpo", learning_rate=1e-6, gradient_checkpointing=False,
        shuffle_dataset=False, dataloader_pin_memory=False, disable_tqdm=True)
    trainer = GRPOTrainer(model=model, reward_funcs=reward, args=config, processing_class=job.reader,
                          train_dataset=datasets.Dataset.from_list(rows), callbacks=[Steps()])
    trainer.train()
    clock = Clock()
    for (wall, cpu, _), (wall_after, cpu_after, sampled) in zip(ends, ends[1:]):
        clock.wall.append(wall_after - wall)
        clock.cpu.append(cpu_after - cpu)
        clock.tokens.append(sampled)
    clock.report()


def product(job):
    """float32 products of square matrices, GFLOP/s."""
    n = job.size
    a, b = torch.randn(n, n), torch.randn(n, n)
    clock = Clock().lap(lambda: torch.mm(a, b) is None or n, job.steps)
    clock.report(flops=2 * n**3)


if __name__ == "__main__":
    {"generate": generate, "loop": loop, "eager": eager, "trl": trl, "product": product}[sys.argv[1]](Job(sys.argv[2]))
