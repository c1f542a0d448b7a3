#!/usr/bin/env python3
"""Makes datasets/nlvr, the committed sample, from the NLVR data of Suhr et al. 2017 (CC-BY-4.0).

    python3 bench/nlvr_sample.py [../shared/data] [datasets/nlvr]

In: nlvr/data.jsonl with its images (panel order 0 of each scene) and nlvr_grounding/data.jsonl.
Out: images/*.png (the same RGB pixels as palette PNGs), train.jsonl, test.jsonl.

Five tasks a scene: the human statement (yesno, open), and questions with exact answers from the object list (chart,
mcq, grounding). Everything that is chosen is chosen by a hash of an id, so the output does not depend on row order.
Each row has `target`, a completion to learn from: a short note of what is seen, then the answer.
"""
import hashlib
import json
import pathlib
import sys
from collections import Counter

from PIL import Image

PANELS = ["left", "middle", "right"]
COLOURS = ["black", "blue", "yellow"]
SHAPES = ["circle", "square", "triangle"]
NUM_CHART, NUM_MCQ, NUM_GROUNDING = 2, 2, 3  # questions a scene, at most
TEST_PER_MILLE = 170  # of the statements; the least that holds out 200 open rows, which only true statements give
SIZE = (400, 100)  # width, height of every stored image
SEEN = (392, 112)  # what the model sees: Qwen2.5-VL rounds each side to a multiple of 28


def digest(*key):
    """A number that depends on key only."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, key)).encode()).digest()[:8], "big")


def shuffled(items, *key):
    return sorted(items, key=lambda item: digest(*key, item))


def group(scene):
    """The statement a scene belongs to: dev-1572-0 -> dev-1572."""
    return scene.rsplit("-", 1)[0]


def split(scene):
    return "test" if digest("split", group(scene)) % 1000 < TEST_PER_MILLE else "train"


class Scene:
    def __init__(self, row):
        self.id = row["meta"]["scene"]
        self.statement = " ".join(row["meta"]["statement"].split())
        self.true = row["answers"][0] == "yes"
        self.objects = row["meta"]["objects"]
        self.image = f"{self.id}.png"

    def select(self, panel=None, colour=None, shape=None):
        return [o for o in self.objects
                if panel in (None, PANELS[o["panel"]]) and colour in (None, o["colour"]) and shape in (None, o["shape"])]

    def is_tower(self):
        """Whether every box holds one stack of squares (or nothing)."""
        stacks = {(o["panel"], o["box"][0], o["box"][2]) for o in self.objects}
        return all(o["shape"] == "square" for o in self.objects) and len(stacks) == len({s[0] for s in stacks})

    def note(self):
        """What is in each box: a tower's colours from the base up, otherwise how many of each colour."""
        parts = []
        for p in PANELS:
            objects = sorted(self.select(panel=p), key=lambda o: -o["box"][3])
            if self.is_tower():
                words = [o["colour"] for o in objects]
            else:
                count = Counter(o["colour"] for o in objects)
                words = [f"{count[c]} {c}" for c in COLOURS if count[c]]
            parts.append(f"{p}: {' '.join(words) or 'none'}")
        return "; ".join(parts)


def tally(counts):
    """{"left": 1, "middle": 0} -> "left 1, middle 0"."""
    return ", ".join(f"{name} {n}" for name, n in counts.items())


def target(think, answer):
    return f"<think>{think}</think><answer>{answer}</answer>"


def count_questions(scene):
    """Yields (kind, question, think, number)."""
    present = sorted({o["shape"] for o in scene.objects})
    for colour in [None] + COLOURS:
        for shape in [None] + present:
            if shape and present == ["square"]:
                continue  # the same as counting objects
            word = f"{shape or 'object'}s"
            what = f"{colour} {word}" if colour else word
            per_panel = {p: len(scene.select(p, colour, shape)) for p in PANELS}
            kind = f"{'c' if colour else ''}{'s' if shape else ''}"
            yield kind, f"How many {what} are there?", tally(per_panel), sum(per_panel.values())
            if colour and shape:
                continue  # three conditions at once: mostly 0 or 1
            for p in PANELS:
                if shape or not colour:
                    parts = {c: len(scene.select(p, c, shape)) for c in COLOURS}
                else:
                    parts = {s: len(scene.select(p, colour, s)) for s in SHAPES}
                yield kind + "p", f"How many {what} are in the {p} box?", tally(parts), per_panel[p]


def winner(counts, best):
    """The only name with the best (max or min) count, or None."""
    names = [name for name, n in counts.items() if n == best(counts.values())]
    return names[0] if len(names) == 1 else None


def choice_questions(scene):
    """Yields (kind, question, think, options, right option)."""
    present = sorted({o["shape"] for o in scene.objects})
    for p in PANELS:
        for s in present:
            found = scene.select(panel=p, shape=s)
            if len(found) == 1 and present != ["square"]:
                c = found[0]["colour"]
                yield "colour", f"What colour is the only {s} in the {p} box?", f"the {s} is {c}", COLOURS, c
        for c in COLOURS:
            found = scene.select(panel=p, colour=c)
            if len(found) == 1 and present != ["square"]:
                s = found[0]["shape"]
                yield "shape", f"What shape is the only {c} object in the {p} box?", f"the {c} object is a {s}", SHAPES, s
    tallies = [("object", {p: len(scene.select(panel=p)) for p in PANELS})]
    tallies += [(f"{c} object", {p: len(scene.select(panel=p, colour=c)) for p in PANELS}) for c in COLOURS]
    for what, counts in tallies:
        for word, best in [("most", max), ("fewest", min)]:
            right = winner(counts, best)
            if right:
                yield "box", f"Which box has the {word} {what}s?", f"{tally(counts)}: {right}", PANELS, right
    for name, values in [("colour", COLOURS), ("shape", SHAPES)]:
        counts = {v: len(scene.select(**{name: v})) for v in values}
        right = winner(counts, max)
        if right and (name == "colour" or present != ["square"]):
            yield "most", f"Which {name} appears most?", f"{tally(counts)}: {right}", values, right
    for c in COLOURS:
        counts = {p: len(scene.select(panel=p, colour=c)) for p in PANELS}
        n = sum(counts.values())
        lowest = max(0, n - digest(scene.id, c, "lowest") % 4)
        yield "number", f"How many {c} objects are there?", f"{tally(counts)}: {n}", [str(lowest + i) for i in range(4)], str(n)


def grounding_questions(scene):
    """Yields (question, object) for every object that its colour, shape and box single out."""
    for o in scene.objects:
        p, c, s = PANELS[o["panel"]], o["colour"], o["shape"]
        if len(scene.select(colour=c, shape=s)) == 1:
            yield f"Locate the only {c} {s}.", o
        if len(scene.select(shape=s)) == 1:
            yield f"Locate the only {s}.", o
        if len(scene.select(panel=p, colour=c, shape=s)) == 1:
            yield f"Locate the {c} {s} in the {p} box.", o
        if len(scene.select(panel=p, colour=c)) == 1:
            yield f"Locate the {c} object in the {p} box.", o


def pick(candidates, n, *key):
    """n candidates chosen by hash, of as many kinds (their first field) as possible."""
    rounds = Counter()
    ranked = []
    for c in shuffled(candidates, *key):
        ranked.append((rounds[c[0]], digest(*key, c[0]), c))
        rounds[c[0]] += 1
    return [c for _, _, c in sorted(ranked, key=lambda r: r[:2])[:n]]


def rows(scene, given):
    """Yields the rows of a scene; given is its row of nlvr_grounding, or None."""
    def row(suffix, task, question, answers, **more):
        return {"id": f"{scene.id}/{suffix}", "task": task, "image": scene.image, "image_size": SIZE,
                "question": question, "answers": answers, **more}

    answer = "yes" if scene.true else "no"
    yield row("yesno", "yesno", f"Is this true? {scene.statement}", [answer], target=target(scene.note(), answer))
    if scene.true:
        yield row("open", "open", "Say something true about the image.", [scene.statement],
                  target=target(scene.note(), scene.statement))

    counts = [q for q in count_questions(scene) if q[3] > 0 or digest(scene.id, q[1]) % 4 == 0]
    for i, (_, question, think, n) in enumerate(pick(counts, NUM_CHART, scene.id, "chart")):
        yield row(f"chart-{i}", "chart", question, [str(n)], target=target(think, n))

    for i, (kind, question, think, options, right) in enumerate(pick(
            [(k, q, t, tuple(o), r) for k, q, t, o, r in choice_questions(scene)], NUM_MCQ, scene.id, "mcq")):
        options = list(options) if kind == "number" else shuffled(options, scene.id, question)
        letter = "ABCD"[options.index(right)]
        yield row(f"mcq-{i}", "mcq", question, [letter, right], choices=options, target=target(think, letter))

    located = {}  # question -> object
    for question, o in grounding_questions(scene):
        located[question] = o
    if given and given["question"] not in located:
        sys.exit(f"{given['id']}: {given['question']!r} does not follow from the objects")
    if given and located[given["question"]]["box"] != given["boxes"][0]:
        sys.exit(f"{given['id']}: box {given['boxes'][0]} is not that of the object")
    chosen = [given["question"]] if given else []
    chosen += [q for q in shuffled(located, scene.id, "box") if q not in chosen]
    for i, question in enumerate(chosen[:NUM_GROUNDING]):
        o = located[question]
        scale = [SEEN[0] / SIZE[0], SEEN[1] / SIZE[1]] * 2
        seen = [round(v * f) for v, f in zip(o["box"], scale)]
        yield row(f"box-{i}", "grounding", question, [], boxes=[o["box"]],
                  target=target(f"{PANELS[o['panel']]} box", json.dumps(seen, separators=(",", ":"))))


def save_palette(source, path):
    """Writes the RGB pixels of source as a palette PNG and checks that they come back equal."""
    image = Image.open(source)
    if image.size != SIZE or image.mode != "RGBA" or image.getchannel("A").getextrema() != (255, 255):
        sys.exit(f"{source}: {image.mode} {image.size}, want an opaque RGBA image of {SIZE}")
    rgb = image.convert("RGB")
    pixels = list(rgb.get_flattened_data())
    palette = [colour for colour, _ in sorted(Counter(pixels).items(), key=lambda c: (-c[1], c[0]))]
    if len(palette) > 256:
        sys.exit(f"{source}: {len(palette)} colours, a palette holds 256")
    index = {colour: i for i, colour in enumerate(palette)}
    small = Image.new("P", image.size)
    small.putpalette([v for colour in palette for v in colour])
    small.putdata([index[p] for p in pixels])
    small.save(path, "PNG", optimize=True)
    if Image.open(path).convert("RGB").tobytes() != rgb.tobytes():
        sys.exit(f"{path}: pixels changed")


def main(source="../shared/data", out="datasets/nlvr"):
    source, out = pathlib.Path(source), pathlib.Path(out)
    (out / "images").mkdir(parents=True, exist_ok=True)
    given = {}
    for line in (source / "nlvr_grounding/data.jsonl").open():
        r = json.loads(line)
        given[r["id"].removeprefix("nlvrbox-")] = r
    made = {"train": [], "test": []}
    for line in (source / "nlvr/data.jsonl").open():
        r = json.loads(line)
        if not r["id"].endswith("-0"):
            continue  # panel orders 1 and 2 show the same boxes in another order
        scene = Scene(r)
        save_palette(source / "nlvr" / r["image"], out / "images" / scene.image)
        made[split(scene.id)] += rows(scene, given.get(scene.id))
    for name, part in made.items():
        part.sort(key=lambda r: r["id"])
        text = "".join(json.dumps(r, separators=(",", ":"), ensure_ascii=False) + "\n" for r in part)
        (out / f"{name}.jsonl").write_text(text)
        print(name, dict(Counter(r["task"] for r in part)), f"{len(text)} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
