"""Measure the time of a call, and compare it with Triton and with the limits of the machine.

    python benchmarks/latency.py [--calls 1000] [--engines docker process] [--no-peers] [--against CHECKOUT]

A call sends a uint8 array, of three sizes, to a model that returns one float. All contestants take turns in one run, so
that other load on the machine affects all of them:
- memcpy: the same bytes are copied within this process;
- raw ping: the bytes are copied into shared memory, and one byte is sent and one float received on a Unix socket. This
  is the machine's limit;
- bare grpcio: an empty message over a Unix socket, in Python like ours;
- ours, on each engine: a plain call; a call with an array of `model.empty`, which the server sees without a copy (in
  place); and a call by gRPC, as other clients make it, which shows the gain of the lane;
- Triton: the real server, called by its own client, with the tensor in the message and in system shared memory. The
  first run makes its environment (240 MB) below the user's cache directory. `--no-peers` leaves Triton out.

Target: for both pictures, the median is at most 0.5 x that of Triton with shared memory.

With `--against`, only this checkout and another one are compared, each in a child process of its own.
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
from peers.timing import SHAPES, payloads, times

import gpumodels
from gpumodels.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gpumodels.model import Model

    Array = NDArray[np.uint8]
    #: A function of an array's name and a number of calls. It returns the seconds of each call.
    Contestant = Callable[[str, int], list[float]]

TARGET = 0.5  # as a multiple of Triton's median with shared memory
_PEER = "Triton, shared memory"
_JUDGED = ("[224,224,3]", "[1080,1920,3]")
_READY_WITHIN = 10.0  # seconds
_AT_A_TIME = 50  # calls of one contestant before the next one takes its turn
_HERE = Path(__file__).parents[1]
_MODEL = _HERE / "notebooks" / "models" / "pixel"

ARRAYS = payloads()
_LARGEST = max(array.nbytes for array in ARRAYS.values())


def here(call: Callable[[Array], float]) -> Contestant:
    """Return a contestant that is measured in this process."""
    return lambda name, calls: times(call, ARRAYS[name], calls)


def memcpy() -> Callable[[Array], float]:
    """Return a function that copies an array into allocated memory."""
    room = np.ones(_LARGEST, np.uint8)

    def call(array: Array) -> float:
        np.copyto(room[: array.size], array.reshape(-1))
        return float(room[0])

    return call


def in_place(model: Model) -> Contestant:
    """Return a contestant with arrays in memory that the model server sees."""
    arrays = {name: model.empty("image", shape) for name, shape in SHAPES.items()}
    return lambda name, calls: times(model, arrays[name], calls)


@contextlib.contextmanager
def by_grpc(model: Model) -> Iterator[Callable[[Array], float]]:
    """Yield a function that calls the model by gRPC, without the lane."""
    client = Client(model.attachment.instance.connector(), model.name, lane=False)
    with contextlib.closing(client):
        client.wait_ready(time.monotonic() + _READY_WITHIN, lambda: None)
        yield lambda array: client.call((array,), {})


@contextlib.contextmanager
def contestants(engines: list[str], *, peers: bool) -> Iterator[dict[str, Contestant]]:
    """Yield all contestants by name. Their models and servers end with the block."""
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
            peer = running.enter_context(Child("-m", "peers.triton", python=triton.environment()))
            found["Triton, in the message"] = lambda name, calls: peer.ask("plain", name, calls)
            found[_PEER] = lambda name, calls: peer.ask("shared", name, calls)
        yield found


@contextlib.contextmanager
def checkouts(engines: list[str], other: Path) -> Iterator[dict[str, Contestant]]:
    """Yield this checkout and another one as contestants, with each engine. Their models end with the block."""
    with contextlib.ExitStack() as running:
        found: dict[str, Contestant] = {}
        for engine in engines:
            for label, path in ((f"before, {engine}", other), (f"after, {engine}", _HERE)):
                child = running.enter_context(Child("-m", "peers.checkout", str(path.resolve()), engine))
                found[label] = child.ask
        yield found


def measure(contestants: dict[str, Contestant], calls: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of each call, by contestant and array."""
    taken: dict[str, dict[str, list[float]]] = {label: {name: [] for name in SHAPES} for label in contestants}
    first = next(iter(contestants))
    while (left := calls - len(taken[first]["[16]"])) > 0:
        for name in SHAPES:
            for label, contestant in contestants.items():
                taken[label][name] += contestant(name, min(left, _AT_A_TIME))
    return taken


def table(taken: dict[str, dict[str, list[float]]]) -> str:
    """Return a table in Markdown with medians and 99th percentiles, in milliseconds."""
    head = [f"uint8 {name}: {part}" for name in SHAPES for part in ("p50", "p99")]
    rows = [["ms", *head], ["---", *["---:"] * len(head)]]
    for label, by_name in taken.items():
        parts = [statistics.quantiles(by_name[name], n=100) for name in SHAPES]
        rows.append([label, *(f"{1e3 * part:.3f}" for cuts in parts for part in (cuts[49], cuts[98]))])
    return _markdown(rows)


def _markdown(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def verdict(taken: dict[str, dict[str, list[float]]], judged: list[str]) -> bool:
    """Print the ratios to Triton's medians. Return True if the contestants in `judged` met the target."""
    met = True
    for label in (each for each in taken if each.startswith("ours")):
        ratios = {
            name: statistics.median(taken[label][name]) / statistics.median(taken[_PEER][name]) for name in SHAPES
        }
        text = ", ".join(f"{ratio:.2f} x for {name}" for name, ratio in ratios.items())
        kept = all(ratios[name] <= TARGET for name in _JUDGED)
        met = met and (kept or label not in judged)
        target = f"; target, at most {TARGET} x: {'met' if kept else 'missed'}" if label in judged else ""
        print(f"{label}: {text} of {_PEER}{target}")
    return met


def comparison(taken: dict[str, dict[str, list[float]]]) -> str:
    """Return the ratio of this checkout's medians to the other one's, as a table in Markdown."""
    rows = [["after / before", *SHAPES], ["---", *["---:"] * len(SHAPES)]]
    for label in (each.removeprefix("after, ") for each in taken if each.startswith("after, ")):
        medians = {
            side: [statistics.median(taken[f"{side}, {label}"][name]) for name in SHAPES]
            for side in ("before", "after")
        }
        pairs = zip(medians["after"], medians["before"], strict=True)
        rows.append([label, *(f"{after / before:.3f}" for after, before in pairs)])
    return _markdown(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000, help="counted calls of each contestant, for each array")
    parser.add_argument("--engines", nargs="+", default=["docker", "process"])
    parser.add_argument("--no-peers", action="store_true", help="leave out Triton, and with it the target")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare with another checkout alone")
    options = parser.parse_args()
    if options.against is not None:
        compared = checkouts(options.engines, options.against)
    else:
        compared = contestants(options.engines, peers=not options.no_peers)
    with compared as found:
        taken = measure(found, options.calls)
    print(f"{options.calls} calls each, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(f"{table(taken)}\n")
    if options.against is not None:
        print(comparison(taken))
        return 0
    return 0 if options.no_peers or verdict(taken, [f"ours, {engine}" for engine in options.engines]) else 1


if __name__ == "__main__":
    sys.exit(main())
