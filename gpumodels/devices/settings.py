"""The environment variables that show an instance its own devices and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.devices.device import Device


def environment(chosen: Sequence[Device], *, container: bool) -> dict[str, str]:
    """Return the variables with which a process, or a container, sees the devices `chosen` and no others.

    Devices are named by UUID: an index means another device inside a container, and filtering twice by index selects
    the wrong one. Without devices every GPU is hidden.
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
