"""Writes what Pillow and NumPy (pip install pillow==12.3.0 numpy; Pillow 13 resizes in another order) make of images: the oracle for image preprocessing.

    python bench/resize_fixture.py runtime/images/testdata runtime/models/qwen25vl/testdata

    resize.json     SHA-256 of Pillow's bicubic resize of a generated picture, for several sizes
    patches.json    SHA-256 of the float32 patches of images and videos of Qwen2-VL's processors, restated in NumPy, and a few of their values
    smart.json      sizes chosen by smart_resize, restated
    decode/*        small files in every supported form, each with NAME.want.png: Pillow's exif_transpose and RGB
"""

import hashlib
import io
import json
import math
import os
import struct
import sys
import zlib

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
    hb, wb = round(h / factor) * factor, round(w / factor) * factor
    if hb * wb > hi:
        beta = math.sqrt(h * w / hi)
        hb, wb = max(factor, math.floor(h / beta / factor) * factor), max(factor, math.floor(w / beta / factor) * factor)
    elif hb * wb < lo:
        beta = math.sqrt(lo / (h * w))
        hb, wb = math.ceil(h * beta / factor) * factor, math.ceil(w * beta / factor) * factor
    return hb, wb


def patches(frames, lo, hi):
    """[P, 1176] and the grid as Qwen2VLImageProcessorPil makes them of one frame and Qwen2VLVideoProcessor (with Pillow's resize) of
    several: resize, rescale, normalise, repeat the last frame, cut, reorder."""
    h, w = smart_resize(frames[0].height, frames[0].width, lo, hi)
    a = np.stack([np.array(f.resize((w, h), Image.BICUBIC)) for f in frames])
    a = (a.astype(np.float64) * (1 / 255)).astype(np.float32)
    mean = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
    std = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
    a = ((a - mean) / std).transpose(0, 3, 1, 2)
    if len(a) % 2:
        a = np.concatenate([a, a[-1:]])
    t, gh, gw = len(a) // 2, h // 14, w // 14
    a = a.reshape(t, 2, 3, gh // 2, 2, 14, gw // 2, 2, 14).transpose(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return np.ascontiguousarray(a.reshape(t * gh * gw, 1176)), (t, gh, gw)


def sha(b):
    return hashlib.sha256(b).hexdigest()


def write_json(path, rows):
    with open(path, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


def assembled(planes, factors, size, adobe=None):
    """Baseline JPEG with one scan a component, made of grey JPEGs: the way to any sampling factors. planes [h, w] have the size that
    their factors (across, down) give them; adobe is the transform of Adobe's marker."""
    out, scans = [b"\xff\xd8"], []
    if adobe is not None:
        out.append(b"\xff\xee" + struct.pack(">H5sHHHB", 14, b"Adobe", 100, 0, 0, adobe))
    for plane in planes:
        b = io.BytesIO()
        Image.fromarray(plane).save(b, "JPEG", quality=92)
        b, at = b.getvalue(), 2
        while b[at + 1] != 0xDA:
            n = 2 + struct.unpack(">H", b[at + 2 : at + 4])[0]
            if not scans and b[at + 1] in (0xDB, 0xC4):  # quantisation and Huffman tables are those of every component
                out.append(b[at : at + n])
            at += n
        scans.append(b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, len(scans) + 1, 0, 0, 63, 0) + b[at + 10 : -2])
    frame = struct.pack(">BHHB", 8, size[1], size[0], len(planes))
    for i, (h, v) in enumerate(factors):
        frame += bytes([i + 1, h << 4 | v, 0])
    out.append(b"\xff\xc0" + struct.pack(">H", 2 + len(frame)) + frame)
    return b"".join(out + scans + [b"\xff\xd9"])


def sampled(w, h, factors, adobe=None):
    """assembled from the channels of the generated picture, which need not be YCbCr to be decoded as such."""
    widest, tallest = max(f[0] for f in factors), max(f[1] for f in factors)
    channels = np.array(picture(w, h).convert("YCbCr") if len(factors) == 3 else picture(w, h).convert("CMYK"))
    if len(factors) == 4:
        channels[..., 3] = np.array(picture(h, w).convert("L")).T
    planes = []
    for i, (a, d) in enumerate(factors):
        plane = Image.fromarray(channels[..., i])
        planes.append(np.array(plane.resize((-(-w * a // widest), -(-h * d // tallest)), Image.BOX)))
    return assembled(planes, factors, (w, h), adobe)


def png(pixels, colour, interlaced=False, *chunks):
    """PNG of pixels [h, w, channels] in the depth of their type: what Pillow cannot write."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    h, w = pixels.shape[:2]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    raw = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in pixels[y::dy, x::dx].astype(pixels.dtype.newbyteorder(">")) if row.size)
    header = struct.pack(">IIBBBBB", w, h, 8 * pixels.itemsize, colour, 0, 0, interlaced)
    body = b"".join(chunk(n, d) for n, d in [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")])
    return b"\x89PNG\r\n\x1a\n" + body


def without(b, marker):
    """JPEG without its segments of that marker."""
    at, out = 2, b[:2]
    while b[at + 1] != 0xDA:
        n = 2 + struct.unpack(">H", b[at + 2 : at + 4])[0]
        out += b[at : at + n] if b[at + 1] != marker else b""
        at += n
    return out + b[at:]


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
    for name, factors in {"411": (4, 1), "410": (4, 2), "440": (1, 2), "420": (2, 2)}.items():
        cases[f"jpeg_scans{name}.jpg"] = sampled(37, 29, [factors, (1, 1), (1, 1)])
        cases[f"jpeg_narrow{name}.jpg"] = sampled(3, 7, [factors, (1, 1), (1, 1)])
    save("jpeg_cmyk.jpg", p.convert("CMYK"), "JPEG", quality=90)
    cases["jpeg_cmyk_plain.jpg"] = without(cases["jpeg_cmyk.jpg"], 0xEE)
    cases["jpeg_cmyk_black.jpg"] = sampled(29, 21, [(1, 1)] * 4, adobe=0)
    cases["jpeg_cmyk_halved.jpg"] = sampled(29, 21, [(2, 2), (1, 1), (1, 1), (2, 2)], adobe=0)
    cases["jpeg_ycck.jpg"] = sampled(29, 21, [(1, 1)] * 4, adobe=2)
    cases["jpeg_ycck_halved.jpg"] = sampled(29, 21, [(2, 2), (1, 1), (1, 1), (2, 2)], adobe=2)
    save("jpeg_progressive422.jpg", smooth, "JPEG", quality=85, subsampling=1, progressive=True)
    turned = Image.Exif()
    turned[0x0112] = 6
    save("png_exif6.png", smooth.crop((0, 0, 23, 14)), "PNG", exif=turned)
    save("webp_exif6.webp", smooth.crop((0, 0, 23, 14)), "WEBP", lossless=True, exif=turned)
    save("png_animated.png", p.crop((0, 0, 16, 9)), "PNG", save_all=True, append_images=[smooth.crop((0, 0, 16, 9))])
    save("png_palette_tinted.png", p.quantize(5), "PNG", transparency=b"\x00\x80\xff\x07")
    wide = np.array(rgba.crop((0, 0, 17, 13))).astype(np.uint16) * 251 + 3
    cases["png_interlaced.png"] = png(np.array(p), 2, True)
    cases["png_interlaced_palette.png"] = png(np.array(p.quantize(40)), 3, True, (b"PLTE", bytes(p.quantize(40).getpalette()[:120])))
    cases["png_rgb16.png"] = png(wide[..., :3].copy(), 2)
    cases["png_rgb16_transparent.png"] = png(wide[..., :3].copy(), 2, False, (b"tRNS", wide[2, 3, :3].astype(">u2").tobytes()))
    cases["png_rgba16.png"] = png(wide, 6, True)
    cases["png_la16.png"] = png(wide[..., 1:3].copy(), 4)
    cases["png_grey_transparent.png"] = png(np.array(p.convert("L"))[..., None], 0, False, (b"tRNS", b"\0\x80"))
    for name, b in cases.items():
        with open(f"{folder}/{name}", "wb") as f:
            f.write(b)
        want = ImageOps.exif_transpose(Image.open(io.BytesIO(b))).convert("RGB")
        want.save(f"{folder}/{name}.want.png", optimize=True)
    with open(f"{folder}/png_grey16.png", "wb") as f:
        f.write(png(wide[..., :1].copy(), 0))
    Image.fromarray((wide[..., 0] >> 8).astype(np.uint8)).convert("RGB").save(f"{folder}/png_grey16.png.want.png", optimize=True)  # not Pillow's
    p.save(f"{folder}/refused_animated.webp", "WEBP", save_all=True, append_images=[smooth], quality=50)


def main():
    out, model = sys.argv[1:]
    rows = []
    for w, h, w2, h2 in [
        (37, 29, 28, 28), (640, 480, 644, 476), (100, 75, 112, 84), (56, 56, 56, 84), (56, 56, 84, 56), (300, 200, 28, 140),
        (1, 1, 28, 28), (2, 500, 28, 504), (1920, 1080, 476, 280), (13, 200, 28, 196), (28, 28, 28, 28), (255, 3, 252, 28), (700, 700, 28, 28),
        (4, 479, 28, 308), (2, 221, 112, 196), (1, 150, 28, 168), (2, 200, 28, 196), (479, 4, 308, 28),
    ]:
        rows.append([w, h, w2, h2, sha(picture(w, h).resize((w2, h2), Image.BICUBIC).tobytes())])
    write_json(f"{out}/resize.json", rows)
    rows = []
    for frames, w, h, lo, hi in [
        (1, 37, 29, 3136, 50176), (1, 112, 112, 3136, 50176), (1, 640, 480, 3136, 50176), (1, 300, 60, 3136, 12845056), (1, 70, 42, 784, 50176),
        (1, 28, 28, 784, 784), (1, 400, 2, 784, 50176), (2, 70, 42, 784, 50176), (5, 60, 90, 3136, 50176),
    ]:
        clip = [Image.fromarray(np.roll(np.array(picture(w, h)), -5 * i, axis=1)) for i in range(frames)]
        a, grid = patches(clip, lo, hi)
        rows.append([frames, w, h, lo, hi, grid, sha(a.astype("<f4").tobytes()), [float(v) for v in a[-1, ::97]]])
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
