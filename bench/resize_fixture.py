"""Writes what Pillow and NumPy (pip install pillow==12.3.0 numpy; Pillow 13 resizes in another order) make of images: the oracle for image preprocessing.

    python bench/resize_fixture.py runtime/images/testdata runtime/models/qwen25vl/testdata

    resize.json     SHA-256 of Pillow's bicubic resize of a generated picture, for several sizes
    patches.json    SHA-256 of the float32 patches of Qwen2VLImageProcessor, restated in NumPy, and a few of their values
    smart.json      sizes chosen by smart_resize, restated
    decode/*        small files in every supported form, each with NAME.want.png: Pillow's exif_transpose and RGB
"""

import hashlib
import io
import json
import math
import os
import sys

import numpy as np
from PIL import Image, ImageOps


def picture(w, h):
    """RGB picture that is cheap to make again elsewhere: gradients, edges and noise, all in integers."""
    y, x = np.mgrid[0:h, 0:w].astype(np.int64)
    noise = (x * 7919 + y * 104729 + (x * y) % 251 * 31) * 2654435761 % (1 << 32) >> 24
    edge = ((x // 5 + y // 7) % 2) * 255
    r = (x * 255 // max(w - 1, 1) + noise // 4) % 256
    g = np.where((x + y) % 13 < 6, edge, noise)
    b = (y * 255 // max(h - 1, 1) * 3 + noise // 8) % 256
    return Image.fromarray(np.stack([r, g, b], axis=-1).astype(np.uint8))


def smart_resize(h, w, lo, hi, factor=28):
    hb, wb = max(factor, round(h / factor) * factor), max(factor, round(w / factor) * factor)
    if hb * wb > hi:
        beta = math.sqrt(h * w / hi)
        hb, wb = max(factor, math.floor(h / beta / factor) * factor), max(factor, math.floor(w / beta / factor) * factor)
    elif hb * wb < lo:
        beta = math.sqrt(lo / (h * w))
        hb, wb = math.ceil(h * beta / factor) * factor, math.ceil(w * beta / factor) * factor
    return hb, wb


def patches(image, lo, hi):
    """[P, 1176] as Qwen2VLImageProcessor: resize, rescale, normalise, repeat the frame, cut, reorder."""
    h, w = smart_resize(image.height, image.width, lo, hi)
    a = np.array(image.resize((w, h), Image.BICUBIC))
    a = (a.astype(np.float64) * (1 / 255)).astype(np.float32)
    mean = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
    std = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
    a = ((a - mean) / std).transpose(2, 0, 1)[None]
    a = np.concatenate([a, a])
    gh, gw = h // 14, w // 14
    a = a.reshape(1, 2, 3, gh // 2, 2, 14, gw // 2, 2, 14).transpose(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return np.ascontiguousarray(a.reshape(gh * gw, 1176)), gh, gw


def sha(b):
    return hashlib.sha256(b).hexdigest()


def write_json(path, rows):
    with open(path, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


def decode_cases(folder):
    os.makedirs(folder, exist_ok=True)
    cases = {}

    def save(name, image, format, **options):
        b = io.BytesIO()
        image.save(b, format, **options)
        cases[name] = b.getvalue()

    p = picture(37, 29)
    smooth = picture(9, 7).resize((37, 29), Image.BICUBIC)
    for sub in (0, 1, 2):
        save(f"jpeg_{('444', '422', '420')[sub]}.jpg", p, "JPEG", quality=90, subsampling=sub)
    save("jpeg_even.jpg", picture(32, 16), "JPEG", quality=80, subsampling=2)
    save("jpeg_narrow.jpg", picture(4, 20), "JPEG", quality=90, subsampling=2)
    save("jpeg_narrow422.jpg", picture(3, 20), "JPEG", quality=90, subsampling=1)
    save("jpeg_one.jpg", picture(1, 1), "JPEG", quality=90, subsampling=2)
    save("jpeg_progressive.jpg", smooth, "JPEG", quality=85, subsampling=2, progressive=True)
    save("jpeg_grey.jpg", p.convert("L"), "JPEG", quality=90)
    save("jpeg_rgb.jpg", p, "JPEG", quality=95, keep_rgb=True)
    for o in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = o
        save(f"jpeg_exif{o}.jpg", smooth.crop((0, 0, 23, 14)), "JPEG", quality=95, subsampling=0, exif=exif)
    alpha = Image.fromarray((np.arange(37 * 29).reshape(29, 37) % 256).astype(np.uint8))
    rgba = p.copy()
    rgba.putalpha(alpha)
    save("png_rgb.png", p, "PNG")
    save("png_rgba.png", rgba, "PNG")
    save("png_la.png", Image.merge("LA", (p.convert("L"), alpha)), "PNG")
    save("png_grey.png", p.convert("L"), "PNG")
    save("png_bilevel.png", p.convert("1"), "PNG")
    save("png_palette.png", p.quantize(40), "PNG")
    save("png_palette_transparent.png", p.quantize(40), "PNG", transparency=3)
    save("png_rgb_transparent.png", p, "PNG", transparency=p.getpixel((3, 4)))
    save("gif_whole.gif", p.quantize(64), "GIF")
    save("gif_transparent.gif", p.quantize(64), "GIF", transparency=5)
    save("gif_animated.gif", p.quantize(64), "GIF", save_all=True, append_images=[smooth.quantize(64)])
    save("webp_lossless.webp", p, "WEBP", lossless=True)
    save("webp_lossy.webp", p, "WEBP", quality=90)
    save("webp_lossy_even.webp", picture(32, 16), "WEBP", quality=80)
    save("webp_lossy_smooth.webp", smooth, "WEBP", quality=70)
    save("webp_alpha.webp", rgba, "WEBP", quality=90, exact=True)
    for name, b in cases.items():
        with open(f"{folder}/{name}", "wb") as f:
            f.write(b)
        want = ImageOps.exif_transpose(Image.open(io.BytesIO(b))).convert("RGB")
        want.save(f"{folder}/{name}.want.png", optimize=True)
    p.convert("CMYK").save(f"{folder}/refused_cmyk.jpg", "JPEG")


def main():
    out, model = sys.argv[1:]
    rows = []
    for w, h, w2, h2 in [
        (37, 29, 28, 28), (640, 480, 644, 476), (100, 75, 112, 84), (56, 56, 56, 84), (56, 56, 84, 56), (300, 200, 28, 140),
        (1, 1, 28, 28), (2, 500, 28, 504), (1920, 1080, 476, 280), (13, 200, 28, 196), (28, 28, 28, 28), (255, 3, 252, 28), (700, 700, 28, 28),
    ]:
        rows.append([w, h, w2, h2, sha(picture(w, h).resize((w2, h2), Image.BICUBIC).tobytes())])
    write_json(f"{out}/resize.json", rows)
    rows = []
    for w, h, lo, hi in [(37, 29, 3136, 50176), (112, 112, 3136, 50176), (640, 480, 3136, 50176), (300, 60, 3136, 12845056), (70, 42, 784, 50176)]:
        a, gh, gw = patches(picture(w, h), lo, hi)
        rows.append([w, h, lo, hi, gh, gw, sha(a.astype("<f4").tobytes()), [float(v) for v in a[-1, ::97]]])
    write_json(f"{model}/patches.json", rows)
    rng = np.random.default_rng(5)
    rows = []
    while len(rows) < 300:
        w, h = (int(2 ** rng.uniform(0, 12.5)) for _ in range(2))
        lo = int(rng.choice([784, 3136, 100352]))
        hi = int(rng.choice([100352, 200704, 1003520, 12845056]))
        if max(w, h) / min(w, h) <= 200:
            h2, w2 = smart_resize(h, w, lo, hi)
            rows.append([w, h, lo, hi, w2, h2])
    write_json(f"{model}/smart.json", rows)
    decode_cases(f"{out}/decode")


main()
