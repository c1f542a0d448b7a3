#!/usr/bin/env python3
"""Makes datasets/gsm8k, the committed sample, from the first 1,000 training problems of GSM8K (Cobbe et al. 2021, MIT).

    python3 bench/gsm8k_sample.py [../shared/data] [datasets/gsm8k]

In: gsm8k/data.jsonl, problems with their final answer. Out: train.jsonl, test.jsonl.

Three tasks a problem: the number itself (chart), four options (mcq), and whether a proposed number is right (yesno). Wrong
numbers are what a careless reader gets from two numbers of the problem. Everything that is chosen is chosen by a hash of an
id, so the output does not depend on row order. Each row has `target`, a completion to learn from: the numbers of the problem,
then the answer.
"""
import hashlib
import json
import pathlib
import re
import sys

TEST_PER_MILLE = 200


def digest(*key):
    """A number that depends on key only."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, key)).encode()).digest()[:8], "big")


def shuffled(items, *key):
    return sorted(items, key=lambda item: digest(*key, item))


def numbers(text):
    """The whole numbers written in the text, in order, each once."""
    found = [int(n.replace(",", "")) for n in re.findall(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d.]*\d)|(?<![\d.,])\d+(?![\d]*[.,]\d)", text)]
    return list(dict.fromkeys(found))


def wrong(ident, text, right):
    """Three numbers that a careless reader could give."""
    given = numbers(text)
    near = {a + b for a in given for b in given if a != b} | {a - b for a in given for b in given} | {a * b for a in given for b in given if a != b} | set(given)
    near = [n for n in near if n > 0 and n != right and n < 100 * max(right, 1)]
    chosen = shuffled(near, ident, "wrong")[:3]
    for step in (1, 2, 10, 5, 3):  # problems with their numbers in words have too few
        if len(chosen) < 3 and right + step not in chosen:
            chosen.append(right + step)
    return chosen


def rows(problem):
    ident, text = problem["id"], " ".join(problem["question"].split())
    right = int(problem["answers"][0].replace(",", ""))
    note = f"<think>{', '.join(map(str, numbers(text))) or 'words'}</think>"
    yield {"id": f"{ident}/chart", "task": "chart", "question": text, "answers": [str(right)], "target": f"{note}<answer>{right}</answer>"}
    choices = shuffled([right] + wrong(ident, text, right), ident, "order")
    letter = "ABCD"[choices.index(right)]
    yield {"id": f"{ident}/mcq", "task": "mcq", "question": text, "choices": [str(c) for c in choices], "answers": [letter, str(right)],
           "target": f"{note}<answer>{letter}</answer>"}
    true = digest(ident, "yesno") % 2 == 0
    proposed = right if true else wrong(ident, text, right)[0]
    yield {"id": f"{ident}/yesno", "task": "yesno", "question": f"{text} Is the answer {proposed}?", "answers": ["yes" if true else "no"],
           "target": f"{note}<answer>{'yes' if true else 'no'}</answer>"}


def main(source="../shared/data", out="datasets/gsm8k"):
    out = pathlib.Path(out)
    splits = {"train": [], "test": []}
    for line in (pathlib.Path(source) / "gsm8k" / "data.jsonl").read_text().splitlines():
        problem = json.loads(line)
        splits["test" if digest("split", problem["id"]) % 1000 < TEST_PER_MILLE else "train"] += rows(problem)
    for split, kept in splits.items():
        kept.sort(key=lambda r: r["id"])
        (out / f"{split}.jsonl").write_text("".join(json.dumps(r, separators=(",", ":")) + "\n" for r in kept))
        print(split, len(kept))


if __name__ == "__main__":
    main(*sys.argv[1:])
