"""Writes what transformers makes of texts in float32: the oracle for the encoders (pip install transformers==5.24.0 torch==2.15.0 tokenizers safetensors).

    python bench/encoder_fixture.py bert runtime/models/bert/testdata MODEL      MODEL: a folder with all-MiniLM-L6-v2
    python bench/encoder_fixture.py modernbert runtime/models/modernbert/testdata

    parity.json     random small models: config.json, token ids, hidden states of every token, and for the smallest one the gradient of
                    every parameter. The weights are a function of their names (noise below), so that only results are stored
    minilm.json     bert alone: sentences, their token ids, and every twelfth of the 384 components of their hidden states

Arrays are base64 of little-endian float32.
"""

import base64
import json
import sys

import numpy as np
import torch
from transformers import BertConfig, BertModel, ModernBertConfig, ModernBertModel

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


def weight(name, shape):
    """Weights large enough that every term of the model shows in its results."""
    u = noise(name, int(np.prod(shape)))
    if len(shape) == 2:
        u = u * np.sqrt(3 / shape[1])
    elif name.endswith(".bias"):
        u = 0.3 * u
    else:
        u = 1 + 0.3 * u
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


def pack(x):
    return base64.b64encode(np.ascontiguousarray(x.detach().numpy(), dtype="<f4").tobytes()).decode()


def batch(rows, types):
    """Rows padded on the right."""
    t = max(map(len, rows))
    pad = lambda r: r + [0] * (t - len(r))
    feeds = {"input_ids": torch.tensor([pad(r) for r in rows]), "attention_mask": torch.tensor([pad([1] * len(r)) for r in rows])}
    if types:
        feeds["token_type_ids"] = torch.tensor([pad(r) for r in types])
    return feeds


def case(name, model, config, lengths, types=None, gradients=False):
    state = {k: weight(k, v.shape) for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    model.eval()
    rng = np.random.default_rng(len(lengths) + sum(lengths))
    rows = [rng.integers(1, model.config.vocab_size, n).tolist() for n in lengths]  # torch gives row 0, padding_idx, no gradient
    feeds = batch(rows, types)
    hidden = model(**feeds).last_hidden_state[feeds["attention_mask"].bool()]  # tokens of all rows, without padding
    out = {"name": name, "config": config, "rows": rows, "types": types, "hidden": pack(hidden)}
    if gradients:
        (hidden * torch.from_numpy(noise("loss", hidden.numel()).astype(np.float32).reshape(hidden.shape))).sum().backward()
        out["gradients"] = {k: pack(p.grad) for k, p in model.named_parameters() if p.grad is not None}
    return out


def write(path, value):
    with open(path, "w") as f:
        json.dump(value, f, separators=(",", ":"))
        f.write("\n")


def saved(config):
    """What save_pretrained writes as config.json."""
    return json.loads(config.to_json_string())


def bert():
    def make(**k):
        config = BertConfig(attn_implementation="eager", **k)
        return BertModel(config, add_pooling_layer=False), saved(config)

    def sizes(d, heads, f, layers, v, positions=12, **k):
        return make(hidden_size=d, num_attention_heads=heads, intermediate_size=f, num_hidden_layers=layers, vocab_size=v, max_position_embeddings=positions, **k)

    types = [[0, 0, 0, 1, 1, 1, 1], [1], [0, 1, 1, 0]]
    return [
        case("lengths and types", *sizes(24, 3, 40, 2, 30), [7, 1, 4], types),
        case("one head, relu", *sizes(20, 1, 12, 1, 15, hidden_act="relu"), [5, 6]),
        case("gelu_new, all positions", *sizes(32, 4, 48, 3, 40, hidden_act="gelu_new"), [12]),
        case("one type, large norm eps", *sizes(16, 2, 24, 4, 30, type_vocab_size=1, layer_norm_eps=1e-2), [3, 9, 2, 9]),
        case("gradients", *sizes(8, 2, 12, 2, 11, positions=6), [5, 3], [[0, 0, 1, 1, 1], [0, 1, 1]], gradients=True),
    ]


def modernbert():
    def make(file=None, **k):
        config = ModernBertConfig(attn_implementation="eager", pad_token_id=0, **(file or k))
        return ModernBertModel(config), file or saved(config)

    def sizes(d, heads, f, layers, v, **k):
        return make(hidden_size=d, num_attention_heads=heads, intermediate_size=f, num_hidden_layers=layers, vocab_size=v, max_position_embeddings=200, **k)

    older = { # as released checkpoints have it
        "model_type": "modernbert", "hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 20, "num_hidden_layers": 5, "vocab_size": 30,
        "max_position_embeddings": 64, "hidden_activation": "gelu", "norm_eps": 1e-5, "norm_bias": False, "attention_bias": False, "mlp_bias": False,
        "local_attention": 6, "global_attn_every_n_layers": 2, "global_rope_theta": 80000.0, "local_rope_theta": 500.0,
    }
    turned = ["sliding_attention", "full_attention", "sliding_attention"]
    rope = {"full_attention": {"rope_type": "default", "rope_theta": 2000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}
    return [
        case("older layout, past the window, lengths", *make(older), [19, 2, 11]),
        case("every bias", *sizes(32, 4, 24, 4, 30, norm_bias=True, attention_bias=True, mlp_bias=True, local_attention=4), [9, 5]),
        case("layer types, one head", *sizes(12, 1, 20, 3, 30, layer_types=turned, rope_parameters=rope, local_attention=5), [14]),
        case("gelu_pytorch_tanh, inside the window", *sizes(16, 2, 24, 4, 30, hidden_activation="gelu_pytorch_tanh"), [3, 8]),
        case("window of 128", *sizes(12, 3, 10, 4, 50), [150]),
        case("gradients", *sizes(8, 2, 6, 4, 11, local_attention=2), [6, 3], gradients=True),
    ]


SENTENCES = [
    "A cat stands on the branches of a tree.",
    "Two people read; one of them doesn't look up, the other counts: 1, 2, 3...",
    "GRPO",
    "Whether the unbelievably long-winded explanation (of 27% of the students) was understood is anybody's guess!",
]


def minilm(folder):
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    rows = [tokenizer.encode(s).ids for s in SENTENCES]
    model = BertModel(BertConfig.from_pretrained(folder, attn_implementation="eager"), add_pooling_layer=False).eval()
    state = load_file(f"{folder}/model.safetensors")
    model.load_state_dict({k: state[k].float() for k in model.state_dict()})
    feeds = batch(rows, None)
    with torch.no_grad():
        hidden = model(**feeds).last_hidden_state[feeds["attention_mask"].bool()]
    return {"sentences": SENTENCES, "rows": rows, "hidden": pack(hidden[:, ::12])}


family, out = sys.argv[1], sys.argv[2]
write(f"{out}/parity.json", {"bert": bert, "modernbert": modernbert}[family]())
if family == "bert":
    write(f"{out}/minilm.json", minilm(sys.argv[3]))
