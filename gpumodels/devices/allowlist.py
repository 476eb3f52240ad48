"""The administrator's allow-list: `CUDA_VISIBLE_DEVICES` in the environment that this process was started with.

It is read from /proc/self/environ, because a notebook's `%set_env` changes `os.environ`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gpumodels.devices.naming import at_index, with_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.devices.device import Device

VARIABLE = "CUDA_VISIBLE_DEVICES"
_INITIAL = Path("/proc/self/environ")


def allow_list() -> str | None:
    """Return the list as the administrator wrote it: None if it is not set, "" or "-1" for no GPU at all."""
    try:
        entries = _INITIAL.read_bytes().split(b"\0")
    except OSError:  # there is no /proc, so use `os.environ`
        return os.environ.get(VARIABLE)
    prefix = f"{VARIABLE}=".encode()
    return next((os.fsdecode(entry[len(prefix) :]) for entry in entries if entry.startswith(prefix)), None)


def admitted(known: Sequence[Device]) -> tuple[Device, ...]:
    """Return those of `known` that the allow-list admits. A slice is admitted with its GPU.

    By CUDA's rule the list ends at its first invalid entry. An index counts in NVML's order (PCI bus). CUDA's own
    default order, fastest first, cannot be known without CUDA. Both are the same if all GPUs are of one kind.
    """
    listed = allow_list()
    if listed is None:
        return tuple(known)
    uuids: set[str] = set()
    for entry in listed.split(","):
        found = _entry(entry.strip(), known)
        if len(found) != 1:
            break
        uuids.add(found[0].uuid)
    return tuple(device for device in known if device.uuid in uuids or device.parent in uuids)


def _entry(entry: str, known: Sequence[Device]) -> tuple[Device, ...]:
    if entry.isdecimal():
        return at_index(entry, known)
    return with_prefix(entry, known) if entry.upper().startswith(("GPU-", "MIG-")) else ()
