"""A `Usage` as plain values for JSON: for the Jupyter server, `gpumodels gpus --json` and the widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpumodels.attribution import colours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.attribution.snapshot import DeviceUsage, Share, Usage


def as_json(usage: Usage) -> dict[str, Any]:
    """Return `{"moment", "trouble", "devices": [...]}`, with the names and units of `Usage`; see docs/gpus.md.

    A reading that is not available is None. Each share has the `colour` of its holder in CSS.
    """
    assigned = colours.assign(share for device in usage.devices for share in device.shares)
    devices = [_device(each, assigned) for each in usage.devices]
    return {"moment": usage.moment, "trouble": usage.trouble, "devices": devices}


def _device(usage: DeviceUsage, assigned: Mapping[colours.Key, str]) -> dict[str, Any]:
    snapshot, device = usage.snapshot, usage.snapshot.device
    return {
        "uuid": device.uuid,
        "short_uuid": device.short_uuid,
        "label": device.label,
        "name": device.name,
        "index": device.index,
        "slice_index": device.slice_index,
        "parent": device.parent,
        "sliced": device.sliced,
        "allowed": usage.allowed,
        "trouble": snapshot.trouble,
        "memory_total": device.memory_total,
        "memory_used": snapshot.memory_used,
        "memory_free": snapshot.memory_free,
        "utilisation": snapshot.utilisation,
        "temperature": snapshot.temperature,
        "power": snapshot.power,
        "power_limit": snapshot.power_limit,
        "shares": [_share(share, assigned[colours.key(share)]) for share in usage.shares],
    }


def _share(share: Share, colour: str) -> dict[str, Any]:
    return {
        "kind": share.kind,
        "name": share.name,
        "colour": colour,
        "memory": share.memory,
        "notebook": share.notebook,
        "instance": share.instance,
        "kernel_id": share.kernel_id,
        "pids": list(share.pids),
        "over_limit": share.over_limit,
    }
