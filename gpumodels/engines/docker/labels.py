"""The labels of our containers and images.

By them a sweep recognises the containers of its own user, machine and runtime directory, and removes no others.
"""

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


def of_location(runtime: Path, identity: str) -> dict[str, str]:
    """Return the labels of a new container for its user, machine, boot of the machine, and runtime directory.

    `identity` is the identity of the runtime directory.
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
