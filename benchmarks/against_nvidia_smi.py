"""Compare every reading with nvidia-smi's, on real GPUs, while a model allocates memory and frees it.

    python benchmarks/against_nvidia_smi.py [--with torch|onnxruntime-gpu|cuda] [--engine process|fake] [--gpu 0]

The model runs on the process engine. With `cuda` it allocates memory by the driver's own library and needs no package,
so with the fake engine it runs on a machine without a package index. The program needs an NVIDIA GPU. It was written on
a machine without one, and has been tried only on the tests' fake driver. It prints a line for each reading and moment.
The exit status is 1 if a reading differs by more than its tolerance.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gpumodels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels import DeviceUsage, Model

MIB = 1 << 20
STEPS = (0, 1000, 4000, 0)  # MiB that the model holds, without the memory of its framework
#: nvidia-smi's name of a reading, our value in the same unit, and the tolerance, as the two are read one by one.
READINGS = (
    ("memory.total", lambda seen: seen.snapshot.device.memory_total / MIB, 1),
    ("memory.used", lambda seen: seen.snapshot.memory_used / MIB, 64),
    ("memory.free", lambda seen: seen.snapshot.memory_free / MIB, 64),
    ("utilization.gpu", lambda seen: seen.snapshot.utilisation, 30),
    ("temperature.gpu", lambda seen: seen.snapshot.temperature, 3),
    ("power.draw", lambda seen: seen.snapshot.power, 60),
    ("enforced.power.limit", lambda seen: seen.snapshot.power_limit, 1),
)
MODELS = {
    "torch": """
import torch
class Model:
    def load(self, device):
        self.device, self.held = device, None
    def predict(self, mebibytes: int) -> int:
        self.held = None
        torch.cuda.empty_cache()
        self.held = torch.zeros(mebibytes << 20, dtype=torch.uint8, device=self.device)
        torch.cuda.synchronize()
        return mebibytes
""",
    "onnxruntime-gpu": """
import numpy, onnxruntime
class Model:
    def load(self, device):
        self.held = None
    def predict(self, mebibytes: int) -> int:
        self.held = None
        if mebibytes:
            self.held = onnxruntime.OrtValue.ortvalue_from_numpy(numpy.zeros(mebibytes << 20, numpy.uint8), "cuda", 0)
        return mebibytes
""",
    "cuda": """
import ctypes
class Model:
    def load(self, device):
        self.cuda, self.held, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_uint64(), ctypes.c_void_p()
        for failed in (self.cuda.cuInit(0), self.cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)):
            assert not failed, failed
        self.context = context
    def predict(self, mebibytes: int) -> int:
        assert not self.cuda.cuCtxSetCurrent(self.context)
        if self.held:
            assert not self.cuda.cuMemFree_v2(self.held)
            self.held = ctypes.c_uint64()
        if mebibytes:
            assert not self.cuda.cuMemAlloc_v2(ctypes.byref(self.held), ctypes.c_size_t(mebibytes << 20))
        return mebibytes
""",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--with", dest="framework", choices=MODELS, default="torch")
    parser.add_argument("--engine", choices=("process", "fake"), default="process")
    parser.add_argument("--gpu", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpumodels-") as directory:
        folder = _folder(Path(directory) / "holder", options.framework)
        with gpumodels.load(folder, gpu=options.gpu, engine=options.engine) as model:
            wrong = sum(_differs(*line) for step in STEPS for line in _compared(model, step))
    print(f"{wrong} readings differ")
    return 1 if wrong else 0


def _folder(path: Path, framework: str) -> Path:
    path.mkdir()
    requirements = [] if framework == "cuda" else [framework, "numpy"]
    (path / "model.toml").write_text(f'name = "holder"\nrequirements = {requirements!r}\n')
    (path / "model.py").write_text(MODELS[framework])
    return path


def _compared(model: Model, mebibytes: int) -> Iterator[tuple[str, float | None, float | None, float]]:
    """Yield for each reading its name, our value, nvidia-smi's value and the tolerance."""
    model(mebibytes=mebibytes)
    time.sleep(2)  # the driver averages over a second
    uuids = {device["uuid"] for device in model.record.devices}
    for seen in (each for each in gpumodels.usage().devices if each.snapshot.device.uuid in uuids):
        uuid = seen.snapshot.device.uuid
        moment = f"{mebibytes:>5} MiB  {seen.snapshot.device.label}"
        values = _query("gpu", ",".join(name for name, _, _ in READINGS), "-i", uuid)[0]
        for (name, ours, tolerance), theirs in zip(READINGS, values, strict=True):
            yield f"{moment} {name}", _ours(ours, seen), _number(theirs), tolerance
        holding = [(pid, _number(used)) for pid, used in _query("compute-apps", "pid,used_memory", "-i", uuid)]
        shares = [share for share in seen.shares if share.instance == model.record.id]
        pids = {pid for share in shares for pid in share.pids}
        theirs = sum(used or 0 for pid, used in holding if int(pid) in pids)
        yield f"{moment} held by the model", sum(share.memory or 0 for share in shares) / MIB, theirs, 8


def _ours(reading: object, seen: DeviceUsage) -> float | None:
    try:
        return reading(seen)
    except TypeError:  # the reading is None: not available
        return None


def _query(what: str, names: str, *more: str) -> list[list[str]]:
    command = ["nvidia-smi", f"--query-{what}={names}", "--format=csv,noheader,nounits", *more]
    lines = subprocess.run(command, check=True, text=True, capture_output=True).stdout.splitlines()
    return [[word.strip() for word in line.split(",")] for line in lines]


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:  # "[N/A]", "[Not Supported]"
        return None


def _differs(what: str, ours: float | None, theirs: float | None, tolerance: float) -> bool:
    both = ours is not None and theirs is not None
    differs = abs(ours - theirs) > tolerance if both else ours is not theirs
    shown = ["not available" if each is None else f"{each:.1f}" for each in (ours, theirs)]
    print(f"{what:44}{shown[0]:>14}{shown[1]:>14}  {'DIFFERS' if differs else ''}")
    return differs


if __name__ == "__main__":
    sys.exit(main())
