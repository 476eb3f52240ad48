"""A `Usage` as plain values: what the Jupyter server answers, `gpumodels gpus --json` prints, and a widget is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpumodels.attribution.snapshot import DeviceUsage, Share, Usage


def as_json(usage: Usage) -> dict[str, Any]:
    """`{"moment", "trouble", "devices": [...]}` with the names and units of `Usage`; docs/gpus.md lists the keys.

    What is not available is null.
    """
    devices = [_device(each) for each in usage.devices]
    return {"moment": usage.moment, "trouble": usage.trouble, "devices": devices}


def _device(seen: DeviceUsage) -> dict[str, Any]:
    snapshot, device = seen.snapshot, seen.snapshot.device
    return {
        "uuid": device.uuid,
        "short_uuid": device.short_uuid,
        "label": device.label,
        "name": device.name,
        "index": device.index,
        "slice_index": device.slice_index,
        "parent": device.parent,
        "sliced": device.sliced,
        "allowed": seen.allowed,
        "trouble": snapshot.trouble,
        "memory_total": device.memory_total,
        "memory_used": snapshot.memory_used,
        "memory_free": snapshot.memory_free,
        "utilisation": snapshot.utilisation,
        "temperature": snapshot.temperature,
        "power": snapshot.power,
        "power_limit": snapshot.power_limit,
        "shares": [_share(share) for share in seen.shares],
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "kind": share.kind,
        "name": share.name,
        "memory": share.memory,
        "notebook": share.notebook,
        "instance": share.instance,
        "kernel_id": share.kernel_id,
        "pids": list(share.pids),
        "over_limit": share.over_limit,
    }
