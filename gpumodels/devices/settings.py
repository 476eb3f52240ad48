"""The environment settings that show an instance its devices and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.devices.device import Device


def environment(chosen: Sequence[Device], *, container: bool) -> dict[str, str]:
    """Settings for a process, or for a container, that is to see `chosen` and nothing else.

    UUIDs everywhere: an index means something else inside a container, and filtering twice by index picks the
    wrong card. With no devices every GPU is hidden.
    """
    uuids = ",".join(device.uuid for device in chosen)
    settings = {"CUDA_VISIBLE_DEVICES": uuids}
    if chosen:
        settings["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if container:
        settings["NVIDIA_VISIBLE_DEVICES"] = uuids or "void"
    if container and chosen:
        settings["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"
    return settings
