"""What a call costs: uint8 arrays of three sizes go to a model that gives one float back, beside what others take.

    python benchmarks/latency.py [--calls 1000] [--engines docker process] [--no-peers]

All take turns in one run, so that whatever else the machine does falls on all of them:
- memcpy: the same bytes copied within this process;
- raw ping: the bytes copied into shared memory and one byte to and fro on a Unix socket, which is the machine's limit;
- bare grpcio: an empty message over a Unix socket, in Python as ours;
- ours, by each engine: a plain call; one with an array that `model.empty` gave, which both sides see (in place); and
  one by gRPC as other clients make it, to show what the lane gains;
- Triton, the real server, called by its own client with the tensor in the message and in system shared memory. Its
  environment (240 MB) is made at the first run, below the user's cache directory; `--no-peers` leaves it out.

Target: the median at most 0.5 x that of Triton with shared memory, for both pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from peers import bare_grpc, raw, triton
from peers.child import Child
from peers.timing import SHAPES, payload, times

import gpumodels
from gpumodels.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gpumodels.model import Model

    Array = NDArray[np.uint8]
    #: Seconds of so many calls with the array of that name.
    Contestant = Callable[[str, int], list[float]]

TARGET = 0.5  # times Triton with shared memory
_PEER = "Triton, shared memory"
_JUDGED = ("[224,224,3]", "[1080,1920,3]")
_READY_WITHIN = 10.0  # seconds
_AT_A_TIME = 50  # calls of one before the next has its turn
_MODEL = Path(__file__).parents[1] / "notebooks" / "models" / "pixel"

ARRAYS = {name: payload(shape) for name, shape in SHAPES.items()}
_LARGEST = max(array.nbytes for array in ARRAYS.values())


def here(call: Callable[[Array], float]) -> Contestant:
    """Timed in this process."""
    return lambda name, calls: times(call, ARRAYS[name], calls)


def memcpy() -> Callable[[Array], float]:
    """Copies into memory that is there already."""
    room = np.ones(_LARGEST, np.uint8)

    def call(array: Array) -> float:
        np.copyto(room[: array.size], array.reshape(-1))
        return float(room[0])

    return call


def in_place(model: Model) -> Contestant:
    """Timed with arrays that lie where the model server sees them."""
    arrays = {name: model.empty("image", shape) for name, shape in SHAPES.items()}
    return lambda name, calls: times(model, arrays[name], calls)


@contextlib.contextmanager
def by_grpc(model: Model) -> Iterator[Callable[[Array], float]]:
    """The same model, called without the lane."""
    client = Client(model.attachment.instance.connector(), model.name, lane=False)
    with contextlib.closing(client):
        client.wait_ready(time.monotonic() + _READY_WITHIN, lambda: None)
        yield lambda array: client.call((array,), {})


@contextlib.contextmanager
def contestants(engines: list[str], *, peers: bool) -> Iterator[dict[str, Contestant]]:
    """All that take part, by name; what they run ends with the block."""
    with contextlib.ExitStack() as running:
        found = {"memcpy": here(memcpy()), "raw ping": here(running.enter_context(raw.ping(_LARGEST)))}
        empty = running.enter_context(bare_grpc.empty_call())
        found["bare grpcio, empty"] = here(lambda array: (empty(), array.item(0))[1])
        for engine in engines:
            model = running.enter_context(gpumodels.load(_MODEL, gpu="none", engine=engine))
            found[f"ours, {engine}"] = here(model)
            found[f"ours, {engine}, in place"] = in_place(model)
            found[f"ours, {engine}, by gRPC"] = here(running.enter_context(by_grpc(model)))
        if peers:
            asked = running.enter_context(Child("-m", "peers.triton", python=triton.environment()))
            found["Triton, in the message"] = lambda name, calls: asked.ask("plain", name, calls)
            found[_PEER] = lambda name, calls: asked.ask("shared", name, calls)
        yield found


def measure(taking_part: dict[str, Contestant], calls: int) -> dict[str, dict[str, list[float]]]:
    """Seconds by contestant and array."""
    taken: dict[str, dict[str, list[float]]] = {who: {name: [] for name in SHAPES} for who in taking_part}
    while (left := calls - len(taken["memcpy"]["[16]"])) > 0:
        for name in SHAPES:
            for who, contestant in taking_part.items():
                taken[who][name] += contestant(name, min(left, _AT_A_TIME))
    return taken


def table(taken: dict[str, dict[str, list[float]]]) -> str:
    """Milliseconds in Markdown: the median and the 99th percentile."""
    head = [f"uint8 {name}: {part}" for name in SHAPES for part in ("p50", "p99")]
    rows = [["ms", *head], ["---", *["---:"] * len(head)]]
    for who, by_name in taken.items():
        parts = [statistics.quantiles(by_name[name], n=100) for name in SHAPES]
        rows.append([who, *(f"{1e3 * part:.3f}" for cuts in parts for part in (cuts[49], cuts[98]))])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def verdict(taken: dict[str, dict[str, list[float]]], judged: list[str]) -> bool:
    """Prints the ratios to the peer's medians, and whether plain calls met the target, which is returned."""
    met = True
    for who in (who for who in taken if who.startswith("ours")):
        ratios = {name: statistics.median(taken[who][name]) / statistics.median(taken[_PEER][name]) for name in SHAPES}
        said = ", ".join(f"{ratio:.2f} x for {name}" for name, ratio in ratios.items())
        kept = all(ratios[name] <= TARGET for name in _JUDGED)
        met = met and (kept or who not in judged)
        target = f"; target, at most {TARGET} x: {'met' if kept else 'missed'}" if who in judged else ""
        print(f"{who}: {said} of {_PEER}{target}")
    return met


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=1000, help="counted calls of each, for each array")
    options.add_argument("--engines", nargs="+", default=["docker", "process"])
    options.add_argument("--no-peers", action="store_true", help="leave out Triton, and with it the target")
    asked = options.parse_args()
    with contestants(asked.engines, peers=not asked.no_peers) as taking_part:
        taken = measure(taking_part, asked.calls)
    print(f"{asked.calls} calls each, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(f"{table(taken)}\n")
    return 0 if asked.no_peers or verdict(taken, [f"ours, {engine}" for engine in asked.engines]) else 1


if __name__ == "__main__":
    sys.exit(main())
