"""The labels on our containers and images. Only exact matches are ever swept."""

from __future__ import annotations

import os
from pathlib import Path

INSTANCE = "gpumodels.instance"
MODEL = "gpumodels.model"
UID = "gpumodels.uid"
MACHINE = "gpumodels.machine"
BOOT = "gpumodels.boot"
RUNTIME = "gpumodels.runtime"
IDENTITY = "gpumodels.identity"


def of_place(runtime: Path, identity: str) -> dict[str, str]:
    """Labels that say whose a container is: this user's, on this machine, since this boot, in this runtime directory.
    Labels that say whose a container is: this user's, on this machine, since this boot, in this runtime directory.
    """
    return {
        UID: str(os.getuid()),
        MACHINE: _read("/etc/machine-id"),
        BOOT: boot_id(),
        RUNTIME: str(runtime),
        IDENTITY: identity,
    }


def boot_id() -> str:
    return _read("/proc/sys/kernel/random/boot_id")


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
