"""Compares mixr with PyTorch, transformers and TRL on random cases.

    pip install torch==2.15.0 transformers==5.24.0 trl==1.16.0 safetensors==0.8.0 numpy==2.4.6
    python bench/parity.py --seed 7 --family qwen25vl          new random cases of one family
    python bench/parity.py --full 3b                            one decoder layer and one vision block at full width
    python bench/parity.py --fixtures runtime/models/family/testdata/parity
                                                                writes the committed fixtures of Go's tests

Each case is a random checkpoint with random prompts and completions. Python computes what should come out, `go run ./bench/parity`
what mixr makes of the same folder through its own loader, graphs and ONNX Runtime. One line a comparison; the process ends with 1 if
any of them fails.

    logits      largest difference, relative to the root mean square of the reference's logits
    greedy      tokens that differ from generate's, of 64 a prompt
    positions   position ids that differ: none may
    rows        which row of the picture features stands at each token: none may differ
    loss        GRPO: TRL's own _compute_loss on the same completions, old and reference log-probabilities and advantages
    gradients   |g - g'| / |g'| of the worst parameter, as vectors; and the worst element, relative to the parameter's largest
    weights     |w - w'| / |w'| of the worst parameter after one step of torch's AdamW
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "parity"))
sys.dont_write_bytecode = True

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

import families  # noqa: E402
import reference  # noqa: E402

GREEDY = 64
LIMITS = {"logits": 2e-4, "greedy": 0, "positions": 0, "rows": 0, "loss": 1e-5, "gradients": 1e-3, "weights": 1e-5}

# A gradient that is zero in exact arithmetic (the bias of keys that no rotation follows) is rounding in both programs. One below
# this share of the whole gradient need only be below it in mixr too, and its weights after the step are left out, since Adam
# divides it by its own size.
QUIET = 1e-6

# What a case of each family is made to contain. The rest of it is random; cases beyond the list are random throughout.
SHAPES = {
    "qwen2": [
        ("16/2 tied", dict(tied=True)), ("28/4 untied", dict(tied=False)), ("shards bf16", dict(save=dict(dtype="BF16", shards=3))),
    ],
    "llama": [
        ("llama3 rope", dict(rope="llama3")), ("linear rope, tied", dict(rope="linear", tied=True)), ("untied", dict(tied=False)),
        ("shards bf16", dict(save=dict(dtype="BF16", shards=2))), ("mistral", dict(rope="mistral")),
    ],
    "qwen25vl": [
        ("16/2 tied, one image", dict(heads=(16, 2, 4), tied=True, pictures=[["image"], ["image"]])),
        ("28/4 untied, several", dict(heads=(28, 4, 4), tied=False, pictures=[["image", "image", "image"], ["image", "image"]])),
        ("windows divide", dict(window=56, pictures=[["image:8x12"], ["image:4x4", "image:8x4"]])),
        ("windows do not divide", dict(window=84, pictures=[["image:8x10"], ["image:4x14"]])),
        ("left-over patches", dict(window=112, pictures=[["image:10x18"], ["image:2x2"], ["image:2x10"]])),
        ("no image", dict(pictures=[[], [], []])),
        ("some without an image", dict(pictures=[["image"], [], ["image", "image"]])),
        ("video", dict(pictures=[["video"], ["image", "video"], ["video:3x4x4", "video:2x2x6"], ["image"]])),
        ("published layout, bf16", dict(save=dict(dtype="BF16", shards=2, edit_config=families.qwen25vl_published))),
    ],
    "internvl": [
        ("Qwen2 text", dict(text="qwen2", qk_norm=False)), ("Llama text", dict(text="llama", qk_norm=False)),
        ("tiles", dict(pictures=[[3], [1, 4], [2]])), ("normed queries", dict(qk_norm=True)), ("no image", dict(pictures=[[], []])),
        ("original layout, Qwen2", dict(text="qwen2", original=True)),
        ("original layout, InternLM2", dict(text="llama", tied=False, original=True)),
    ],
}

# One decoder layer and one vision block of the released sizes; the vocabulary is small, since a head is a product like others.
FULL = {
    "3b": dict(
        sizes=dict(
            hidden_size=2048, intermediate_size=11008, num_attention_heads=16, num_key_value_heads=2, num_hidden_layers=1, vocab_size=96),
        vision=dict(depth=1, hidden_size=1280, num_heads=16, intermediate_size=3420, window_size=112, fullatt_block_indexes=[]), tied=True),
    "7b": dict(
        sizes=dict(
            hidden_size=3584, intermediate_size=18944, num_attention_heads=28, num_key_value_heads=4, num_hidden_layers=1, vocab_size=96),
        vision=dict(depth=1, hidden_size=1280, num_heads=16, intermediate_size=3420, window_size=112, fullatt_block_indexes=[0]), tied=False),
}

# The committed fixtures: small checkpoints that together have every switch of the families.
FIXTURES = {
    "qwen2_tied": ("qwen2", dict(tied=True)),
    "qwen2_untied": ("qwen2", dict(tied=False)),
    "llama_llama3": ("llama", dict(tied=False, rope="llama3")),
    "llama_linear": ("llama", dict(tied=True, rope="linear")),
    "qwen25vl_images": ("qwen25vl", dict(tied=True, pictures=[["image:2x6", "image:4x4"], []])),
    "qwen25vl_published": ("qwen25vl", dict(tied=False, pictures=[["image:6x4"]], save=dict(edit_config=families.qwen25vl_published))),
    "qwen25vl_video": ("qwen25vl", dict(tied=True, pictures=[["image:2x2", "video:3x4x2@2"]])),
    "internvl_qwen2": ("internvl", dict(tied=True, text="qwen2", qk_norm=False, pictures=[[2], [1]])),
    "internvl_chat_qwen2": ("internvl", dict(tied=False, text="qwen2", qk_norm=True, pictures=[[1]], original=True)),
    "internvl_chat_internlm2": ("internvl", dict(tied=False, text="llama", qk_norm=False, pictures=[[1], []], original=True)),
}

# Where the parameters of the class stand in the files it saves.
STORED = {
    "qwen2": [], "llama": [],
    "qwen25vl": [("model.language_model.", "model."), ("model.visual.", "visual.")],
    "internvl": [("model.language_model.", "language_model.model."), ("model.vision_tower.", "vision_tower."),
                 ("model.multi_modal_projector.", "multi_modal_projector."), ("lm_head.", "language_model.lm_head.")],
}


def stored(family, name):
    for old, new in STORED[family]:
        if name.startswith(old):
            return new + name[len(old):]
    return name


def make_model(family, rng, shape):
    build, _ = families.BUILD[family]
    kwargs = {k: shape[k] for k in ("tied", "rope", "text", "qk_norm", "small", "vision", "sizes") if k in shape}
    if "heads" in shape:
        h, kv, e = shape["heads"]
        kwargs["sizes"] = dict(num_attention_heads=h, num_key_value_heads=kv, hidden_size=h * e)
    if "window" in shape:
        kwargs["vision"] = dict(window_size=shape["window"])
    model = build(rng, **kwargs).float()
    families.random_weights(model, rng)
    return model


def make_prompts(family, rng, shape, model, count=3):
    pictures = shape.get("pictures")
    return families.BUILD[family][1](model, rng, len(pictures) if pictures else count, pictures)


def save(model, folder, rng, shape, **options):
    options |= shape.get("save", {})
    if shape.get("original"):
        options |= dict(rename=families.internvl_chat_tensors(model), edit_config=families.internvl_chat_config(model))
    families.save(model, folder, rng, **options)


def make_case(family, rng, shape, folder, greedy=GREEDY, step=True):
    """Writes the case: the checkpoint in model/ and case.json. Returns the model, its prompts and the case."""
    model = make_model(family, rng, shape)
    save(model, folder / "model", rng, shape)
    prompts = make_prompts(family, rng, shape, model)
    case = dict(family=family, greedy=greedy, step=step, prompts=[describe(p) for p in prompts]) | grpo(rng, prompts)
    with torch.no_grad():
        logp = reference.log_probs(family, model, prompts, case)
    for group, rows in zip(case["groups"], logp):
        # Ratios on both sides of both bounds of the clip, none so near to one that rounding decides.
        shift = lambda: rng.choice([-1, 1]) * rng.choice([rng.uniform(0, 0.12), rng.uniform(0.3, 0.6)])
        group["old"] = [[f32(l + shift()) for l in row] for row in rows]
        group["ref"] = [[f32(l + rng.gauss(0, 0.3)) for l in row] for row in rows]
    (folder / "case.json").write_text(json.dumps(case))
    return model, prompts, case


def describe(prompt):
    pictures = [{k: v for k, v in x.items() if k != "pixels"} | dict(size=x["pixels"].numel()) for x in prompt.pictures]
    return dict(ids=prompt.ids, pictures=pictures)


def f32(x):
    return float(torch.tensor(x, dtype=torch.float32))


def grpo(rng, prompts):
    """Fixed completions of some prompts, and the settings of the update. TRL takes no videos."""
    trained = [i for i, p in enumerate(prompts) if all(x["kind"] == "image" for x in p.pictures)][:3]
    size = rng.randint(2, 4)
    groups = []
    for i in trained:
        completions = [families.words(rng, rng.choice([1, 2, 5, 9])) for _ in range(size)]
        groups.append(dict(prompt=i, completions=completions, advantages=[f32(rng.gauss(0, 1)) for _ in completions]))
    # Adam's first step is the gradient's sign where its eps is small: there a rounding error of a small element is a full step, so
    # that the step must be small beside the weights. With an eps of the gradient's size every element counts by its value.
    rate, eps = rng.choice([(1e-5, 1e-8), (1e-3, 1e-3)])
    return dict(
        groups=groups, loss=(loss := rng.choice(["grpo", "dr_grpo", "bnpo", "dapo", "gspo", "cispo", "sapo", "luspo"])),
        level=(level := "sequence" if loss == "gspo" else rng.choice(["token", "sequence"])), kl=rng.choice([0.04, 0.2]),
        kl_times_ratio=level == "token" and rng.random() < 0.3, entropy_bonus=rng.choice([0.0, 0.0, 0.05]),
        clip_low=0.2, clip_high=1.5 if loss == "cispo" else rng.choice([0.2, 0.28]), clip_dual=rng.choice([0.0, 0.0, 1.4]),
        temperature=rng.choice([0.7, 1.0]), max_tokens=16,
        optimizer=dict(
            module_rate=dict.fromkeys(["vision", "merger", "embedding", "decoder"], 1),
            learning_rate=rate, adam_beta1=0.9, adam_beta2=rng.choice([0.95, 0.999]), adam_eps=eps,
            weight_decay=rng.choice([0.0, 0.1]), grad_clip=rng.choice([0.0, 1.0])),
    )


class Report:
    """Prints comparisons and remembers the worst of each kind."""

    def __init__(self):
        self.failed, self.worst = 0, {}

    def line(self, case, what, shape, worst, note=""):
        ok = worst <= LIMITS[what]
        self.failed += not ok
        self.worst[what] = max(worst, self.worst.get(what, 0))
        shown = f"{worst:.1e}" if isinstance(worst, float) else str(worst)
        print(f"{case:48} {what:10} {shape:22} {shown:>8}  {'ok' if ok else 'FAIL'}{'  ' + note if note else ''}", flush=True)

    def fail(self, case, what):
        self.failed += 1
        print(f"{case:48} FAIL  {what}", flush=True)


def compare(report, name, family, model, prompts, case, got):
    pos = [reference.positions(family, model, p) for p in prompts]
    wrong = sum(int((got[f"positions.{i}"].long() != p).sum()) for i, p in enumerate(pos))
    report.line(name, "positions", f"{len(prompts)}x[3,T<={max(len(p.ids) for p in prompts)}]", wrong)
    wrong = sum(int((got[f"rows.{i}"].long() != feature_rows(family, model, p)).sum()) for i, p in enumerate(prompts))
    report.line(name, "rows", f"M<={max(sum(x['tokens'] for x in p.pictures) for p in prompts)}", wrong)

    want = reference.logits(family, model, prompts)
    scale = float(torch.cat([w.flatten() for w in want]).square().mean().sqrt())
    worst = max(float((got[f"logits.{i}"] - w).abs().max()) for i, w in enumerate(want)) / scale
    report.line(name, "logits", f"{len(want)}x[T,{want[0].shape[1]}]", worst, f"scale {scale:.3g}")

    if case["greedy"]:
        wrong, distinct, lead = 0, 0, float("inf")
        for i, p in enumerate(prompts):
            tokens, least = reference.greedy(family, model, p, case["greedy"])
            wrong += int((got[f"greedy.{i}"].long() != tokens).sum())
            distinct, lead = max(distinct, len(set(tokens.tolist()))), min(lead, least)
        report.line(name, "greedy", f"{len(prompts)}x[{case['greedy']}]", wrong, f"up to {distinct} distinct tokens, least lead {lead:.1e}")

    loss, gradients, after = reference.step(family, model, prompts, case)
    variant = f"{case['loss']} {case['level']}" + " entropy" * (case["entropy_bonus"] > 0)
    report.line(name, "loss", variant, abs(float(got["loss"]) - loss) / max(1.0, abs(loss)), f"{loss:.6f}")
    gradients = {stored(family, n): g for n, g in gradients.items()}
    missing = sorted(set(gradients) ^ {n[2:] for n in got if n.startswith("g.")})
    if missing:
        report.fail(name, "gradients of " + ", ".join(missing))
        return
    whole = float(torch.stack([g.square().sum() for g in gradients.values()]).sum().sqrt())
    relative, element, quiet = {}, 0.0, set()
    for n, g in gradients.items():
        error, norm = got["g." + n].view_as(g) - g, float(g.norm())
        if 0 < norm < QUIET * whole:
            quiet.add(n)
        relative[n] = float(error.norm()) / (norm if norm >= QUIET * whole else whole * QUIET / LIMITS["gradients"])
        if n not in quiet and g.any():
            element = max(element, float(error.abs().max() / g.abs().max()))
    worst = max(relative, key=relative.get)
    report.line(name, "gradients", f"{len(gradients)} parameters", relative[worst],
                f"{worst}; worst element {element:.1e}; |g| {whole:.2g}" + (f"; {len(quiet)} are rounding" if quiet else ""))
    if after is None:
        return
    after = {stored(family, n): w for n, w in after.items() if stored(family, n) not in quiet}
    relative = {n: float((got["w." + n].view_as(w) - w).norm() / w.norm()) for n, w in after.items()}
    worst = max(relative, key=relative.get)
    report.line(name, "weights", f"{len(after)} parameters", relative[worst], worst)


def feature_rows(family, model, prompt):
    """Which picture feature stands at each token, -1 at text: placeholders of images and videos, in their order in the prompt."""
    image = {"qwen25vl": {93, 94}, "internvl": {93}}.get(family, set())
    rows, next_row = [], 0
    for i in prompt.ids:
        rows.append(next_row if i in image else -1)
        next_row += i in image
    return torch.tensor(rows)


def run_go(binary, folder):
    """What mixr makes of a case, or None if it failed; what it said stands on standard error."""
    if subprocess.run([binary, folder], cwd=HERE.parent).returncode != 0:
        return None
    return load_file(folder / "outputs.safetensors")


def one_case(binary, report, name, family, rng, shape, **options):
    with tempfile.TemporaryDirectory(prefix="parity") as folder:
        folder = pathlib.Path(folder)
        model, prompts, case = make_case(family, rng, shape, folder, **options)
        got = run_go(binary, folder)
        if got is None:
            report.fail(name, "mixr gave nothing")
        else:
            compare(report, name, family, model, prompts, case, got)


def random_cases(args, binary, report):
    shapes = SHAPES[args.family]
    for k in range(args.cases or len(shapes)):
        if args.only is None or k == args.only:
            rng = random.Random(f"{args.seed} {args.family} {k}")
            title, shape = shapes[k] if k < len(shapes) else ("random", {})
            one_case(binary, report, f"{args.family}/{args.seed}.{k} {title}", args.family, rng, shape)


def full_width(args, binary, report):
    shape = FULL[args.full] | dict(save=dict(dtype="BF16"), pictures=[["image:8x8", "image:8x8"]])
    rng = random.Random(f"{args.seed} {args.full}")
    one_case(binary, report, f"qwen25vl/{args.seed} full width {args.full}", "qwen25vl", rng, shape, greedy=8, step=False)


def fixture(folder, family, shape):
    """Writes a checkpoint in bfloat16 and, beside it, what transformers makes of some prompts: positions, logits, greedy tokens and
    the gradient of their mean log-likelihood, every parameter's as its norm and its product with noise(1)."""
    for seed in range(1000):
        rng = random.Random(f"fixture {folder.name} {seed}")
        model = make_model(family, rng, shape | dict(small=True))
        prompts = make_prompts(family, rng, shape, model, 2)
        for p in prompts:
            p.ids = p.ids if p.pictures else p.ids[:24]
        lengths = [len(p.ids) for p in prompts]
        if min(lengths) < 2 or max(lengths) < 13:
            continue
        if any(x["kind"] == "video" for p in prompts for x in p.pictures):
            t = reference.positions(family, model, prompts[0])[0]
            if t.max() <= t[-1]:  # the last step of the video must lie behind the text, so that what follows the prompt tells rules apart
                continue
        decoded = [reference.greedy(family, model, p, GREEDY) for p in prompts]
        # Varied answers, in which no choice is so close that another machine's rounding could turn it.
        if all(lead > 1e-2 and len(set(tokens.tolist())) >= 6 for tokens, lead in decoded):
            break
    else:
        sys.exit(f"{folder}: no seed gives greedy tokens that are varied and clear")
    save(model, folder, rng, shape, dtype="BF16")
    loss, gradients = reference.likelihood(family, model, prompts)
    rows = []
    for p, (tokens, _) in zip(prompts, decoded):
        rows.append(describe(p) | dict(
            positions=reference.positions(family, model, p).tolist(), rows=feature_rows(family, model, p).tolist(), greedy=tokens.tolist()))
    measured = {}
    for n, g in gradients.items():
        g = g.double().flatten()
        measured[stored(family, n)] = [float(g.norm()), float(g @ families.noise(1, g.numel()).double())]
    want = dict(family=family, prompts=rows, loss=loss, gradients=measured)
    (folder / "want.json").write_text(json.dumps(want, separators=(",", ":")) + "\n")
    logits = {f"logits.{i}": l.contiguous() for i, l in enumerate(reference.logits(family, model, prompts))}
    save_file(logits, folder / "want.safetensors", {"format": "pt"})
    for file in folder.iterdir():  # safetensors keeps what it writes to its owner
        file.chmod(0o644)


def fixtures(args):
    for name, (family, shape) in FIXTURES.items():
        folder = pathlib.Path(args.fixtures) / name
        folder.mkdir(parents=True, exist_ok=True)
        fixture(folder, family, shape)
        print(f"{name:28} {sum(f.stat().st_size for f in folder.iterdir()) / 1000:.0f} kB", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--family", choices=sorted(SHAPES), default="qwen25vl")
    p.add_argument("--cases", type=int, help="how many; more than the named shapes adds random ones")
    p.add_argument("--only", type=int, help="run this case alone")
    p.add_argument("--full", choices=sorted(FULL), help="one layer and one vision block of Qwen2.5-VL at full width")
    p.add_argument("--fixtures", metavar="DIR", help="write the committed fixtures into DIR and compare nothing")
    args = p.parse_args()
    if args.fixtures:
        return fixtures(args)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="parity") as folder:
        binary = pathlib.Path(folder) / "parity"
        subprocess.run(["go", "build", "-o", binary, "./bench/parity"], cwd=HERE.parent, check=True)
        (full_width if args.full else random_cases)(args, binary, report)
    print("worst:", ", ".join(f"{what} {worst:.2g}" for what, worst in report.worst.items()), f"; {report.failed} failed")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
