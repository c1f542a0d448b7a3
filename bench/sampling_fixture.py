"""Writes runtime/models/decoder/testdata/sampling.json: what transformers' logits processors, in the order in which generate applies
them, leave of distributions, for filter_test.go to compare.

    python bench/sampling_fixture.py
"""

import json
import pathlib

import torch
import transformers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

VOCAB = 48
CASES = [
    {},
    {"temperature": 0.5},
    {"top_k": 5},
    {"top_k": 100},
    {"top_p": 0.9},
    {"top_p": 0.05},
    {"min_p": 0.1},
    {"min_p": 1.0},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6, "temperature": 1.5},
    {"top_k": 12, "top_p": 0.7},
    {"top_p": 0.8, "min_p": 0.2, "temperature": 2.0},
    {"top_k": 20, "min_p": 0.05, "temperature": 0.7},
    {"repetition_penalty": 1.3, "temperature": 0.8, "top_k": 15, "top_p": 0.85, "min_p": 0.15},
]


def main():
    torch.manual_seed(4)
    # The processors come from generate's own list, so that their order is the library's and not this file's.
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCAB, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, pad_token_id=0))
    out = []
    for case in CASES:
        seen = torch.randint(0, VOCAB, (9,)).tolist()  # with repetitions
        # Multiples of 1/64, all different: no two tokens tie, and the fixture is exact as text.
        logits = (torch.randperm(VOCAB * 8)[:VOCAB].float() - VOCAB * 4) / 64
        config = GenerationConfig(do_sample=True, **{"temperature": 1.0, "top_k": 0, "top_p": 1.0, **case})
        ids = torch.tensor([seen])
        processors = model._get_logits_processor(generation_config=config, input_ids_seq_length=len(seen))
        scores = processors(ids, logits[None].clone())[0].double()
        logp = torch.log_softmax(scores, -1)
        kept = [v for v in range(VOCAB) if scores[v] > -float("inf")]
        out.append({
            **case, "seen": seen, "logits": logits.tolist(), "kept": kept, "logp": [round(logp[v].item(), 7) for v in kept],
            "processors": [type(p).__name__ for p in processors],
        })
    path = pathlib.Path(__file__).parent.parent / "runtime/models/decoder/testdata/sampling.json"
    path.parent.mkdir(exist_ok=True)
    rows = ",\n".join(json.dumps(o) for o in out)
    path.write_text(f'{{"transformers": "{transformers.__version__}", "cases": [\n{rows}\n]}}\n')
    print(f"{path}: {len(out)} cases of transformers {transformers.__version__}")


main()
