"""Measure the time that CTPN takes for a photo of 1280x720, on each engine.

    python benchmarks/ctpn.py [--engine docker process] [--gpu none] [--photo FILE] [--calls 5]

It prints a table, in seconds, of the load, the first call and the median of the following calls.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import gpumodels

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (1280, 720)


def main() -> None:
    options = _options()
    image = np.asarray(_photo(options.photo).convert("RGB").resize(SIZE))
    print(f"{'engine':8} {'device':14} {'load s':>7} {'first s':>8} {'median s':>9} {'lines':>6}")
    for engine in options.engine:
        print(_row(engine, options.gpu, image, options.calls))


def _row(engine: str, gpu: str, image: np.ndarray[Any, Any], calls: int) -> str:
    try:
        model, load = _timed(lambda: gpumodels.load("ctpn", gpu=gpu, engine=engine))
    except gpumodels.EngineError as error:
        return f"{engine:8} {error}"
    with model:
        result, first = _timed(lambda: model(image))
        times = [_timed(lambda: model(image))[1] for _ in range(calls)]
    median = statistics.median(times)
    return f"{engine:8} {gpu:14} {load:7.2f} {first:8.2f} {median:9.2f} {len(result.boxes):6}"


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def _photo(path: str | None) -> Image.Image:
    """Return the photo in the file, or a drawn one. The time of a call depends only on its size."""
    if path:
        return Image.open(path)
    picture = Image.new("RGB", SIZE, (20, 70, 140))
    for row, text in enumerate(("CITY CENTRE", "Airport", "All other routes")):
        ImageDraw.Draw(picture).text((200, 120 + 160 * row), text, font=ImageFont.load_default(80))
    return picture


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", nargs="+", default=["docker", "process"], help="engines to measure")
    parser.add_argument("--gpu", default="none", help="as in gpumodels.load (default: none)")
    parser.add_argument("--photo", help="picture to use instead of a drawn one")
    parser.add_argument("--calls", type=int, default=5, help="calls after the first one (default: 5)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
