"""Reference values for the rewards that other libraries compute as well: runtime/reward/testdata/vectors.json.

    pip install nltk==3.10.4 rouge-score==0.1.2 torch==2.15.0 transformers==5.24.0
    python bench/reward_fixture.py runtime/reward/testdata/vectors.json

text: ROUGE-L (rouge-score, no stemming), sentence BLEU-4 (nltk, smoothing method 2, which is Lin and Och's), n-gram F (mean of rouge-score's ROUGE-1
to ROUGE-4). nltk counts an n-gram longer than the answer as 1/2, so answers here have four words and more.
boxes: IoU and GIoU (transformers' loss of object detection). DIoU is written out below, after arXiv 1911.08287 equation 7.
repetition: open-r1's formula, written out.
"""

import json
import random
import sys

import torch
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score import rouge_scorer
from transformers.loss.loss_for_object_detection import box_iou, generalized_box_iou

random.seed(7)
WORDS = "a the two red black small cat dog sits runs on under in of table chair street and with is".split()


def sentence(low, high):
    return [random.choice(WORDS) for _ in range(random.randint(low, high))]


def close_to(words):
    out = [w for w in words if random.random() > 0.2]
    for _ in range(random.randint(0, 3)):
        out.insert(random.randint(0, len(out)), random.choice(WORDS))
    return out or words


def text():
    rouge = rouge_scorer.RougeScorer(["rougeL", "rouge1", "rouge2", "rouge3", "rouge4"])
    rows = []
    for _ in range(60):
        answer = sentence(4, 14)
        references = [close_to(answer) if random.random() < 0.8 else sentence(1, 14) for _ in range(random.randint(1, 3))]
        scores = [rouge.score(" ".join(r), " ".join(answer)) for r in references]
        grams = []
        for r, s in zip(references, scores):
            lengths = [n for n in range(1, 5) if len(r) >= n or len(answer) >= n]
            grams.append(sum(s[f"rouge{n}"].fmeasure for n in lengths) / len(lengths))
        rows.append({
            "answer": " ".join(answer), "references": [" ".join(r) for r in references],
            "rouge_l": max(s["rougeL"].fmeasure for s in scores), "ngram_f": max(grams),
            "bleu": sentence_bleu(references, answer, smoothing_function=SmoothingFunction().method2),
        })
    return rows


def box():
    x, y = random.uniform(0, 80), random.uniform(0, 80)
    return [x, y, x + random.uniform(1, 60), y + random.uniform(1, 60)]


def boxes():
    rows = []
    for _ in range(60):
        a, b = box(), box()
        ta, tb = torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)
        iou = box_iou(ta, tb)[0].item()
        d2 = sum(((a[i] + a[i + 2]) / 2 - (b[i] + b[i + 2]) / 2) ** 2 for i in (0, 1))
        c2 = sum((max(a[i + 2], b[i + 2]) - min(a[i], b[i])) ** 2 for i in (0, 1))
        rows.append({"a": a, "b": b, "iou": iou, "giou": generalized_box_iou(ta, tb).item(), "diou": iou - d2 / c2})
    return rows


def repetition():
    rows = []
    for n in (1, 2, 3, 20):
        words = sentence(10, 18) + ["the", "cat", "the", "cat"]
        grams = [tuple(words[i:i + n]) for i in range(len(words) - n + 1)]
        rows.append({"text": " ".join(words), "ngram": n, "penalty": len(set(grams)) / len(grams) - 1 if grams else 0.0})
    return rows


with open(sys.argv[1], "w") as f:
    json.dump({"text": text(), "boxes": boxes(), "repetition": repetition()}, f, indent=0)
