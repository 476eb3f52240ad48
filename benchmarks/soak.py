"""Make many calls of mixed sizes, and check that memory and descriptors do not grow.

    python benchmarks/soak.py [--calls 1000000] [--engine process]

It prints a row after each tenth of the calls:
- of this process (kernel) and of the model server: resident memory, open descriptors, and the shared memory behind
  these descriptors and mapped;
- of the instance: files and bytes in its shared memory directory;
- of the machine: all shared memory. Others use it too, so it is not judged.

At the end it prints what grew from the first tenth to the last. The exit status is 1 if anything did.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import gpumodels
from gpumodels.lease import processes

if TYPE_CHECKING:
    from collections.abc import Callable

_MODEL = Path(__file__).parent / "models" / "mixed"
_PARTS = 10
_MIB = 1 << 20
_BLOCK = 512  # bytes; the unit of st_blocks on every filesystem (inode(7))

#: The shape of the input, the bytes of the result, and the number of such calls in a thousand. Small ones are sent
#: inline, large ones in shared memory.
MIX = (
    ((16,), 8, 840),
    ((224, 224, 3), 8, 70),
    ((16,), 224 * 224 * 3, 30),
    ((224, 224, 3), 224 * 224 * 3, 30),
    ((333, 77), 99_999, 20),
    ((1080, 1920, 3), 8, 5),
    ((1080, 1920, 3), 1080 * 1920 * 3, 3),
    ((16,), 7_654_321, 2),
)


@dataclass(frozen=True)
class Process:
    """The resources of a process: resident bytes, descriptors, and bytes of open and of mapped memory files."""

    rss: int
    fds: int
    shared: int
    mapped: int

    @classmethod
    def of(cls, pid: int) -> Process:
        status = f"/proc/{pid}/status"
        links = list(Path(f"/proc/{pid}/fd").iterdir())
        return cls(_kib(status, "VmRSS"), len(links), _memory_files(links), _kib(status, "RssShmem"))


#: The allowed growth. Allocators take some memory, but it must not grow with the number of calls.
ALLOWED = Process(rss=4 * _MIB, fds=2, shared=_MIB, mapped=_MIB)


@dataclass(frozen=True)
class Holding:
    """The resources of this process, of the model server, and of the instance's shared memory directory."""

    kernel: Process
    server: Process
    files: int
    size: int

    @classmethod
    def of(cls, server: int, directory: Path) -> Holding:
        """Return the resources at this moment. `server` is a process id, `directory` that of the shared memory."""
        files = [entry.stat() for entry in directory.iterdir()] if directory.is_dir() else []
        size = sum(_BLOCK * file.st_blocks for file in files)
        return cls(Process.of(os.getpid()), Process.of(server), len(files), size)


def _kib(file: str, name: str) -> int:
    """Return the bytes of a line like `Rss:  123 kB`."""
    for line in Path(file).read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise SystemExit(f"{file} has no {name}")


def _memory_files(links: list[Path]) -> int:
    """Return the bytes of the memory files among open descriptors. Each file counts once."""
    found = {}
    for link in links:
        with suppress(OSError):
            if str(link.readlink()).startswith(("/memfd:", "/dev/shm/")):  # noqa: S108
                file = link.stat()
                found[file.st_dev, file.st_ino] = _BLOCK * file.st_blocks
    return sum(found.values())


def _server_of(instance_id: str) -> int:
    """Return the process id of the model server, which may run in a container."""
    for pid in processes.of_instance(instance_id):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "-m" in words and words[words.index("-m") + 1] == "gpumodels.server":
            return pid
    raise SystemExit(f"the model server of {instance_id} was not found")


def _calls(model: Callable[..., Any]) -> Callable[[int], None]:
    """Return a function that makes so many calls of the mix in random order, and then one of each kind.

    The last calls are always the same. So the pools of buffers are the same each time the resources are measured. A
    wrong answer raises AssertionError.
    """
    random = np.random.default_rng(7)
    share = np.array([often for _, _, often in MIX]) / sum(often for _, _, often in MIX)
    arrays = [np.zeros(shape, np.uint8) for shape, _, _ in MIX]

    def make(count: int) -> None:
        order = [*random.choice(len(MIX), count - len(MIX), p=share), *range(len(MIX))]
        for number, which in enumerate(order):
            array, size = arrays[which], MIX[which][1]
            array.flat[0] = first = number % 251
            answer = model(array, size)
            assert answer.shape == (size,), answer.shape
            assert answer[0] == answer[-1] == first, f"{answer[0]} and {answer[-1]} in place of {first}"

    return make


def _cells(held: Holding) -> list[str]:
    """Return the cells of a row, in the order of the table's head."""
    ends = [
        cell
        for end in (held.kernel, held.server)
        for cell in (_mib(end.rss), str(end.fds), _mib(end.shared), _mib(end.mapped))
    ]
    return [*ends, str(held.files), _mib(held.size), _mib(_kib("/proc/meminfo", "Shmem"))]


def _mib(size: int) -> str:
    return f"{size / _MIB:.1f}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def soak(model: Any, calls: int) -> list[Holding]:
    """Make the calls and print a row for each tenth. Return the resources after each tenth."""
    server, directory = _server_of(model.record.id), Path(model.record.shared_memory)
    make, held = _calls(model), []
    ends = [f"{end} {what}" for end in ("kernel", "server") for what in ("RSS", "fds", "shared", "mapped")]
    head = ["calls", "calls/s", *ends, "files", "their size", "machine"]
    print(_row(head), _row(["---:"] * len(head)), sep="\n")
    for part in range(1, _PARTS + 1):
        began = time.perf_counter()
        make(calls // _PARTS)
        rate = calls // _PARTS / (time.perf_counter() - began)
        held.append(Holding.of(server, directory))
        print(_row([f"{100 * part // _PARTS} %", f"{rate:.0f}", *_cells(held[-1])]), flush=True)
    return held


def growth(first: Holding, last: Holding) -> list[str]:
    """Return texts about the resources that grew more than allowed."""
    found = []
    for end in ("kernel", "server"):
        before, after = getattr(first, end), getattr(last, end)
        for field in fields(Process):
            grown = getattr(after, field.name) - getattr(before, field.name)
            if grown > getattr(ALLOWED, field.name):
                found.append(f"{field.name} of the {end} by {grown}")
    if last.files > first.files or last.size > first.size:
        found.append(f"its directory by {last.files - first.files} files and {last.size - first.size} bytes")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--engine", default="process")
    options = parser.parse_args()
    with gpumodels.load(_MODEL, gpu="none", engine=options.engine) as model:
        print(f"{options.calls} calls, engine {options.engine}; memory in MiB\n")
        held = soak(model, options.calls)
    grown = growth(held[0], held[-1])
    print(f"\nload average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"no growth from the first tenth to the last: {'missed, ' + '; '.join(grown) if grown else 'met'}")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
