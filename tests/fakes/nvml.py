"""Machines with fake GPUs: a fake `libnvidia-ml.so.1` that the real nvidia-ml-py loads.

    gpus = machine(tmp_path / "machine.json", gpu("NVIDIA H100", 80 * GB), gpu("NVIDIA A100", 40 * GB))
    subprocess.run([...], env=os.environ | gpus.environment())
    gpus.hold(process.pid, 3 * GB, gpu=1)   # until that process ends

nvml/README.md describes the format of the file.
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
    """Return the path of the compiled library, in a directory of its own. Compile it if its source has changed."""
    version = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    directory = Path(tempfile.gettempdir()) / f"gpumodels-fake-nvml-{os.getuid()}-{version}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if not (directory / SONAME).exists():
        new = directory / f"{SONAME}.{os.getpid()}"
        flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-shared", f"-Wl,-soname,{SONAME}"]
        subprocess.run(["cc", *flags, "-o", new, SOURCE], check=True)
        new.rename(directory / SONAME)
    return directory / SONAME


@functools.cache
def preload() -> None:
    """Make nvidia-ml-py in this process use the fake: the loader prefers a library that is loaded under its soname."""
    ctypes.CDLL(str(library()))


def gpu(name: str = "NVIDIA H100", memory: int = 80 * GB, *, uuid: str = "", **more: Any) -> dict[str, Any]:
    """Return the description of a GPU. Without `uuid`, `machine` gives it GPU-00000000-..., GPU-11111111-... and so on.

    `memory` is in bytes.
    """
    return {"name": name, "memory": memory, "uuid": uuid, **more}


def mig_slice(uuid: str, memory: int = 10 * GB, name: str = "NVIDIA H100 MIG 1g.10gb", **more: Any) -> dict[str, Any]:
    """Return the description of a MIG slice, for `gpu(..., mig=1, slices=[mig_slice("MIG-...")])`."""
    return {"uuid": uuid, "memory": memory, "name": name, **more}


@dataclass(frozen=True)
class Machine:
    """A fake machine. Change it by its methods, or change `description` and call `write`."""

    path: Path
    description: dict[str, Any]

    def environment(self) -> dict[str, str]:
        """Return the environment variables that a process needs at its start to see this machine."""
        libraries = [str(library().parent), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        return {"LD_LIBRARY_PATH": ":".join(libraries), "FAKE_NVML_MACHINE": str(self.path)}

    def write(self) -> None:
        """Write the description to the file that the fake reads, in one step."""
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.description, ensure_ascii=False))
        new.replace(self.path)

    def hold(self, pid: int, memory: int, gpu: int = 0, **more: Any) -> None:
        """Let process `pid` hold `memory` bytes of a GPU until it ends, or until the path `while_exists` is removed."""
        self.description["processes"].append({"pid": pid, "memory": memory, "gpu": gpu, **more})
        self.write()

    def change(self, index: int, **of_gpu: Any) -> None:
        """Change the description of a GPU: `change(0, lost=True)`, `change(1, used=3 * GB)`."""
        self.description["gpus"][index].update(of_gpu)
        self.write()

    def restart_driver(self) -> None:
        """Simulate a restart of the driver. Processes that use NVML must initialise it again."""
        self.description["driver_start"] = self.description.get("driver_start", 0) + 1
        self.write()

    def fail(self, **codes: int) -> None:
        """Let NVML functions return these error codes from now on: `fail(nvmlInit=9)`. 0 removes the error."""
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
