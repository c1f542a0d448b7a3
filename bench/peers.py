#!/usr/bin/env python3
"""mixr against PyTorch on this machine, in one run: transformers' generate, a decoding loop by hand, eager training, TRL's GRPOTrainer.

    python bench/peers.py --minimind FOLDER [--repeat 3] [--steps 3] [--policies nano,minimind] [--lengths equal,natural] [--slopes]

The contestants take turns, each in a fresh process of two threads (mixr: two workers of one), on the same prompts, group size and
lengths; a step before the first that counts warms each up. For equal lengths every contestant is told that a completion ends at a
token that no policy draws. The table goes to stdout, what happens to stderr.
"""

import argparse
import datetime
import json
import math
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as parquet

ROOT = Path(__file__).resolve().parent.parent
CHATML = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}"
          "{% if c.type == 'text' %}{{ c.text }}{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}{% endfor %}{% endif %}"
          "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")

# Functions in whose stacks a phase computes, and a step as a whole with the garbage collector, for the CPU profile.
PHASES = {"rollout": r"runner\)\.(rollout|sampleGroup)", "score": r"runner\)\.score", "gradient": r"\.grpoUnit|runner\)\.add$", "optimizer": r"\.optimize"}
STEP = r"train\.ordered|runner\)\.grpoStep|gcBgMarkWorker"
INSIDE = "mixr_run"  # what calls ONNX Runtime


class Policy:
    """A policy with the prompts of a step and the sizes of its rollout."""

    def __init__(self, name, source, work, data, tasks, each, templates, rewards, group, tokens, end, never):
        self.name, self.work, self.group, self.tokens, self.end, self.never = name, work / name, group, tokens, end, never
        self.tasks, self.templates, self.rewards, self.sees = tasks, templates, rewards, (source / "preprocessor_config.json").exists()
        self.work.mkdir()
        rows = [json.loads(line) for line in open(ROOT / "datasets" / data / "train.jsonl")]
        self.rows = [r for t in tasks for r in [r for r in rows if r["task"] == t][:each]]
        (self.work / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in self.rows))
        images = ROOT / "datasets" / data / "images"
        if self.sees:
            (self.work / "images").symlink_to(images)
        where = 'images: "images"\n\tcoordinates: "pixels"' if self.sees else ""
        (self.work / "card.cue").write_text(f"""package card
import "mixr.dev/schema"
dataset: schema.#Dataset & {{
	name: "peers", title: "prompts of bench/peers.py", licence: "-", source: "datasets/{data}"
	tasks: {json.dumps(tasks)}
	splits: train: ["train.jsonl"]
	{where}
}}
""")
        self.prompts = []
        for r in self.rows:
            choices = "\n".join(f"{chr(65 + i)}. {c}" for i, c in enumerate(r.get("choices", [])))
            text = templates[r["task"]].replace("{question}", r["question"]).replace("{choices}", choices)
            self.prompts.append({"text": text} | ({"image": str(images / r["image"])} if self.sees else {}))
        for lengths, stop in (("equal", never), ("natural", end)):
            self.copy(source, self.folder(lengths), stop)

    def folder(self, lengths):
        return self.work / lengths

    def copy(self, source, to, stop, **changes):
        """The checkpoint with another token at which completions end."""
        shutil.copytree(source, to)
        for path in to.iterdir():
            path.chmod(0o644)
        for name, values in (("config.json", changes), ("generation_config.json", {"eos_token_id": stop})):
            (to / name).write_text(json.dumps(json.loads((to / name).read_text()) | values))
        if self.sees:
            (to / "chat_template.jinja").write_text(CHATML)

    def experiment(self, name, folder, steps, group=None, tokens=None, rows=None, random=False):
        """The experiment of a step over all prompts, or over the given number of them."""
        group = group or self.group
        sources = "\n".join(f'\t\t{t}: {{card: "{self.work}/card.cue", task: "{t}"}}' for t in self.tasks)
        templates = "\n".join(f"\t\t{t}: {json.dumps(self.templates[t])}" for t in self.tasks)
        file = self.work / f"{name}.cue"
        file.write_text(f"""import "mixr.dev/schema"
experiment: schema.#Experiment & {{
	name: "{name}"
	policy: {{from: "{folder}", init: "{'random' if random else 'weights'}"}}
	data: sources: {{
{sources}
	}}
	prompt: templates: {{
{templates}
	}}
	rewards: {{{", ".join(f"{r}: {{}}" for r in self.rewards)}}}
	grpo: {{steps: {steps}, batch_size: {group * (rows or len(self.rows))}, group_size: {group}, max_completion_tokens: {tokens or self.tokens}, learning_rate: 1e-6}}
	eval: examples: 0
	checkpoint: every: 1000
}}
""")
        return file


def note(*words):
    print(datetime.datetime.now().strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


def measured(command, **environment):
    """Runs a command to its end. Returns its stdout and the most memory that was resident in it, in MB."""
    with tempfile.TemporaryFile("w+") as errors:
        p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=os.environ | environment)
        text = p.stdout.read()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        if p.returncode:
            errors.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{errors.read()[-3000:]}")
    return text, usage.ru_maxrss / 1024


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.scratch = options, work, work / "scratch"
        self.scratch.mkdir()
        self.binary = work / "peers"
        subprocess.run(["go", "build", "-o", self.binary, "./bench/peers"], cwd=ROOT, check=True)

    def mixr(self, policy, file, steps):
        """One run. Seconds by phase and step without the first, CPU seconds by phase and a step, and what was sampled."""
        results, profile = self.work / "results", self.work / "profile"
        _, peak = measured([self.binary, "run", file, "--results", results, "--workers", "2"], PEERS_PROFILE=str(profile))
        folder = next(results.iterdir())
        timing = parquet.read_table(folder / "timing.parquet").to_pylist()[1:]
        rows = [r for r in parquet.read_table(folder / "completions.parquet").to_pylist() if r["step"] > 1]
        shutil.rmtree(results)
        tokens = [sum(r["n_tok"] for r in rows if r["step"] == t["step"]) for t in timing]
        cpu = {name: self.sampled(profile, focus=f) / (steps + 1) for name, f in PHASES.items()}
        whole, outside = self.sampled(profile, focus=STEP), self.sampled(profile, focus=STEP, ignore=INSIDE)
        groups = {}
        for r in rows:
            if r["step"] == 2:
                groups.setdefault((r["example_id"], r["task"]), []).append(r)
        order = [(r["id"], r["task"]) for r in policy.rows]
        return {
            "wall": {p: [t[p + "_s"] for t in timing] for p in PHASES} | {"step": [t["wall_s"] for t in timing]},
            "cpu": cpu | {"step": whole / (steps + 1)}, "tokens": tokens, "peak": peak, "outside": outside / whole,
            "prompt": [groups[k][0]["n_prompt_tok"] for k in order], "lengths": [[r["n_tok"] for r in groups[k]] for k in order],
        }

    def sampled(self, profile, **filters):
        """CPU seconds of a profile in stacks that pass pprof's filters."""
        text = subprocess.run(["go", "tool", "pprof", "-top", "-nodecount=0", "-nodefraction=0", *(f"-{k}={v}" for k, v in filters.items()),
                               self.binary, profile], capture_output=True, text=True, cwd=ROOT).stdout
        found = re.search(r"accounting for ([\d.]+)(ms|s|mins),", text)
        return float(found[1]) * {"ms": 1e-3, "s": 1, "mins": 60}[found[2]] if found else 0.0

    def torch(self, name, policy, lengths, steps, **more):
        """One contestant of contestant.py."""
        job = self.work / "job.json"
        job.write_text(json.dumps({
            "folder": str(policy.folder(lengths)), "prompts": policy.prompts, "sees": policy.sees, "group": policy.group,
            "tokens": policy.tokens, "eos": policy.never if lengths == "equal" else policy.end, "pad": 0, "threads": self.options.threads,
            "steps": steps, "scratch": str(self.scratch)} | more))
        text, peak = measured([sys.executable, ROOT / "bench/peers/contestant.py", name, job])
        return json.loads(text.splitlines()[-1]) | {"peak": peak}

    def products(self):
        """GFLOP/s of square products: the machine's peak as torch and ONNX Runtime reach it."""
        job, size, out = self.work / "job.json", self.options.product, {}  # by wall clock, by CPU second
        for threads in (1, 2):
            job.write_text(json.dumps({"size": size, "threads": threads, "steps": 8}))
            r = json.loads(measured([sys.executable, ROOT / "bench/peers/contestant.py", "product", job])[0])
            out[f"torch {threads}"] = (r["flops"] / min(r["wall"]) / 1e9, r["flops"] / min(r["cpu"]) / 1e9)
        ours = json.loads(measured([self.binary, "product", str(size)])[0])
        self.version = ours.pop("version")
        return out | ours

    def flops(self, file, r):
        """GFLOP in the products of a training step of a run that mixr() made."""
        groups = [f"{p}:{','.join(map(str, lengths))}" for p, lengths in zip(r["prompt"], r["lengths"])]
        return float(measured([self.binary, "flops", str(file), *groups])[0])


def median(x):
    return statistics.median(x)


class Table:
    def __init__(self):
        self.rows = []

    def add(self, *cells):
        self.rows.append([str(c) for c in cells])

    def ratio(self, policy, lengths, what, unit, ours, theirs, goal, at_least, digits=2):
        """A row of medians; ours and theirs are lists, one a repeat, of (by wall, by CPU). The ratios are the medians of the repeats'."""
        by = [median([o[i] / t[i] for o, t in zip(ours, theirs)]) for i in (0, 1)]
        met = by[0] >= goal if at_least else by[0] <= goal
        sign = ">=" if at_least else "<="
        self.add(policy, lengths, what, unit, f"{median([o[0] for o in ours]):.{digits}f}", f"{median([t[0] for t in theirs]):.{digits}f}",
                 f"{by[0]:.2f}", f"{by[1]:.2f}", f"{sign} {goal}", "yes" if met else "no")

    def print(self, *head):
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        for row in self.rows:
            print("| " + " | ".join(row) + " |")
        print()


def compare(bench, policy, lengths, repeat, steps, tables, peaks):
    """All contestants in turn, some times over; adds to the tables."""
    file = policy.experiment(lengths, policy.folder(lengths), steps + 1)
    runs = {name: [] for name in ("mixr", "generate", "loop", "eager", "trl")}
    for i in range(repeat):
        for name in runs:
            if name == "mixr":
                r = ours = bench.mixr(policy, file, steps)
                wall, cpu = median(r["wall"]["step"]), r["cpu"]["step"]
            else:
                r = bench.torch(name, policy, lengths, steps, drawn=ours["lengths"])
                wall, cpu = median(r["wall"]), median(r["cpu"])
            if r.get("prompt", ours["prompt"]) != ours["prompt"]:
                sys.exit(f"the prompts differ: {r['prompt']} tokens in transformers, {ours['prompt']} in mixr")
            runs[name].append(r)
            note(f"{policy.name}, {lengths} lengths, repeat {i + 1}: {name} {wall:.2f} s, {cpu:.2f} CPU s, {r['peak']:.0f} MB")
    mine = runs["mixr"]

    def phase(*names):
        return [(median([sum(x) for x in zip(*(r["wall"][n] for n in names))]), sum(r["cpu"][n] for n in names)) for r in mine]

    def theirs(name):
        return [(median(r["wall"]), median(r["cpu"])) for r in runs[name]]

    def speed(tokens, seconds):
        return [(n / wall, n / cpu) for n, (wall, cpu) in zip(tokens, seconds)]

    rollout, training, whole, rest = tables
    drawn = speed([median(r["tokens"]) for r in mine], phase("rollout"))
    for name, goal in (("generate", 3), ("loop", 1.5)):
        rollout.ratio(policy.name, lengths, f"rollout / {name}", "tokens/s", drawn, speed([median(r["tokens"]) for r in runs[name]], theirs(name)), goal, True, 0)
    training.ratio(policy.name, lengths, "training step / eager", "s", phase("gradient", "optimizer"), theirs("eager"), 0.75, False)
    whole.ratio(policy.name, lengths, "GRPOTrainer's step / whole step", "s", theirs("trl"), phase("step"), 2.5, True)
    tokens = median([median(r["tokens"]) for r in mine]), median([median(r["tokens"]) for r in runs["trl"]])
    for name in ("trl", "generate", "eager"):
        ours, other = (median([r["peak"] for r in runs[n]]) for n in ("mixr", name))
        goal, met = ("<= 0.5", "yes" if ours <= other / 2 else "no") if name == "trl" else ("", "")
        rest.add(policy.name, lengths, f"peak memory / {name}", "MB", f"{ours:.0f}", f"{other:.0f}", f"{ours / other:.2f}", "", goal, met)
    work, seconds = bench.flops(file, mine[-1]), phase("gradient", "optimizer")
    speed_of = median([work / s[0] for s in seconds]), median([work / s[1] for s in seconds])
    peak = max(2 * peaks["one"][0], peaks["workers"][0]), max(peaks["one"][1], peaks["workers"][1])  # of two workers; of one CPU
    rest.add(policy.name, lengths, "products of a training step", "GFLOP/s", f"{speed_of[0]:.0f}", f"{peak[0]:.0f} (peak)",
                  f"{speed_of[0] / peak[0]:.2f}", f"{speed_of[1] / peak[1]:.2f}", ">= 0.75", "yes" if speed_of[1] >= 0.75 * peak[1] else "no")
    outside = median([r["outside"] for r in mine])
    rest.add(policy.name, lengths, "CPU outside ONNX Runtime", "share of a step", f"{outside:.3f}", "", "", "", "<= 0.05", "yes" if outside <= 0.05 else "no")
    phases = "; ".join(f"{n} {phase(n)[-1][0]:.2f} s" for n in PHASES)
    return f"{policy.name}, {lengths} lengths: {tokens[0]:.0f} tokens a step ({tokens[1]:.0f} in TRL), {phases} of {phase('step')[-1][0]:.2f} s."


def slope(points):
    """The exponent of the power law through (size, cost), by least squares of the logarithms."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sum((x - mx) ** 2 for x in xs)


def slopes(bench, policy, source, steps):
    """How the CPU seconds of a step grow with the size of a group, the length of completions and the number of layers."""
    table = Table()

    def cost(name, folder, **sizes):
        return bench.mixr(policy, policy.experiment(name, folder, steps + 1, **sizes), steps)["cpu"]["step"]

    def deep(n):
        folder = policy.work / f"layers-{n}"
        policy.copy(source, folder, policy.never, num_hidden_layers=n)
        return folder

    base = policy.folder("equal")
    for what, sizes, make in (
            ("completions of a prompt", (4, 8, 16, 32), lambda n: cost(f"group-{n}", base, group=n)),
            ("tokens of a completion", (16, 32, 64, 128), lambda n: cost(f"tokens-{n}", base, tokens=n)),
            ("layers of the decoder", (2, 4, 8, 16), lambda n: cost(f"layers-{n}", deep(n), random=True))):
        points = [(n, make(n)) for n in sizes]
        note(what, points)
        table.add(policy.name, what, ", ".join(map(str, sizes)), ", ".join(f"{y:.2f}" for _, y in points), f"{slope(points):.2f}")
    table.print("policy", "what grows", "sizes", "CPU s a step", "exponent (1 = linear)")


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--minimind", type=Path, help="a folder with MiniMind2-Small in Hugging Face's layout")
    parse.add_argument("--policies", default="nano,minimind")
    parse.add_argument("--lengths", default="equal,natural")
    parse.add_argument("--repeat", type=int, default=3, help="turns of each contestant; 0 compares nobody")
    parse.add_argument("--steps", type=int, default=3, help="that count, in each process")
    parse.add_argument("--threads", type=int, default=2, help="of torch")
    parse.add_argument("--product", type=int, default=2048, help="rows of the matrices of the peak")
    parse.add_argument("--slopes", action="store_true", help="measure how cost grows, too")
    options = parse.parse_args()
    with tempfile.TemporaryDirectory() as work:
        run(options, Path(work))


def run(options, work):
    import importlib.metadata as installed

    bench = Bench(options, work)
    nano = ROOT / "experiments/policies/nano"
    policies = {}
    for name in options.policies.split(","):
        if name == "nano":
            tasks = ["yesno", "mcq", "chart", "grounding", "open"]
            templates = dict.fromkeys(tasks, "{question}") | {"mcq": "{question}\n{choices}"}
            policies[name] = Policy("nano", nano, work, "nlvr", tasks, 2, templates, ["matching", "chart", "iou", "bmas"], 8, 64, 2, 6402)
        else:
            policies[name] = Policy("minimind", options.minimind, work, "gsm8k", ["yesno", "mcq", "chart"], 4,
                                    {"yesno": "{question}\nAnswer yes or no.", "mcq": "{question}\n{choices}\nAnswer with a letter.", "chart": "{question}\nAnswer with a number."},
                                    ["matching", "chart"], 8, 48, 2, 0)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    versions = ", ".join(f"{p} {installed.version(p)}" for p in ("torch", "transformers", "trl"))
    print(f"`{' '.join(['python', 'bench/peers.py', *sys.argv[1:]])}`, {datetime.date.today()}, {os.cpu_count()} CPUs ({cpu}), {versions}, "
          f"load at the start {os.getloadavg()[0]:.1f}.", end=" ")
    peaks = bench.products()
    print(f"ONNX Runtime {bench.version}.", "GFLOP/s of a product of %d x %d float32 matrices, by wall clock (by CPU second): %s.\n" % (
        options.product, options.product, "; ".join(f"{n} {wall:.0f} ({cpu:.0f})" for n, (wall, cpu) in peaks.items())))
    tables, phases = [Table() for _ in range(4)], []
    for policy in policies.values():
        for lengths in options.lengths.split(",") if options.repeat else ():
            phases.append(compare(bench, policy, lengths, options.repeat, options.steps, tables, peaks))
    all_rows = Table()
    all_rows.rows = [row for t in tables for row in t.rows]
    if options.repeat:
        all_rows.print("policy", "lengths", "measure", "unit", "first", "second", "ratio", "ratio by CPU", "goal", "met")
        print("\n".join(phases) + "\n")
    if options.slopes:
        slopes(bench, policies["nano"], nano, options.steps)


if __name__ == "__main__":
    main()
