"""Rendered pages and signs with known lines of text, and the score of a detector on them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
    "cmss10",
)
WORDS = Path(__file__).with_name("words.txt").read_text().split()
#: Colours of paper and ink.
COLOURS = (
    ((250, 248, 240), (20, 20, 25)), ((20, 70, 140), (245, 245, 245)), ((10, 95, 50), (250, 250, 230)),
    ((250, 210, 20), (15, 15, 15)), ((190, 20, 30), (255, 255, 255)), ((60, 60, 66), (240, 200, 90)),
)  # fmt: skip


@dataclass
class Scene:
    """A picture with known lines: `image` is uint8 [H, W, 3], `lines` [N, 4, 2] the corners of the ink of each line."""

    image: np.ndarray
    lines: np.ndarray


def page(seed: int) -> Scene:
    """Return a page full of lines of several sizes, slightly turned, blurred and noisy."""
    rng = random.Random(seed)
    paper, ink = COLOURS[seed % len(COLOURS)]
    sheet = Image.new("RGB", (1000, 1200), paper)
    lines, y = [], 70.0
    while y < 1080:
        size = rng.choice((22, 26, 30, 40))
        lines.append(_write(sheet, (80, y), _font(seed, size), ink, _text(rng, rng.randint(2, 9), size, 840)))
        y += size * rng.choice((1.4, 1.6, 2))
    return _finish(sheet, lines, rng, turn=1)


def sign(seed: int) -> Scene:
    """Return a street sign of one to three lines before a background without text."""
    rng = random.Random(seed)
    paper, ink = COLOURS[seed % len(COLOURS)]
    scene = _backdrop(rng, *rng.choice(((1280, 720), (960, 720), (720, 1080))))
    size = int(min(scene.size) * rng.choice((0.07, 0.09, 0.12)))
    texts = [_text(rng, rng.randint(1, 3), size, scene.width * 0.7).upper() for _ in range(rng.randint(1, 3))]
    width = max(_font(seed, size).getlength(text) for text in texts) + size
    left, top = (scene.width - width) * rng.uniform(0.2, 0.8), scene.height * rng.uniform(0.15, 0.4)
    board = (left, top, left + width, top + size * (0.7 + 1.4 * len(texts)))
    ImageDraw.Draw(scene).rounded_rectangle(board, size * 0.2, fill=paper, outline=ink, width=max(2, size // 15))
    places = [(left + size / 2, top + size * (0.4 + 1.4 * row)) for row in range(len(texts))]
    lines = [_write(scene, place, _font(seed, size), ink, text) for place, text in zip(places, texts, strict=True)]
    return _finish(scene, lines, rng, turn=4)


def matches(boxes: np.ndarray, lines: np.ndarray, least: float = 0.5) -> int:
    """Count the `lines` [N, 4, 2] that have a box of their own among `boxes` [M, 8].

    A box matches a line if their intersection over union is `least` or more.
    """
    pairs = [(overlap(box.reshape(4, 2), line), i, j) for i, box in enumerate(boxes) for j, line in enumerate(lines)]
    found, used = set(), set()
    for value, box, line in sorted(pairs, reverse=True):
        if value >= least and box not in used and line not in found:
            used.add(box)
            found.add(line)
    return len(found)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection over union of two convex quadrilaterals. Both are drawn, and the pixels counted."""
    both = np.concatenate([one, other])
    low = both.min(axis=0)
    if (one.max(axis=0) < other.min(axis=0)).any() or (other.max(axis=0) < one.min(axis=0)).any():
        return 0.0
    width, height = (np.ceil(both.max(axis=0) - low) + 1).astype(int).tolist()
    masks = []
    for corners in (one, other):
        mask = Image.new("1", (width, height))
        ImageDraw.Draw(mask).polygon([tuple(point) for point in corners - low], fill=1)
        masks.append(np.asarray(mask))
    return float((masks[0] & masks[1]).sum() / max(1, (masks[0] | masks[1]).sum()))


def _font(seed: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / f"{FACES[seed % len(FACES)]}.ttf", size)


def _text(rng: random.Random, words: int, size: int, width: float) -> str:
    text = rng.choice(WORDS)
    for word in rng.sample(WORDS, words - 1):
        if len(f"{text} {word}") * size * 0.75 < width:
            text = f"{text} {word}"
    return text


def _write(sheet: Image.Image, place: tuple, font: ImageFont.FreeTypeFont, ink: tuple, text: str) -> list[tuple]:
    draw = ImageDraw.Draw(sheet)
    draw.text(place, text, font=font, fill=ink)
    left, top, right, bottom = draw.textbbox(place, text, font=font)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _backdrop(rng: random.Random, width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(rng.randrange(2**32))
    small = noise.integers(40, 200, (5, 7, 3), dtype=np.uint8)
    scene = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(scene)
    for _ in range(12):
        x, y, colour = rng.randrange(width), rng.randrange(height), tuple(rng.randrange(256) for _ in range(3))
        draw.rectangle((x, y, x + rng.randrange(10, 250), y + rng.randrange(10, 250)), fill=colour)
        draw.line((x, y, rng.randrange(width), rng.randrange(height)), fill=colour, width=rng.randrange(2, 12))
    return scene.filter(ImageFilter.GaussianBlur(1.5))


def _finish(scene: Image.Image, lines: list, rng: random.Random, turn: float) -> Scene:
    """Turn picture and corners by up to `turn` degrees about the centre, blur the picture a little, and add noise."""
    angle = math.radians(rng.uniform(-turn, turn))
    cosine, sine = math.cos(angle), math.sin(angle)
    centre = np.array(scene.size) / 2
    corners = (np.array(lines, float) - centre) @ np.array([[cosine, sine], [-sine, cosine]]) + centre
    turned = scene.rotate(-math.degrees(angle), Image.Resampling.BICUBIC, fillcolor=scene.getpixel((2, 2)))
    blurred = np.asarray(turned.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8))), float)
    noise = np.random.default_rng(rng.randrange(2**32)).normal(0, rng.uniform(1, 8), blurred.shape)
    return Scene(np.clip(blurred + noise, 0, 255).astype(np.uint8), corners)
