"""Random tiny checkpoints and prompts of each family, for bench/parity.py.

A checkpoint is a transformers model with random weights in which every term of the architecture shows in the logits, saved as a
Hugging Face folder. Every weight is exact in bfloat16, so that a folder may be stored in float32 or bfloat16 and mean the same.
No tokenizer is needed: token ids are drawn, placeholders of pictures included.
"""

import json
import math
import pathlib

import numpy as np
import torch
from safetensors.torch import load_file, save_file


class Prompt:
    """Token ids and the pictures that stand in them. A picture is a dict: kind image or video, grid [t, h, w] of patches (with
    internvl [tiles, h, w]), tokens, seed of its pixels, pixels (one row a patch, or one entry a tile) and, for a video, the seconds
    of a grid step."""

    def __init__(self, ids, pictures=()):
        self.ids, self.pictures = ids, list(pictures)


def noise(seed, *shape):
    """Pseudo-random numbers in [-2, 2), multiples of 1/64: the last round of MurmurHash3 of seed and place. Go makes the same ones, so
    that no file must hold a picture."""
    x = np.arange(math.prod(shape), dtype=np.uint32) + np.uint32(1)
    x = x * np.uint32(0x9E3779B1) + np.uint32(seed)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    x ^= x >> np.uint32(16)
    return torch.from_numpy((x >> np.uint32(24)).astype(np.float32) / 64 - 2).view(*shape)


def random_weights(model, rng):
    """Fills the model with weights large enough that every term shows, small enough that attention and softmax stay soft."""
    g = torch.Generator().manual_seed(rng.getrandbits(62))

    def normal(p, std, mean=0.0):
        p.copy_(mean + std * torch.randn(p.shape, generator=g))

    with torch.no_grad():
        for name, p in model.named_parameters():
            if "embed_tokens" in name or "lm_head" in name:
                normal(p, 2 / math.sqrt(p.shape[1]))  # logits of a standard deviation near 2
            elif name.endswith("_token") or "position_embeddings" in name:
                normal(p, 0.5)
            elif "lambda" in name:
                normal(p, 0.2, 0.6)
            elif name.endswith("bias"):
                normal(p, 0.3)
            elif p.dim() == 1:
                normal(p, 0.3, 1.0)
            else:
                # What layers add to the residual stream outweighs the embedding, lest a tied head repeat the last token for ever.
                normal(p, (2 if "o_proj" in name or "down_proj" in name else 1) / math.sqrt(p[0].numel()))
            p.copy_(p.bfloat16())


def save(model, folder, rng, dtype="F32", shards=1, edit_config=None, rename=None):
    """Writes the model as a folder of transformers, in the given element type, in so many shards. rename turns the stored tensors
    into those of another layout, and edit_config its config.json."""
    folder = pathlib.Path(folder)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if rename:
        tensors = rename(tensors)
    if dtype == "BF16":
        tensors = {k: v.bfloat16() for k, v in tensors.items()}
    names = sorted(tensors)
    rng.shuffle(names)
    parts = [sorted(names[i::shards]) for i in range(shards)]
    if shards == 1:
        save_file({k: tensors[k].contiguous() for k in names}, folder / "model.safetensors", {"format": "pt"})
    else:
        index = {}
        for i, part in enumerate(parts):
            file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
            save_file({k: tensors[k].contiguous() for k in part}, folder / file, {"format": "pt"})
            index.update(dict.fromkeys(part, file))
        size = sum(t.numel() * t.element_size() for t in tensors.values())
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": index}))
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["dtype"] = {"F32": "float32", "BF16": "bfloat16"}[dtype]
    path.write_text(json.dumps(edit_config(config) if edit_config else config, indent=1) + "\n")


# --- text ---------------------------------------------------------------------------------------------------------------------


def text_sizes(rng, small):
    """Vocabulary, width, heads. The groups of 8 and 7 query heads are those of the 3B and 7B models."""
    heads, kv, e = rng.choice([(16, 2, 4), (28, 4, 4), (4, 2, 8), (6, 6, 8), (5, 1, 8)] if not small else [(4, 2, 8), (7, 1, 4)])
    return dict(
        vocab_size=rng.choice([96, 101, 128]), hidden_size=heads * e, intermediate_size=rng.choice([40, 72]) if not small else 24,
        num_hidden_layers=rng.choice([2, 3]) if not small else 2, num_attention_heads=heads, num_key_value_heads=kv,
        rms_norm_eps=rng.choice([1e-6, 1e-5]), max_position_embeddings=rng.choice([512, 32768]),
    )


def qwen2(rng, small=False, tied=None):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        **text_sizes(rng, small), tie_word_embeddings=rng.random() < 0.5 if tied is None else tied, use_sliding_window=False,
        rope_parameters={"rope_type": "default", "rope_theta": rng.choice([10000.0, 1000000.0])}, bos_token_id=None, eos_token_id=90,
    )
    return Qwen2ForCausalLM._from_config(config, attn_implementation="eager")


def llama(rng, small=False, tied=None, rope=None):
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = text_sizes(rng, small)
    theta = rng.choice([10000.0, 500000.0])
    rope = rope or rng.choice(["default", "llama3", "linear"])
    scaling = {"rope_type": rope, "rope_theta": theta}
    if rope == "llama3":
        # A short original context, so that all three bands of frequencies occur.
        scaling |= dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=rng.choice([16, 64]))
    if rope == "linear":
        scaling |= dict(factor=rng.choice([2.0, 4.0]))
    if rng.random() < 0.5:  # heads wider or narrower than D/H
        sizes["head_dim"] = rng.choice([6, 12])
    if rope == "mistral":
        from transformers import MistralConfig, MistralForCausalLM

        config = MistralConfig(**sizes, rope_parameters={"rope_type": "default", "rope_theta": theta}, sliding_window=None,
                               tie_word_embeddings=bool(tied), bos_token_id=1, eos_token_id=90)
        return MistralForCausalLM._from_config(config, attn_implementation="eager")
    config = LlamaConfig(
        **sizes, attention_bias=rng.random() < 0.5, mlp_bias=rng.random() < 0.3, rope_parameters=scaling,
        tie_word_embeddings=rng.random() < 0.5 if tied is None else tied, bos_token_id=1, eos_token_id=90,
    )
    return LlamaForCausalLM._from_config(config, attn_implementation="eager")


def words(rng, n, below=88):
    return [rng.randrange(below) for _ in range(n)]


def text_prompts(model, rng, count, pictures=None):
    return [Prompt(words(rng, rng.choice([1, 2, 7, 24, 33, 150]))) for _ in range(count)]


# --- Qwen2.5-VL ---------------------------------------------------------------------------------------------------------------

QWEN_IDS = dict(vision_start_token_id=91, vision_end_token_id=92, image_token_id=93, video_token_id=94)


def qwen25vl(rng, small=False, tied=None, sizes=None, vision=None):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = text_sizes(rng, small) | (sizes or {})
    half = text["hidden_size"] // text["num_attention_heads"] // 2
    t = half // 4 if half > 2 else rng.choice([0, 1])
    h = (half - t + 1) // 2
    tower = dict(
        depth=rng.choice([2, 3, 4]) if not small else 2, hidden_size=8 * (heads := rng.choice([2, 3]) if not small else 1), num_heads=heads,
        intermediate_size=rng.choice([20, 36]) if not small else 12, window_size=28 * rng.choice([2, 3, 4]) if not small else 56,
    ) | (vision or {})
    full = rng.randint(0 if not small else 1, tower["depth"] - 1)
    tower.setdefault("fullatt_block_indexes", sorted(rng.sample(range(tower["depth"]), full)))
    config = Qwen2_5_VLConfig(
        text_config=text | dict(
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [t, h, half - t - h]},
            bos_token_id=None, eos_token_id=90, use_sliding_window=False,
        ),
        vision_config=tower | dict(out_hidden_size=text["hidden_size"], tokens_per_second=rng.choice([2, 4])),
        tie_word_embeddings=rng.random() < 0.5 if tied is None else tied, **QWEN_IDS,
    )
    return Qwen2_5_VLForConditionalGeneration._from_config(config, attn_implementation="eager")


def qwen25vl_published(config):
    """config.json as the released checkpoints have it: text fields at the top, rope_scaling of type mrope, in_chans."""
    text, vision = config["text_config"], config["vision_config"]
    rope = text.pop("rope_parameters")
    config.pop("text_config"), text.pop("model_type"), text.pop("layer_types")
    text |= dict(rope_theta=rope["rope_theta"], rope_scaling={"type": "mrope", "mrope_section": rope["mrope_section"]}, sliding_window=32768)
    vision.pop("rope_parameters")
    renamed = {"in_channels": "in_chans", "patch_size": "spatial_patch_size"}
    config["vision_config"] = {renamed.get(k, k): v for k, v in vision.items()}
    return text | config


def qwen25vl_picture(rng, what):
    """what is image or video, and may say its grid of patches: image:6x10, video:3x4x4 (grid steps first), and for a video the seconds
    of a step: video:3x4x4@2."""
    kind, _, size = what.partition(":")
    size, _, seconds = size.partition("@")
    video = kind == "video"
    grid = [int(n) for n in size.split("x")] if size else [2 * rng.randint(1, 5), 2 * rng.randint(1, 5)]
    t, h, w = ([rng.randint(2, 3)] if video else [1]) + grid if len(grid) == 2 else grid
    seed = rng.getrandbits(32)
    picture = dict(kind=kind, grid=[t, h, w], tokens=t * h * w // 4, seed=seed, pixels=noise(seed, t * h * w, 1176))
    if video:
        picture["seconds"] = float(seconds) if seconds else rng.choice([0.5, 1.0, 1.25, 2.0])
    return picture


def qwen25vl_prompts(model, rng, count, pictures=None):
    prompts = []
    for i in range(count):
        # The first prompt has no video, so that TRL has something to train on.
        kinds = pictures[i] if pictures else rng.choices(["image", "video"], [5, 1 if i else 0], k=rng.choice([0, 1, 1, 2, 3]))
        ids, shown = words(rng, rng.randint(1, 6)), []
        for kind in kinds:
            p = qwen25vl_picture(rng, kind)
            shown.append(p)
            ids += [91] + [93 if p["kind"] == "image" else 94] * p["tokens"] + [92] + words(rng, rng.randint(0, 4))
        prompts.append(Prompt(ids + words(rng, rng.randint(1, 5)), shown))
    return prompts


# --- InternVL -----------------------------------------------------------------------------------------------------------------

INTERN_IMAGE = 93


def internvl(rng, small=False, tied=None, text=None, qk_norm=None):
    from transformers import InternVLConfig, InternVLForConditionalGeneration

    text = text or rng.choice(["qwen2", "llama"])
    sizes = text_sizes(rng, small)
    tied = rng.random() < 0.5 if tied is None else tied
    heads = rng.choice([2, 3]) if not small else 1
    side = 14 * (rng.choice([4, 6]) if not small else 4)
    qk_norm = rng.random() < 0.4 if qk_norm is None else qk_norm
    config = InternVLConfig(
        text_config=sizes | dict(
            model_type=text, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, bos_token_id=None, eos_token_id=90,
            tie_word_embeddings=tied,
        ),
        vision_config=dict(
            hidden_size=8 * heads, num_attention_heads=heads, num_hidden_layers=rng.choice([2, 3]) if not small else 2,
            intermediate_size=rng.choice([20, 36]) if not small else 12, image_size=[side, side], patch_size=[14, 14],
            attention_bias=not qk_norm, use_qk_norm=qk_norm, norm_type="rms_norm" if qk_norm else "layer_norm",
        ),
        image_token_id=INTERN_IMAGE, image_seq_length=(side // 28) ** 2, tie_word_embeddings=tied,
    )
    return InternVLForConditionalGeneration._from_config(config, attn_implementation="eager")


def internvl_prompts(model, rng, count, pictures=None):
    side = model.config.vision_config.image_size[0]
    prompts = []
    for i in range(count):
        tiles = pictures[i] if pictures else [rng.randint(1, 3) for _ in range(rng.choice([0, 1, 1, 2]))]
        ids, shown = words(rng, rng.randint(1, 6)), []
        for n in tiles:
            tokens, seed = n * (side // 28) ** 2, rng.getrandbits(32)
            # noise in mixr's order, patch after patch; the class reads rows and columns of pixels
            pixels = noise(seed, n, side // 14, side // 14, 3, 14, 14).permute(0, 3, 1, 4, 2, 5).reshape(n, 3, side, side)
            shown.append(dict(kind="image", grid=[n, side // 14, side // 14], tokens=tokens, seed=seed, pixels=pixels))
            ids += [91] + [INTERN_IMAGE] * tokens + [92] + words(rng, rng.randint(0, 4))
        prompts.append(Prompt(ids + words(rng, rng.randint(1, 5)), shown))
    return prompts


def internvl_chat_tensors(model):
    """Turns the stored tensors of the native class into those of OpenGVLab's releases: InternViT with a fused qkv under
    vision_model, the projector as mlp1, and the decoder under its own names or, for a Llama, those of InternLM2 with its fused wqkv
    (query heads of a group, then its key, then its value)."""
    text = model.config.text_config
    internlm2 = text.model_type == "llama"

    def rename(tensors):
        out = {}
        for name, t in tensors.items():
            if name.startswith("vision_tower."):
                new = name.replace("vision_tower.", "vision_model.")
                for old, to in [
                    ("embeddings.cls_token", "embeddings.class_embedding"), ("position_embeddings", "position_embedding"),
                    ("patch_embeddings.projection", "patch_embedding"), ("encoder.layer.", "encoder.layers."), ("lambda_", "ls"),
                    ("attention.projection_layer", "attn.proj"), ("attention.", "attn."), ("layernorm_before", "norm1"), ("layernorm_after", "norm2"),
                ]:
                    new = new.replace(old, to)
                if ".q_proj." in new:
                    t = torch.cat([tensors[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")])
                    new = new.replace("q_proj", "qkv")
                elif ".k_proj." in new or ".v_proj." in new:
                    continue
            elif name.startswith("multi_modal_projector."):
                new = name
                for old, to in [("layer_norm", "0"), ("linear_1", "1"), ("linear_2", "3")]:
                    new = new.replace("multi_modal_projector." + old, "mlp1." + to)
            elif internlm2:
                new = name
                for old, to in [
                    ("embed_tokens", "tok_embeddings"), ("self_attn.o_proj", "attention.wo"), ("mlp.gate_proj", "feed_forward.w1"),
                    ("mlp.up_proj", "feed_forward.w3"), ("mlp.down_proj", "feed_forward.w2"), ("input_layernorm", "attention_norm"),
                    ("post_attention_layernorm", "ffn_norm"), ("lm_head", "output"),
                ]:
                    new = new.replace(old, to)
                if "self_attn.q_proj" in new:
                    kv, d = text.num_key_value_heads, text.hidden_size
                    e = d // text.num_attention_heads
                    q, k, v = (tensors[name.replace("q_proj", part)].view(kv, -1, e, d) for part in ("q_proj", "k_proj", "v_proj"))
                    t = torch.cat([q, k, v], dim=1).reshape(-1, d)
                    new = new.replace("self_attn.q_proj", "attention.wqkv")
                elif "self_attn" in new:
                    continue
            else:
                new = name
            out[new] = t
        return out

    return rename


def internvl_chat_config(model):
    """config.json of OpenGVLab's releases for the same model."""

    def edit(config):
        v, t = config["vision_config"], config["text_config"]
        rope = t.pop("rope_parameters")
        t |= {"rope_theta": rope["rope_theta"], "rope_scaling": None}
        if t["model_type"] == "llama":
            t |= {"model_type": "internlm2", "architectures": ["InternLM2ForCausalLM"], "bias": False,
                  "rope_scaling": {"type": "dynamic", "factor": 2.0}}
        else:
            t["architectures"] = ["Qwen2ForCausalLM"]
        return {
            "architectures": ["InternVLChatModel"], "model_type": "internvl_chat", "downsample_ratio": 0.5, "dynamic_image_size": True,
            "force_image_size": v["image_size"][0], "max_dynamic_patch": 12, "min_dynamic_patch": 1, "ps_version": "v2", "select_layer": -1,
            "template": "internvl2_5", "use_thumbnail": True, "tie_word_embeddings": config["tie_word_embeddings"], "torch_dtype": config["dtype"],
            "llm_config": t, "image_token_id": INTERN_IMAGE,  # the releases leave it to the tokenizer, which these folders lack
            "vision_config": {
                "architectures": ["InternVisionModel"], "model_type": "intern_vit_6b", "hidden_act": "gelu", "hidden_size": v["hidden_size"],
                "image_size": v["image_size"][0], "patch_size": 14, "num_channels": 3, "num_attention_heads": v["num_attention_heads"],
                "num_hidden_layers": v["num_hidden_layers"], "intermediate_size": v["intermediate_size"], "layer_norm_eps": v["layer_norm_eps"],
                "norm_type": v["norm_type"], "qkv_bias": v["attention_bias"], "qk_normalization": v["use_qk_norm"], "initializer_range": 0.02,
            },
        }

    return edit


BUILD = {
    "qwen2": (qwen2, text_prompts),
    "llama": (llama, text_prompts),
    "qwen25vl": (qwen25vl, qwen25vl_prompts),
    "internvl": (internvl, internvl_prompts),
}
