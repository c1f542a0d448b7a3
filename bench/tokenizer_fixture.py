"""Writes what the reference tokenizers library (pip install tokenizers==0.23.3) makes of hard strings.

    python bench/tokenizer_fixture.py [--qwen2-split] TOKENIZER_FOLDER OUT.json [RANDOM_STRINGS [SEED]]

The committed fixtures of runtime/token/testdata come from it:
    nano.json        experiments/policies/nano (GPT-2 pattern)
    nano_qwen2.json  the same vocabulary with --qwen2-split: Qwen2's pre-tokenizer and NFC in place of its own
    qwen2.json       the published Qwen2.5 tokenizer
Each entry is [text, ids, decoded text without special tokens].
"""

import argparse
import json
import random

from tokenizers import Tokenizer

HARD = [
    "", " ", "  ", "   ", "\n", "\n\n", " \n", "\n ", " \n \n ", "\r\n", "\r\n\r\n", "\t", "\t\t", " \t ", "\u00a0", " \u00a0a",
    "\u3000", "\u2028", "\u0085", "\ufeff", "\ufeffa", "a\ufeffb", "\u200b", "a \u200b b", "\u180e", "\x1c", "a\x1cb", "\x0b\x0c",
    "a", "A", "abc", " abc", "  abc", "   abc", "abc ", "abc  ", "abc   def", "Hello, world!", "hello world", " Hello  World ",
    "The quick brown fox jumps over the lazy dog.", "THE QUICK BROWN FOX", "camelCaseIdentifier snake_case kebab-case",
    "don't", "DON'T", "Don'T", "I'm you're we've he'd she'll it's", "'s", "''s", "'S", "'\u017f", "it'\u017f", "'ll'll", "'lL", "'re", "'RE'VE",
    "'tis", " 'tis", "rock'n'roll", "'d", "'D", "o'clock", "'", "''", "'''", " '", "' ", "\u2019s", "don\u2019t",
    "0", "1", "12", "123", "1234", "3.14159", "1,234,567.89", " 42", "  42", "42 43  44", "1e-5", "0x1F", "2024-11-24", "10:30", "50%",
    "$19.99", "\u00bd", "\u00b2\u00b3", "\u2167", "\u0661\u0662\u0663", "\u0967\u0968", "a1b2c3", "1a", "x2y", "12abc34", "abc123def456", "\u2460\u2461",
    "!", "!!", "!!!", "?!", "...", "....", "\u2026", "---", "#include <stdio.h>", "a+b=c", "a + b = c", "x != y && z || w", "->", "=>", "::",
    "(a)", "[b]", "{c}", "<d>", "</d>", "\"quoted\"", "`code`", "a/b/c", "C:\\path\\file", "http://example.com/a?b=c&d=e#f", "user@example.com",
    "!\n", "!\r\n", "!\n\n\n", " !\n a", "a!\nb", "...\n\n", ")\n\n", "};\r\n\r\n", "foo();\n\n\tbar();\n",
    "def f(x):\n    return x + 1\n\n\nclass A:\n\tpass\n", "if (a) {\n  b();\n}\n", "for i in range(10):\n        print(i)  # eight\n",
    "\tindented\n\t\ttwice", "    four", "a\n    b", "a \n b", "a  \n  b", "a\n\n\n    b", "  \n  \n  x", "trailing   \n", "\n\n\n   ", "a\t b", "a \tb",
    "{\"bbox_2d\": [12, 34, 560, 780], \"label\": \"cat\"}", "| a | b |\n|---|---|\n| 1 | 2 |", "\\frac{1}{2} \\times \\sqrt{x^2}", "$E = mc^2$",
    "caf\u00e9", "cafe\u0301", "e\u0301", "\u0301", "a\u0301\u0323", "\u00c5", "A\u030a", "\u212b", "\u1e9b\u0323", "\ufb01", "n\u0303", "\u0958", "\u2126",
    "na\u00efve r\u00e9sum\u00e9", "Stra\u00dfe", "\u0130stanbul \u0131", "\u01c4\u01c5\u01c6", "\u00aa\u00ba", "\u02b0\u02b1",
    "\u4f60\u597d", "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u6211\u662f\u4e00\u4e2a\u4eba\u5de5\u667a\u80fd\u52a9\u624b\u3002", "\u4e2d\u6587abc123", "\u4eca\u5929\u662f2024\u5e7411\u670824\u65e5",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30b9\u30c8", "\u30ab\u3099", "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab", "\u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0442\u0435\u043a\u0441\u0442", "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac",
    "\u0639\u0631\u0628\u064a", "\u05e2\u05d1\u05e8\u05d9\u05ea", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0e44\u0e17\u0e22", "ti\u1ebfng Vi\u1ec7t", "\u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8",
    "\U0001f600", "\U0001f600\U0001f601", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "ok \U0001f44c!", "\U0001d400\U0001d401", "\U0001f130",
    "\U00020000", "\U0010ffff", "\ue000", "\ufffd", "\ufffe", "\u0000", "a\u0000b", "\u007f", "\u001b[31m", "\u00ad",
    "\u2003a", "a\u2009b", "\u1680x", "\u205f\u205fy", "\u2028\n\u2029", "\u00a0\n", "\n\u00a0a", "\u3000\u3000a", "\u2581a",
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "a<|im_end|>b", " <|im_end|> ",
    "<|im_end", "<|im_end|", "|im_end|>", "<<|im_end|>>", "<|im_end|><|im_end|>", "<|im_start|><|im_end|>\n\n", "<|IM_END|>", "<|im_start|",
    "<|vision_start|><|image_pad|><|image_pad|><|vision_end|>Where?", "<|video_pad|>", "<|vision_pad|>x", "<think>\nhm\n</think>\n<answer>\n42\n</answer>",
    "<think></think>", "a <think> b", "<answer>yes</answer>", "<answer> yes </answer>", "<thinking>", "</answer", "<tool_call>\n{}\n</tool_call>",
    "e<|im_end|>\u0301", "<|im_end|>\u0301a", "cafe<think>\u0301", "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>",
    "a" * 47, "a" * 48, "a" * 49, "ab" * 100, "xyz" * 200, " " * 50, "\n" * 60, "-" * 80, "=" * 33 + "\n", "9" * 64, "\u4e2d" * 40, "q" * 300,
    "loremipsumdolorsitametconsecteturadipiscingelitseddoeiusmodtempor", "AAAAaaaaBBBBbbbb" * 8, "\U0001f600" * 20, "!?" * 40, "hahaha" * 30,
]

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_SPLIT = {
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        ],
    },
}

ALPHABET = (
    list("aaeiou tnsrl  \n\n\t'sdtmvlrAEIST0123456789.,!?-_()[]{}<>|/\\\"#$%&*+=:;@^`~\r")
    + ["'s", "'ll", "'T", " the", " and", "ing", "  ", "\r\n", "\u00e9", "e\u0301", "\u0301", "\u0323", "\u00a0", "\u3000", "\u2028", "\u0085", "\ufeff", "\u200d", "\u017f"]
    + ["\u4f60", "\u597d", "\u3002", "\u0434", "\u03bb", "\u0639", "\u0939", "\u093f", "\u1112\u1161\u11ab", "\ud55c", "\u00bd", "\u0661", "\u2167", "\U0001f600", "\ufe0f", "\U0001d400"]
    + ["<|im_end|>", "<|im_start|>", "<|image_pad|>", "<think>", "</answer>", "<|im_", "|>"]
)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--qwen2-split", action="store_true")
    p.add_argument("folder")
    p.add_argument("out")
    p.add_argument("random", nargs="?", type=int, default=40)
    p.add_argument("seed", nargs="?", type=int, default=7)
    a = p.parse_args()
    rng = random.Random(a.seed)
    texts = list(HARD)
    for _ in range(a.random):
        kind, length = rng.random(), rng.randint(1, 40)
        if kind < 0.8:
            texts.append("".join(rng.choice(ALPHABET) for _ in range(length)))
        else:  # any code point but surrogates
            texts.append("".join(chr(c) for c in (rng.randrange(0x30000) for _ in range(length)) if not 0xD800 <= c < 0xE000))
    with open(a.folder + "/tokenizer.json") as f:
        spec = json.load(f)
    if a.qwen2_split:
        spec.update(QWEN2_SPLIT)
    t = Tokenizer.from_str(json.dumps(spec))
    rows = []
    for text in texts:
        ids = t.encode(text, add_special_tokens=False).ids
        rows.append(json.dumps([text, ids, t.decode(ids, skip_special_tokens=True)]))
    with open(a.out, "w") as f:
        f.write("[\n" + ",\n".join(rows) + "\n]\n")


main()
