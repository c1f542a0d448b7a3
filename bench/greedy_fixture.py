#!/usr/bin/env python3
"""Writes what transformers answers, greedily and in float32, to 50 questions with a real small model: the oracle for sampling.

    pip install torch transformers
    python bench/greedy_fixture.py ../shared/models/minimind2-small runtime/train/testdata/greedy.json

Questions are the first of the GSM8K sample's test split and others of everyday; each is asked through the model's own chat template.
"""
import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TOKENS = 64
EVERYDAY = [
    "What is the capital of France?", "Why is the sky blue?", "Write a short poem about the sea.", "How do I boil an egg?", "Who wrote Hamlet?",
    "List three primary colours.", "What is 12 + 30?", "Translate 'good morning' into French.", "What does DNA stand for?", "Name a mammal that can fly.",
    "How many days are in a leap year?", "What is photosynthesis?", "Tell me a joke.", "What is the largest planet?", "Explain gravity to a child.",
    "Give me a recipe for pancakes.", "What is machine learning?", "Who was the first person on the moon?", "What is the boiling point of water?",
    "你好，请介绍一下你自己。", "中国的首都是哪里？", "请写一首关于春天的诗。", "1 加 1 等于几？", "什么是人工智能？", "推荐一本好书。",
]


def main(model_dir, out):
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    sample = pathlib.Path(__file__).parent.parent / "datasets" / "gsm8k" / "test.jsonl"
    problems = [r["question"] for r in map(json.loads, sample.read_text().splitlines()) if r["task"] == "chart"][:25]
    rows = []
    for question in problems + EVERYDAY:
        ids = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            full = model.generate(**ids, max_new_tokens=TOKENS, do_sample=False)
        prompt = ids["input_ids"][0].tolist()
        rows.append({"question": question, "prompt": prompt, "answer": full[0, len(prompt):].tolist()})
    text = "[\n" + ",\n".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in rows) + "\n]\n"
    pathlib.Path(out).write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
