"""What a load is told that no GPU has room for: who holds the memory, since when idle, and what frees it."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING

from gpumodels import presentation
from gpumodels.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpumodels.attribution import Share, Usage
    from gpumodels.devices import Full, Room
    from gpumodels.loading.eviction import Idle

_MOST_GPUS, _MOST_HOLDERS = 4, 3  # that are told of


def refusal(name: str, full: Full, seen: Usage, known: Sequence[Idle], helps: Sequence[Idle] = ()) -> DeviceError:
    """One sentence for each GPU, those with most room first; `helps` are those whose sleep would make room."""
    shares = {each.snapshot.device.uuid: each.shares for each in seen.devices}
    models = {each.record.id: each for each in known}
    rooms = sorted(full.rooms, key=lambda room: -(room.free or 0))
    told = [_sentence(room, full.needed, shares.get(room.seen.device.uuid, ()), models) for room in rooms[:_MOST_GPUS]]
    if len(rooms) > _MOST_GPUS:
        told.append(f"{len(rooms) - _MOST_GPUS} more GPUs have no more.")
    if helps:
        told.append(f"`--evict` would put {' and '.join(each.record.model for each in helps)} to sleep to make room.")
    needed = f"{presentation.size(full.needed)} of free GPU memory are needed."
    return DeviceError(" ".join([f"{name} cannot be placed: {needed}", *told]))


def _sentence(room: Room, needed: int, shares: Sequence[Share], models: Mapping[str, Idle]) -> str:
    device = room.seen.device
    if device.memory_total is not None and device.memory_total < needed:
        return f"{device} has {presentation.size(device.memory_total)} in all."
    parts = [_part(share, models.get(share.instance)) for share in shares[:_MOST_HOLDERS]]
    if len(shares) > _MOST_HOLDERS:
        parts.append(f"{len(shares) - _MOST_HOLDERS} more hold less")
    return f"{room}: {'; '.join(parts)}." if parts else f"{room}."


def _part(share: Share, model: Idle | None) -> str:
    held = f"{presentation.size(share.memory)}"
    notebook = PurePath(share.notebook).name
    if share.kind == "model":
        whose = f" of {notebook}" if notebook else ""
        return f"{share.name}{whose} holds {held}{_idle(model)} (`{_freeing(share, model)}` frees it)"
    if share.kind == "kernel":
        return f"the kernel of {share.name} holds {held} (shut down the kernel of {share.name})"
    if share.kind == "process":
        return f"{share.name} holds {held}"
    return f"other users hold {held}" if share.kind == "others" else f"{held} are unaccounted for"


def _freeing(share: Share, model: Idle | None) -> str:
    owner = None if model is None else model.record.owner
    mine = owner is not None and owner.pid == os.getpid() and owner.kernel_id
    return f"%stop_model {share.name}" if mine else f"gpumodels stop {share.instance}"


def _idle(model: Idle | None) -> str:
    if model is None or model.seconds is None:
        return ""
    return f", idle for {presentation.duration(model.seconds)}" if model.seconds else ", at work"
