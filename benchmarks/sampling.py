"""Measure the CPU time of reading the holders of GPU memory once a second, with 8 GPUs and 40 processes.

    python benchmarks/sampling.py [SECONDS]

The machine is the tests' fake driver with the real nvidia-ml-py. The processes, four of them models, are real. The
result is the CPU time, user and system, of the one process that reads. Target: under 1 % of one core, and nothing while
nobody watches. A part of the time is the fake driver's own, which looks up 40 processes in /proc.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).parents[1]))

import gpumodels
from gpumodels import devices
from gpumodels.instances import recent_usage, running, usage
from gpumodels.lease.processes import of_instance
from tests.fakes.nvml import GB, gpu, machine

GPUS, PROCESSES, MODELS = 8, 40, 4
TARGET = 0.01  # of one core
IDLE_TARGET = 0.0005  # of one core, about the time that this program itself takes to measure once a second


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory(prefix="gpumodels-") as directory, ExitStack() as held:
        os.environ["GPUMODELS_RUNTIME_DIR"] = f"{directory}/run"
        os.environ["XDG_STATE_HOME"] = f"{directory}/state"
        environment = _machine(Path(directory), held)
        table = subprocess.run(
            [sys.executable, __file__, "--look", str(seconds)],
            env=os.environ | environment, check=True, text=True, stdout=subprocess.PIPE,
        ).stdout  # fmt: skip
    print(table, end="")
    return 0 if table.rstrip().endswith("met") else 1


def _machine(directory: Path, held: ExitStack) -> dict[str, str]:
    """Make 8 GPUs with five processes each, four of them models. Return the environment that shows this machine."""
    sensors = {"utilisation": 35, "temperature": 54, "power": 210_000, "power_limit": 700_000}
    made = machine(directory / "machine.json", *(gpu(used=GB, **sensors) for _ in range(GPUS)))
    each = (
        {"NUMBER": str(number)} for number in range(MODELS)
    )  # with equal options each load would print the advice to share
    models = [held.enter_context(gpumodels.load("echo", engine="fake", gpu="none", env=env)) for env in each]
    pids = [max(of_instance(model.record.id)) for model in models]
    for _ in range(PROCESSES - MODELS):
        process = subprocess.Popen(["sleep", "100000"])
        held.callback(process.wait)
        held.callback(process.kill)
        pids.append(process.pid)
    for number, pid in enumerate(pids):
        made.hold(pid, 2 * GB, gpu=number % GPUS)
    return made.environment()


def look(seconds: int) -> None:
    """Measure, and print the table. This runs in a process of its own, so that nothing else is counted."""
    seen = usage()
    shares = [share for device in seen.devices for share in device.shares]
    assert len(seen.devices) == GPUS
    assert sum(share.kind == "model" for share in shares) == MODELS
    assert sum(len(share.pids) for share in shares) == PROCESSES
    print(f"{GPUS} GPUs, {PROCESSES} processes, {MODELS} of them models; once a second for {seconds} s")
    print(f"{'':38}{'CPU time each':>14}{'of one core':>13}")
    whole = _row("who holds what", usage, seconds)
    _row("  of which readings (and fake driver)", devices.snapshots, seconds)
    _row("  of which models that run", running, seconds)
    shared = _row("three who watch together", lambda: [recent_usage() for _ in range(3)], seconds)
    nobody = _row("nobody watches", lambda: None, seconds)
    assert threading.active_count() == 1
    met = max(whole, shared) < TARGET and nobody < IDLE_TARGET
    print(
        f"target: under {TARGET:.0%} of one core, and under {IDLE_TARGET:.2%} unwatched: {'met' if met else 'missed'}"
    )


def _row(what: str, action: Callable[[], object], seconds: int) -> float:
    """Run the action once a second. Print and return its CPU time as a share of one core."""
    action()
    began, wall = time.process_time(), time.monotonic()
    for number in range(1, seconds + 1):
        action()
        time.sleep(max(0.0, wall + number - time.monotonic()))
    spent = time.process_time() - began
    share = spent / (time.monotonic() - wall)
    print(f"{what:38}{spent / seconds * 1e3:11.2f} ms{share:12.3%}")
    return share


if __name__ == "__main__":
    if sys.argv[1:2] == ["--look"]:
        look(int(sys.argv[2]))
    else:
        sys.exit(main())
