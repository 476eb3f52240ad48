"""Machines with GPUs that do not exist: a fake `libnvidia-ml.so.1` under the real nvidia-ml-py.

    gpus = machine(tmp_path / "machine.json", gpu("NVIDIA H100", 80 * GB), gpu("NVIDIA A100", 40 * GB))
    subprocess.run([...], env=os.environ | gpus.environment())
    gpus.hold(process.pid, 3 * GB, gpu=1)   # until that process ends

What the file may say is in nvml/README.md.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GB = 10**9
SOURCE = Path(__file__).parent / "nvml" / "nvml.c"
SONAME = "libnvidia-ml.so.1"


@functools.cache
def library() -> Path:
    """The compiled library, in a directory of its own; compiled again only when its source has changed."""
    version = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"gpumodels-fake-nvml-{os.getuid()}-{version}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if not (directory / SONAME).exists():
        made = directory / f"{SONAME}.{os.getpid()}"
        flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-shared", f"-Wl,-soname,{SONAME}"]
        subprocess.run(["cc", *flags, "-o", made, SOURCE], check=True)
        made.rename(directory / SONAME)
    return directory / SONAME


@functools.cache
def preload() -> None:
    """Make nvidia-ml-py find the fake in this very process: the loader takes what is loaded under a soname already."""
    ctypes.CDLL(str(library()))


def gpu(name: str = "NVIDIA H100", memory: int = 80 * GB, *, uuid: str = "", **more: Any) -> dict[str, Any]:
    """One GPU of a machine; without `uuid` the machine numbers it (GPU-00000000-..., GPU-11111111-...)."""
    return {"name": name, "memory": memory, "uuid": uuid, **more}


def mig_slice(uuid: str, memory: int = 10 * GB, name: str = "NVIDIA H100 MIG 1g.10gb", **more: Any) -> dict[str, Any]:
    """One slice, for `gpu(..., mig=1, slices=[mig_slice("MIG-...")])`."""
    return {"uuid": uuid, "memory": memory, "name": name, **more}


@dataclass(frozen=True)
class Machine:
    """A described machine: change `description` and `write`, or use the verbs."""

    path: Path
    description: dict[str, Any]

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment at its start to see this machine."""
        libraries = [str(library().parent), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        return {"LD_LIBRARY_PATH": ":".join(libraries), "FAKE_NVML_MACHINE": str(self.path)}

    def write(self) -> None:
        """Put the description where the fake reads it, in one piece."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.description, ensure_ascii=False))
        new.replace(self.path)

    def hold(self, pid: int, memory: int, gpu: int = 0, **more: Any) -> None:
        """Let process `pid` hold `memory` bytes of a GPU for as long as it lives (or as `while_exists` is there)."""
        self.description["processes"].append({"pid": pid, "memory": memory, "gpu": gpu, **more})
        self.write()

    def change(self, index: int, **of_gpu: Any) -> None:
        """Change what the file says of one GPU: `change(0, lost=True)`, `change(1, used=3 * GB)`."""
        self.description["gpus"][index].update(of_gpu)
        self.write()

    def restart_driver(self) -> None:
        """Let the driver begin anew: whoever had started NVML must start it again."""
        self.description["driver_start"] = self.description.get("driver_start", 0) + 1
        self.write()

    def fail(self, **codes: int) -> None:
        """Let NVML functions end with these error codes from now on: `fail(nvmlInit=9)`; 0 heals."""
        self.description["errors"].update(codes)
        self.write()


def machine(path: Path, *gpus: dict[str, Any]) -> Machine:
    """Describe a machine in the file `path`."""
    numbered = [
        described | {"uuid": described["uuid"] or f"GPU-{str(n) * 8}-0000-4000-8000-{n:012d}"}
        for n, described in enumerate(gpus)
    ]
    made = Machine(path, {"driver": "550.54.15", "cuda": 12040, "gpus": numbered, "processes": [], "errors": {}})
    made.write()
    return made
