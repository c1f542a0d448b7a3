"""Writes the M-RoPE positions that transformers (pip install torch transformers==5.24) gives prompts of text, images and videos.

    python bench/positions_fixture.py runtime/models/qwen25vl/testdata

    positions.json  rows of tokens_per_second, the prompt's segments ([tokens] of text, [h, w] of an image, [t, h, w, fps] of a video),
                    the positions on t, h and w, and the position of the first completion token
"""

import json
import random
import sys

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel

TEXT, IMAGE, VIDEO = 0, 1, 2


def positions(tokens_per_second, segments):
    kinds, images, videos, seconds = [], [], [], []
    for s in segments:
        if len(s) == 1:
            kinds += [TEXT] * s[0]
        elif len(s) == 2:
            kinds += [IMAGE] * (s[0] * s[1] // 4)
            images.append([1, *s])
        else:
            kinds += [VIDEO] * (s[0] * s[1] * s[2] // 4)
            videos.append(s[:3])
            seconds.append(2 / s[3])  # as Qwen2_5_VLProcessor
    tower = dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=2, out_hidden_size=16, tokens_per_second=tokens_per_second)
    text = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, vocab_size=10)
    text["rope_parameters"] = dict(rope_type="default", rope_theta=1e4, mrope_section=[1, 1, 2])
    with torch.device("meta"):
        model = Qwen2_5_VLModel(Qwen2_5_VLConfig(text_config=text, vision_config=tower))
    kinds.append(0)  # a token of text behind all: where generate goes on, which is not what delta says behind a video
    ids = torch.zeros(1, len(kinds), dtype=torch.long)
    pos, _ = model.get_rope_index(
        ids, torch.tensor([kinds]), torch.tensor(images) if images else None, torch.tensor(videos) if videos else None,
        torch.tensor(seconds) if seconds else None)
    return pos[:, 0, :-1].tolist(), pos[:, 0, -1].max().item()


def main():
    rng, rows = random.Random(11), []
    even = lambda most: 2 * rng.randint(1, most)
    for n in range(40):
        segments = [[rng.randint(1, 4)]]
        for _ in range(rng.randint(1, 3)):
            video = n % 4 != 0 and rng.random() < 0.7
            segments.append([rng.randint(1, 4), even(3), even(3), rng.choice([0.3, 0.5, 0.7, 1, 1.1, 2, 3, 4, 5.5, 24, 29.97])] if video else [even(4), even(4)])
            segments.append([rng.randint(1, 3)])
        if n % 5 == 0:
            segments.pop()
        per_second = rng.choice([2, 2, 4, 25, 3])
        rows.append([per_second, segments, *positions(per_second, segments)])
    with open(f"{sys.argv[1]}/positions.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n]\n")


main()
