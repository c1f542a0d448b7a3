"""Writes what the reference libraries make of hard strings: the fixtures of runtime/token/testdata.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python bench/tokenizer_fixture.py [--seed SEED] [--shared MODELS] OUT_FOLDER

strings.json.gz holds the strings. NAME.json.gz holds, for one tokenizer,
    base       where its tokenizer.json is: "nano" (experiments/policies/nano), a folder of MODELS, or "" (in the fixture)
    patch      what is put in place of the base's top-level keys; model is merged key by key, added_tokens are appended
    rows       for each string [ids, decoded without special tokens, decoded with them]; a text equal to the string, or to
               the one before, is null; a row equal to that of nano.json.gz is null in the fixtures with base "nano"
    special    ids with the tokens around the text, for the first strings
NAME.model is a sentencepiece model trained here and NAME.json.gz its rows; those of strings with control tokens, which
sentencepiece does not look for, are null. unicode.json.gz holds the code points that the
reference takes for letters, numbers, marks and so on, as ranges. Published tokenizers are too large to commit: the test
of their fixtures reads ../shared/models. With another seed the script makes new random strings (just parity).
"""

import argparse
import gzip
import json
import pathlib
import random
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent

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

MORE = [
    "Z" + "\u0301\u0323" * 20 + "algo", "\u0301" * 35, "a\u0323" + "\u0301" * 40 + "b\u0327\u0306", "\u1100\u1161\u11a8" * 20, "\u1100\u1161", "\uac00\u11a8", "\u0f71\u0f72\u0f74",
    "\u05d0\u05b0\u05bc", "\u05bc\u05b0", "\u0643\u0650\u062a\u064e\u0627\u0628", "\u202eabc\u202c", "\u200fabc\u200e", "\u2067\u05d0\u2069 b", "\u1e0a\u0323", "D\u0307\u0323", "\u01d5", "\u1fb7",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001f469\U0001f3fd\u200d\U0001f680", "1\ufe0f\u20e3", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\u263a\ufe0e",
    "<s>", "</s>", "<s> a</s>", "a <s>b", "<unk>", "<pad>", "[CLS]", "[SEP] x", "a[MASK]b", "a  [MASK]  b", "[MASK][MASK]", "  [MASK]", "[mask]", "[PAD]", "[UNK]", "x[UNK]y",
    "<|begin_of_text|>", "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>", "|||IP_ADDRESS|||", "say |||IP_ADDRESS||| now", "caf\u00e9!token", "cafe\u0301!token",
    "\u2581", "\u2581\u2581a", "a\u2581b", " \u2581 a", "a \u2581", "<0x0A>", "<0xE4><0xBD>", "<0xGG>", "\u2581the", "the the  the   the",
    "word next", "xword", "word", " word ", "word.", "9word", "_word", "\u0301word", "wordword", "1234567890", "12 345 6789", "1,234", "\u0661\u0662\u0663\u0664", "v1.2.3-rc4", "2x2=4",
    "H\u00e9llo W\u00f6rld", "\u00c0\u00c9\u00ce\u00d5\u00dc", "\u0130\u0131I i", "\u03a3\u03c2\u03c3 \u039f\u0394\u039f\u03a3", "\u1e9e\u00df", "\u01f0", "\ua64b", "\u10a0\u13a0", "unaffable", "unaffableness",
    "a" * 99, "a" * 100, "a" * 101, "\u00e9" * 100, "\u00e9" * 101, "\u4e00\u4e01\u3400\uf900", "\u3042\u30a2\uac00", "do not", "I ' m", "can ' t .", "they 're", "hello , world !",
    "\t\ttabs\there", "a\r\nb\r\n\r\nc", "a\rb", "\r", "\n\r", "  \r\n  ", "\x85a", "a\u2029b", "\x1f\x1e", "\u00ad-\u00ad", "\u2060\ufeff\u200b", "\ue000\uf8ff", "\U000f0000", "\u0378", "\u0600\u06dd", "\u180e",
    "for(int i=0;i<n;++i){a[i]+=b[i]<<2;}", "SELECT * FROM t WHERE x='y';--", "<div class=\"a\">&nbsp;</div>", "\u00e9\\n\\t", "{{ x|y }} {% if a %}", "f\"{a!r:>10}\"", "@decorator\ndef f(*a, **k) -> None: ...",
    "ab" * 700, "\u4e2d\u6587" * 300, "supercalifragilisticexpialidocious" * 30, "=" * 1000, " " * 700 + "x", "\n" * 400, "\U0001f600" * 200, "Aa1 " * 300, "1" * 1000,
]

ALPHABET = (
    list("aaeiou tnsrl  \n\n\t'sdtmvlrAEIST0123456789.,!?-_()[]{}<>|/\\\"#$%&*+=:;@^`~\r")
    + ["'s", "'ll", "'T", " the", " and", "ing", "  ", "\r\n", "\u00e9", "e\u0301", "\u0301", "\u0323", "\u00a0", "\u3000", "\u2028", "\u0085", "\ufeff", "\u200d", "\u017f"]
    + ["\u4f60", "\u597d", "\u3002", "\u0434", "\u03bb", "\u0639", "\u0939", "\u093f", "\u1112\u1161\u11ab", "\ud55c", "\u00bd", "\u0661", "\u2167", "\U0001f600", "\ufe0f", "\U0001d400"]
    + ["<|im_end|>", "<|im_start|>", "<|image_pad|>", "<think>", "</answer>", "<|im_", "|>"]
)


def strings(seed):
    """At least 700 strings: the written ones, each general category in context, and random ones."""
    rng = random.Random(seed)
    texts = list(dict.fromkeys(HARD + MORE))
    by_category = {}
    for c in range(0x32000):
        by_category.setdefault(unicodedata.category(chr(c)), []).append(chr(c))
    for category, members in sorted(by_category.items()):
        if category == "Cs":
            continue
        for _ in range(6):
            x, y = rng.choice(members), rng.choice(members)
            texts += ["a" + x + y + "b " + x + " 1" + y + "\n" + x + "!" + y]
    while len(texts) < 760:
        kind, length = rng.random(), rng.randint(1, 40)
        if kind < 0.8:
            texts.append("".join(rng.choice(ALPHABET) for _ in range(length)))
        else:  # any code point but surrogates
            texts.append("".join(chr(c) for c in (rng.randrange(0x30000) for _ in range(length)) if not 0xD800 <= c < 0xE000))
    return texts


def split_pattern(numbers):
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + numbers + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def split(numbers, behavior="Isolated", invert=False):
    return {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": split_pattern(numbers)}, "behavior": behavior, "invert": invert},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        ],
    }


def added(content, id=None, **kw):
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return dict(id=id, content=content, **(flags | kw))


def template(before, after):
    """The post-processor of one text between tokens, given as (text, id)."""
    token = lambda t: {"SpecialToken": {"id": t[0], "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [token(t) for t in before] + [{"Sequence": {"id": "A", "type_id": 0}}] + [token(t) for t in after],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {t[0]: {"id": t[0], "ids": [t[1]], "tokens": [t[0]]} for t in before + after},
    }


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
N = 6409  # tokens of nano

# Pipelines of published families on the vocabulary of nano.
PATCHES = {
    "nano": {},
    "nano_qwen2": {"normalizer": {"type": "NFC"}, "pre_tokenizer": split(r"\p{N}"), "post_processor": BYTES},
    "nano_llama3": {
        "pre_tokenizer": split(r"\p{N}{1,3}"),
        "model": {"ignore_merges": True, "byte_fallback": False},
        "added_tokens": [added(t, special=True) for t in ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")],
        "post_processor": {"type": "Sequence", "processors": [BYTES, template([("<|begin_of_text|>", N)], [])]},
    },
    "nano_split2": {"pre_tokenizer": split(r"\p{N}{1,2}", "Removed", True)},
    "nano_smollm": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTES]}},
    "nano_modernbert": {
        "normalizer": {"type": "NFC"},
        "post_processor": template([("[CLS]", N + 5)], [("[SEP]", N + 6)]),
        "added_tokens": [added("|||IP_ADDRESS|||", normalized=True)]
        + [added(" " * n, normalized=True) for n in (8, 4, 3, 2)]
        + [added(t, special=True) for t in ("[CLS]", "[SEP]", "[PAD]")]
        + [added("[MASK]", special=True, lstrip=True), added("[UNK]", special=True, rstrip=True)]
        + [added("cafe\u0301!token", normalized=True), added("word", single_word=True), added("\u00e9\u00e9", special=True)],
    },
    "nano_roberta": {
        "post_processor": {"type": "RobertaProcessing", "sep": ["<|im_end|>", 2], "cls": ["<|im_start|>", 1], "trim_offsets": True, "add_prefix_space": False}
    },
}


def corpus():
    """Text to train small tokenizers on."""
    docs = sorted(p for p in ROOT.glob("*/*.md"))[:12]
    return [p.read_text() for p in docs] + HARD * 2


def small(kind):
    """Returns a tokenizer of a family, trained on the corpus."""
    if kind == "wordpiece":
        t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
        t.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=False)
        t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=700, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False)
        t.train_from_iterator(corpus(), trainer)
        t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        t.decoder = decoders.WordPiece(cleanup=False)
        return t
    fallback = kind != "unk"
    specials = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if fallback else [])
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=fallback))
    if kind == "llama2":
        t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
        t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    else:
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first" if kind == "metaspace" else "always", split=kind == "unk")
        t.decoder = decoders.Metaspace(prepend_scheme="first") if kind == "unk" else decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    words = [" ".join(text.split()) for text in corpus()]
    if kind != "unk":  # sentencepiece does not let a token reach over a blank; the trainer would, in a text that is one word
        words = [w for text in words for w in text.split(" ")]
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=specials, show_progress=False, limit_alphabet=120)
    t.train_from_iterator(words, trainer)
    spec = json.loads(t.to_str())
    spec["added_tokens"] = [a for a in spec["added_tokens"] if a["id"] < 3]
    spec["post_processor"] = template([("<s>", 1)], [])
    return Tokenizer.from_str(json.dumps(spec))


def patched(spec, patch):
    spec = dict(spec)
    for key, value in patch.items():
        if key == "model":
            spec[key] = spec[key] | value
        elif key == "added_tokens":
            spec[key] = spec[key] + value
        else:
            spec[key] = value
    return spec


def shown(text, decoded, whole):
    return [None if decoded == text else decoded, None if whole == decoded else whole]


def rows(t, texts):
    encoded = [t.encode(x, add_special_tokens=False).ids for x in texts]
    return {
        "rows": [[e] + shown(x, t.decode(e), t.decode(e, skip_special_tokens=False)) for x, e in zip(texts, encoded)],
        "special": [t.encode(x).ids for x in texts[:40]],
    }


def sentencepiece_model(path, **options):
    import sentencepiece

    lines = [line for text in corpus() for line in text.split("\n") if line.strip()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(path.with_suffix("")), model_type="bpe", vocab_size=900,
        normalization_rule_name="identity", user_defined_symbols=["<|im_start|>", "<|im_end|>", "\u2581word"], unk_surface="<unk>", minloglevel=2,
        **options)
    path.with_suffix(".vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def sentencepiece_rows(sp, texts):
    ids = [sp.encode(x) for x in texts]
    controls = lambda x: any(c in x for c in ("<s>", "</s>", "<unk>"))
    known = lambda e: [i for i in e if i != sp.unk_id()]
    return {"rows": [None if controls(x) else [e] + shown(x, sp.decode(known(e)), sp.decode(e)) for x, e in zip(texts, ids)]}


def ranges(codes):
    out = []
    for c in codes:
        if out and out[-1] == c - 1:
            out[-1] = c
        else:
            out += [c, c]
    return out


def unicode_classes():
    """What the reference takes each code point for, as [first, last, first, last, ...]."""
    bert = lambda **kw: normalizers.BertNormalizer(**(dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False) | kw))
    clean, strip, lower, chinese = bert(clean_text=True), bert(strip_accents=True), bert(lowercase=True), bert(handle_chinese_chars=True)
    cut = lambda p: lambda x: len(p.pre_tokenize_str("." + x + ".")) == 3
    punctuation = pre_tokenizers.BertPreTokenizer()
    tests = {
        "letter": cut(pre_tokenizers.Split(Regex(r"\p{L}"), "isolated")),
        "number": cut(pre_tokenizers.Split(Regex(r"\p{N}"), "isolated")),
        "space": cut(pre_tokenizers.Split(Regex(r"\s"), "isolated")),
        "numeric": cut(pre_tokenizers.Digits(individual_digits=True)),
        "dropped": lambda x: clean.normalize_str(x) == "",
        "blank": lambda x: clean.normalize_str(x) == " ",
        "mark": lambda x: strip.normalize_str(x) == "",
        "chinese": lambda x: len(chinese.normalize_str(x)) == 3,
        "punctuation": lambda x: len(punctuation.pre_tokenize_str("a" + x + "b")) == 3,
    }
    every = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c != ord(".")]
    out = {name: ranges(c for c in every if test(chr(c))) for name, test in tests.items()}
    out["lower"] = [[c, lower.normalize_str(chr(c))] for c in every if lower.normalize_str(chr(c)) != chr(c)]
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared" / "models")
    p.add_argument("out", type=pathlib.Path)
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)

    def write(name, value):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        (a.out / (name + ".json.gz")).write_bytes(gzip.compress(text.encode(), mtime=0))

    texts = strings(a.seed)
    write("strings", texts)
    write("unicode", unicode_classes())
    nano = json.loads((ROOT / "experiments/policies/nano/tokenizer.json").read_text())
    for name, patch in PATCHES.items():
        free = N
        for token in patch.get("added_tokens", []):
            token["id"] = nano["model"]["vocab"].get(token["content"], free)
            free += token["id"] == free
        t = Tokenizer.from_str(json.dumps(patched(nano, patch)))
        fixture = {"base": "nano", "patch": patch} | rows(t, texts)
        if name == "nano":
            plain = fixture["rows"]
        else:
            fixture["rows"] = [None if row == as_nano else row for row, as_nano in zip(fixture["rows"], plain)]
        write(name, fixture)
    for kind in ("wordpiece", "llama2", "metaspace", "unk"):
        t = small(kind)
        write(kind, {"base": "", "patch": json.loads(t.to_str())} | rows(t, texts))
    for folder in ("qwen2.5-vl", "all-MiniLM-L6-v2"):
        path = a.shared / folder / "tokenizer.json"
        if not path.exists():
            print(f"{path} is absent: its fixture stays as it is")
            continue
        t = Tokenizer.from_file(str(path))
        t.no_truncation()
        t.no_padding()
        write(folder, {"base": folder, "patch": {}} | rows(t, texts))
    sp = sentencepiece_model(a.out / "sp_fallback.model", byte_fallback=True, remove_extra_whitespaces=False, character_coverage=0.98)
    write("sp_fallback", sentencepiece_rows(sp, texts))
    sp = sentencepiece_model(a.out / "sp_plain.model", add_dummy_prefix=False, remove_extra_whitespaces=True, character_coverage=0.98)
    write("sp_plain", sentencepiece_rows(sp, texts))


main()
