"""What it costs to watch who holds the GPUs: 8 GPUs, 40 processes, a look a second, and nobody looking.

    python benchmarks/sampling.py [SECONDS]

The machine is the tests' fake driver under the real nvidia-ml-py; the processes, among them four models, are real. What
counts is the CPU time, of user and system, of the one process that looks. Target: under 1 % of one core, and nothing
while nobody looks. Of the readings' cost a part is the fake driver's own, which follows 40 processes in /proc.
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
from gpumodels.lease.processes import marked
from tests.fakes.nvml import GB, gpu, machine

GPUS, PROCESSES, MODELS = 8, 40, 4
TARGET = 0.01  # of one core
IDLE_TARGET = 0.0005  # what measuring once a second takes itself


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory(prefix="gpumodels-") as place, ExitStack() as held:
        os.environ["GPUMODELS_RUNTIME_DIR"] = f"{place}/run"
        os.environ["XDG_STATE_HOME"] = f"{place}/state"
        environment = _machine(Path(place), held)
        said = subprocess.run(
            [sys.executable, __file__, "--look", str(seconds)],
            env=os.environ | environment, check=True, text=True, stdout=subprocess.PIPE,
        ).stdout  # fmt: skip
    print(said, end="")
    return 0 if said.rstrip().endswith("met") else 1


def _machine(place: Path, held: ExitStack) -> dict[str, str]:
    """8 GPUs, five processes on each; four of the 40 are models."""
    sensors = {"utilisation": 35, "temperature": 54, "power": 210_000, "power_limit": 700_000}
    made = machine(place / "machine.json", *(gpu(used=GB, **sensors) for _ in range(GPUS)))
    each = ({"NUMBER": str(number)} for number in range(MODELS))  # models of the same would be pointed out
    models = [held.enter_context(gpumodels.load("echo", engine="fake", gpu="none", env=env)) for env in each]
    pids = [max(marked(model.record.id)) for model in models]
    for _ in range(PROCESSES - MODELS):
        process = subprocess.Popen(["sleep", "100000"])
        held.callback(process.wait)
        held.callback(process.kill)
        pids.append(process.pid)
    for number, pid in enumerate(pids):
        made.hold(pid, 2 * GB, gpu=number % GPUS)
    return made.environment()


def look(seconds: int) -> None:
    """In a process of its own, so that nothing else is counted."""
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
    """Do it once a second; print and return the share of one core that this takes."""
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
