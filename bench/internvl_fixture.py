"""Writes what transformers makes of InternVL's pictures and models: the oracle for runtime/models/internvl
(pip install transformers==5.24.0 torch==2.15.0 pillow==12.3.0 numpy; Pillow 13 resizes in another order).

    python bench/internvl_fixture.py runtime/models/internvl/testdata

    grid.json       grids of tiles that get_optimal_tiled_canvas chooses
    tiles.json      SHA-256 of the tiles that GotOcr2ImageProcessorPil makes of a generated picture, in patches, and a few of their values
    parity.json     random small models in float32: config.json, pixels and tokens by name, features, logits, and for the smallest one the
                    gradient of every parameter. The weights are a function of their names (noise below), so that only results are stored
    original.json   two models in both layouts' config.json and the original one's tensors: fused as InternVLChatModel and InternLM2 split them

Arrays are base64 of little-endian float32.
"""

import base64
import hashlib
import json
import re
import sys

import numpy as np
import torch
from PIL import Image
from transformers import InternVLConfig, InternVLForConditionalGeneration
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil, get_optimal_tiled_canvas

U64 = (1 << 64) - 1


def noise(name, n):
    """n numbers in [-1, 1): splitmix64 from the FNV-1a hash of the name, 24 bits each, so that any language gets the same ones."""
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = (h ^ b) * 0x100000001B3 & U64
    with np.errstate(over="ignore"):
        x = np.uint64(h) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1


def drawn(name, *shape):
    return torch.from_numpy(noise(name, int(np.prod(shape))).astype(np.float32).reshape(shape))


def weight(name, shape):
    """Weights large enough that every term of the model shows in its results. The kernel of the patch embedding is a matrix."""
    u = noise(name, int(np.prod(shape)))
    if len(shape) in (2, 4):
        u = u * np.sqrt(3 / np.prod(shape[1:]))
    elif name.endswith(".bias"):
        u = 0.3 * u
    else:
        u = 1 + 0.3 * u
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


def pack(x):
    return base64.b64encode(np.ascontiguousarray(x.detach().numpy(), dtype="<f4").tobytes()).decode()


# --- pictures -----------------------------------------------------------------------------------------------------------------


def picture(w, h):
    """The generated picture of bench/resize_fixture.py."""
    y, x = np.mgrid[0:h, 0:w].astype(np.int64)
    n = (x * 7919 + y * 104729 + (x * y) % 251 * 31) * 2654435761 % (1 << 32) >> 24
    edge = ((x // 5 + y // 7) % 2) * 255
    r = (x * 255 // max(w - 1, 1) + n // 4) % 256
    g = np.where((x + y) % 13 < 6, edge, n)
    b = (y * 255 // max(h - 1, 1) * 3 + n // 8) % 256
    return Image.fromarray(np.stack([r, g, b], axis=-1).astype(np.uint8))


def grids():
    """[width, height, size, least, most, columns, rows]. Sizes of whole numbers of tiles meet the rule for equal ratios."""
    rng = np.random.default_rng(7)
    rows = []
    for i in range(120):
        size = int(rng.choice([448, 56]))
        if i % 3 == 0:
            w, h = (int(rng.integers(1, 6)) * size // int(rng.integers(1, 4)) for _ in range(2))
        else:
            w, h = (int(2 ** rng.uniform(0, 12.5)) for _ in range(2))
        lo = int(rng.choice([1, 1, 2, 5]))
        hi = int(rng.choice([6, 12, 12, 24]))
        rows.append([w, h, size, lo, hi, *get_optimal_tiled_canvas((h, w), (size, size), lo, hi)])
    return rows


def patches(tiles, size):
    """[tiles, 3, s, s] as [tiles, P, 3*size*size]."""
    n, c, side, _ = tiles.shape
    k = side // size
    return np.ascontiguousarray(tiles.reshape(n, c, k, size, k, size).transpose(0, 2, 4, 1, 3, 5).reshape(n, k * k, c * size * size))


def tiles():
    """[width, height, size, most, tiles, SHA-256, values of the last patch]"""
    rows = []
    for w, h, size, most in [(37, 29, 56, 12), (56, 56, 56, 12), (300, 110, 56, 6), (60, 200, 56, 12), (640, 480, 56, 1), (500, 330, 448, 2), (2, 9, 56, 3)]:
        p = GotOcr2ImageProcessorPil(size={"height": size, "width": size}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
        out = p(picture(w, h), crop_to_patches=True, max_patches=most)
        a = patches(np.stack(out["pixel_values"]).astype(np.float32), 14)
        rows.append([w, h, size, most, len(a), hashlib.sha256(a.astype("<f4").tobytes()).hexdigest(), [float(v) for v in a[-1, -1, ::97]]])
    return rows


# --- models -------------------------------------------------------------------------------------------------------------------


def make(text, d, heads, kv, f, layers, v, vision, tied=False, **k):
    side, patch = vision["image_size"], vision.setdefault("patch_size", 14)
    config = InternVLConfig(
        text_config=dict(
            model_type=text, hidden_size=d, num_attention_heads=heads, num_key_value_heads=kv, intermediate_size=f, num_hidden_layers=layers,
            vocab_size=v, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, bos_token_id=None, eos_token_id=1, tie_word_embeddings=tied,
            max_position_embeddings=512,
        ),
        vision_config=vision, image_token_id=3, image_seq_length=(side // patch // 2) ** 2, tie_word_embeddings=tied, **k,
    )
    model = InternVLForConditionalGeneration._from_config(config, attn_implementation="eager").float().eval()
    # Names as save_pretrained writes them.
    stored = [("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."), ("model.", "")]
    names = {}
    for name, p in model.named_parameters():
        old, new = next(s for s in stored if name.startswith(s[0]))
        names[new + name[len(old):]] = p
    with torch.no_grad():
        for name, p in names.items():
            p.copy_(weight(name, p.shape))
    return model, names


def case(name, model, names, tiles, gradients=False):
    """Text with the given numbers of tiles of pictures in it: two tokens, then each picture and three tokens behind it."""
    c = model.config
    patch = c.vision_config.patch_size[0]
    rng = np.random.default_rng(len(name))
    words = lambda n: rng.integers(4, c.text_config.vocab_size, n).tolist()
    ids = words(2)
    for n in tiles:
        ids += [c.image_token_id] * (n * c.image_seq_length) + words(3)
    side = c.vision_config.image_size[0]
    pixels = drawn("pixels", sum(tiles), (side // patch) ** 2, 3 * patch * patch) # in patches, as the graph reads them
    k = side // patch
    planes = pixels.reshape(-1, k, k, 3, patch, patch).permute(0, 3, 1, 4, 2, 5).reshape(-1, 3, side, side)
    features = model.get_image_features(pixel_values=planes).pooler_output
    logits = model(input_ids=torch.tensor([ids]), pixel_values=planes).logits[0]
    out = {
        "name": name, "config": json.loads(c.to_json_string(use_diff=False)), "tiles": tiles, "ids": ids,
        "features": pack(features), "logits": pack(logits),
    }
    if gradients:
        (logits * drawn("loss", *logits.shape)).sum().backward()
        out["gradients"] = {k: pack(p.grad) for k, p in names.items()}
    return out


def parity():
    vit = lambda d, heads, layers, f, **k: dict(hidden_size=d, num_attention_heads=heads, num_hidden_layers=layers, intermediate_size=f, **k)
    models = {
        "qwen2": make("qwen2", 32, 4, 2, 40, 2, 30, vit(24, 3, 2, 36, image_size=56, attention_bias=True), tied=True),
        "llama": make("llama", 24, 6, 2, 20, 2, 31, vit(16, 2, 3, 20, image_size=24, patch_size=4, use_qk_norm=True, norm_type="rms_norm")),
        "rest": make(
            "llama", 16, 2, 1, 20, 1, 20, vit(12, 1, 2, 16, image_size=28, attention_bias=True, use_mean_pooling=False, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-3),
            projector_hidden_act="silu",
        ),
        "small": make("qwen2", 8, 4, 2, 12, 1, 12, vit(8, 2, 1, 10, image_size=16, patch_size=4, attention_bias=True, use_qk_norm=True)),
        "internlm2": make("llama", 12, 6, 2, 8, 1, 10, vit(8, 2, 1, 10, image_size=8, patch_size=4, norm_type="rms_norm")),
    }
    return models, [
        case("LayerNorm, Qwen2, tied", *models["qwen2"], [3, 1]),
        case("RMSNorm, normed queries, Llama", *models["llama"], [1, 2]),
        case("final norm, other activations, one patch square", *models["rest"], [2]),
        case("gradients", *models["small"], [2], gradients=True),
    ]


def original(model, names, internlm2):
    """The same weights as InternVLChatModel stores them; its names are checked against nothing but the text of its code."""
    c = model.config
    text, vision = c.text_config, c.vision_config
    kv, e, d = text.num_key_value_heads, text.hidden_size // text.num_attention_heads, text.hidden_size
    out = {}
    for name, t in names.items():
        if name.startswith("vision_tower."):
            new = name.replace("vision_tower.", "vision_model.").replace("layer.", "layers.", 1)
            if m := re.search(r"attention\.([qkv])_proj", new):
                if m[1] != "q":
                    continue
                t = torch.cat([names[name.replace("q_proj", f"{x}_proj")] for x in "qkv"])
                new = new.replace("attention.q_proj", "attn.qkv")
            for a, b in [
                ("attention.projection_layer", "attn.proj"), ("attention.", "attn."), ("layernorm_before", "norm1"), ("layernorm_after", "norm2"), ("lambda_", "ls"),
                ("cls_token", "class_embedding"), ("position_embeddings", "position_embedding"), ("patch_embeddings.projection", "patch_embedding"),
            ]:
                new = new.replace(a, b)
        elif name.startswith("multi_modal_projector."):
            part, kind = name.split(".")[1:]
            new = f"mlp1.{dict(layer_norm=0, linear_1=1, linear_2=3)[part]}.{kind}"
        elif internlm2:
            if ".k_proj." in name or ".v_proj." in name:
                continue
            new = name
            if ".q_proj." in name:
                # modeling_internlm2: rearrange(wqkv(x), "b q (h gs d) -> b q h gs d", gs=2 + groups); queries [..., :groups, :], keys [..., -2, :], values [..., -1, :]
                q = t.reshape(kv, -1, e, d)
                k, v = (names[name.replace("q_proj", x)].reshape(kv, 1, e, d) for x in ("k_proj", "v_proj"))
                t = torch.cat([q, k, v], dim=1).reshape(-1, d)
            for a, b in [
                ("self_attn.q_proj", "attention.wqkv"), ("self_attn.o_proj", "attention.wo"), ("mlp.gate_proj", "feed_forward.w1"), ("mlp.up_proj", "feed_forward.w3"),
                ("mlp.down_proj", "feed_forward.w2"), ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm"),
                ("embed_tokens", "tok_embeddings"), ("lm_head", "output"),
            ]:
                new = new.replace(a, b)
        else:
            new = name
        out[new] = {"shape": list(t.shape), "data": pack(t)}
    llm = {k: v for k, v in text.to_dict().items() if k in (
        "hidden_size", "num_attention_heads", "num_key_value_heads", "intermediate_size", "num_hidden_layers", "vocab_size", "rms_norm_eps", "tie_word_embeddings",
        "max_position_embeddings", "eos_token_id", "hidden_act",
    )}
    llm |= {"model_type": "internlm2", "bias": False} if internlm2 else {"model_type": "qwen2", "use_sliding_window": False}
    llm |= {"rope_theta": 10000.0, "rope_scaling": {"type": "dynamic", "factor": 2.0}}
    config = {
        "model_type": "internvl_chat", "downsample_ratio": 0.5, "dynamic_image_size": True, "force_image_size": vision.image_size[0], "max_dynamic_patch": 12,
        "min_dynamic_patch": 1, "ps_version": "v2", "select_layer": -1, "template": "internvl2_5", "use_thumbnail": True, "llm_config": llm,
        "vision_config": {
            "model_type": "intern_vit_6b", "hidden_size": vision.hidden_size, "image_size": vision.image_size[0], "patch_size": vision.patch_size[0],
            "num_attention_heads": vision.num_attention_heads, "num_hidden_layers": vision.num_hidden_layers, "intermediate_size": vision.intermediate_size,
            "norm_type": vision.norm_type, "qkv_bias": vision.attention_bias, "qk_normalization": vision.use_qk_norm, "layer_norm_eps": 1e-6, "hidden_act": "gelu",
        },
    }
    return {"config": config, "native": json.loads(c.to_json_string(use_diff=False)), "tensors": out}


def write(name, value, rows=False):
    with open(f"{sys.argv[1]}/{name}", "w") as f:
        if rows:
            f.write("[\n" + ",\n".join(json.dumps(r) for r in value) + "\n]\n")
        else:
            json.dump(value, f, separators=(",", ":"))
            f.write("\n")


write("grid.json", grids(), rows=True)
write("tiles.json", tiles(), rows=True)
models, cases = parity()
write("parity.json", cases)
write("original.json", [original(*models["small"], False), original(*models["internlm2"], True)])
