"""The GPUs as a table of text, for `%gpus` and the command line."""

from __future__ import annotations

from gpumodels.devices.allowlist import admitted
from gpumodels.devices.device import Device, size
from gpumodels.devices.inventory import devices, snapshot
from gpumodels.devices.placement import why_none


def table() -> str:
    """One line a device under a line of headings, or one line saying why there is no GPU."""
    known = devices()
    if not known:
        return f"No GPU: {why_none()}."
    yours = {device.uuid for device in admitted(known)}
    rows = [("GPU", "name", "UUID", "used / total", "")]
    rows += [_row(device, yours=device.uuid in yours) for device in known]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(device: Device, *, yours: bool) -> tuple[str, str, str, str, str]:
    number = f"  slice {device.slice_index}" if device.is_mig else str(device.index)
    note = "" if yours else "not allowed by your administrator"
    memory = f"{size(snapshot(device).memory_used)} / {size(device.memory_total)}"
    if device.sliced:
        note = note or "MIG mode: use a slice"
    return number, device.name, device.short_uuid, memory, note
