"""The error if no GPU has room for a load. It names the holders of the memory, and how to free it."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING

from gpumodels import devices, presentation
from gpumodels.devices import admitted
from gpumodels.errors import DeviceError, LoadRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gpumodels.attribution import Share, Usage
    from gpumodels.devices import Device, Full, Room
    from gpumodels.loading.eviction import Candidate
    from gpumodels.loading.request import LoadRequest
    from gpumodels.model import Report

_MOST_GPUS, _MOST_HOLDERS = 4, 3  # in one message


def check_limit(model: str, request: LoadRequest, chosen: Sequence[Device], report: Report) -> None:
    """Raise LoadRefused if no GPU has as much memory as `--memory`. Show a notice if the model runs on the CPU.

    `chosen` are the devices that the load would take now.
    """
    most = request.memory or 0
    if not chosen:
        report.notice(f"{model} runs on the CPU, where its limit of GPU memory has no effect.")
        return
    automatic = request.gpu.automatic  # the load may take other devices than `chosen`
    known = [each for each in admitted(devices.devices()) if not each.sliced] if automatic else chosen
    sizes = [each.memory_total for each in known if each.memory_total is not None]
    largest = (max if automatic else min)(sizes, default=None)
    if largest is not None and most > largest * len(chosen):
        whose = "any GPU here" if automatic else " and ".join(each.label for each in chosen)
        raise LoadRefused(
            f"{model}: memory of {presentation.size(most)} is more than {whose} can give, "
            f"{presentation.size(largest * len(chosen))}: set a smaller limit, or none."
        )


def no_room(
    name: str, full: Full, seen: Usage, known: Sequence[Candidate], helps: Sequence[Candidate] = ()
) -> DeviceError:
    """Return the error for a load that does not fit. It has a sentence for each GPU, most free memory first.

    `known` are the loaded models of this user. If the models in `helps` slept, the load would fit.
    """
    shares = {each.snapshot.device.uuid: each.shares for each in seen.devices}
    models = {each.record.id: each for each in known}
    rooms = sorted(full.rooms, key=lambda room: -(room.free or 0))
    sentences = [
        _sentence(room, full.needed, shares.get(room.seen.device.uuid, ()), models) for room in rooms[:_MOST_GPUS]
    ]
    if len(rooms) > _MOST_GPUS:
        sentences.append(f"{len(rooms) - _MOST_GPUS} more GPUs have no more.")
    if helps:
        names = " and ".join(each.record.model for each in helps)
        sentences.append(f"`--evict` would put {names} to sleep to make room.")
    needed = f"{presentation.size(full.needed)} of free GPU memory are needed."
    return DeviceError(" ".join([f"{name} cannot be placed: {needed}", *sentences]))


def _sentence(room: Room, needed: int, shares: Sequence[Share], models: Mapping[str, Candidate]) -> str:
    device = room.seen.device
    if device.memory_total is not None and device.memory_total < needed:
        return f"{device} has {presentation.size(device.memory_total)} in all."
    parts = [_part(share, models.get(share.instance)) for share in shares[:_MOST_HOLDERS]]
    if len(shares) > _MOST_HOLDERS:
        parts.append(f"{len(shares) - _MOST_HOLDERS} more hold less")
    return f"{room}: {'; '.join(parts)}." if parts else f"{room}."


def _part(share: Share, model: Candidate | None) -> str:
    held = f"{presentation.size(share.memory)}"
    notebook = PurePath(share.notebook).name
    if share.kind == "model":
        whose = f" of {notebook}" if notebook else ""
        return f"{share.name}{whose} holds {held}{_idle(model)} (`{_command(share, model)}` frees it)"
    if share.kind == "kernel":
        return f"the kernel of {share.name} holds {held} (shut down the kernel of {share.name})"
    if share.kind == "process":
        return f"{share.name} holds {held}"
    return f"other users hold {held}" if share.kind == "others" else f"{held} are unaccounted for"


def _command(share: Share, model: Candidate | None) -> str:
    """Return the command that frees a model's memory: `%stop_model` if this notebook loaded it, or `gpumodels stop`."""
    owner = None if model is None else model.record.owner
    mine = owner is not None and owner.pid == os.getpid() and owner.kernel_id
    return f"%stop_model {share.name}" if mine else f"gpumodels stop {share.instance}"


def _idle(model: Candidate | None) -> str:
    if model is None or model.idle is None:
        return ""
    return f", idle for {presentation.duration(model.idle)}" if model.idle else ", at work"
