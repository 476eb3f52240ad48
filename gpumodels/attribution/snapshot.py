"""GPU memory by holder at one moment, as frozen values that threads and processes can share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gpumodels.devices import Snapshot

#: The kinds of holders: "model", "kernel" (Jupyter) and "process" (any other) are of this user, and "others" are the
#: processes of other users. "unaccounted" is memory that the driver counts as used but lists for no process.
Kind = Literal["model", "kernel", "process", "others", "unaccounted"]


@dataclass(frozen=True)
class Share:
    """One holder's part of one device's memory.

    Attributes
    ----------
    kind : str
        "model", "kernel", "process", "others" or "unaccounted".
    name : str
        The name for display: "ctpn", "train.ipynb", "python (pid 4711)", "other users", "unaccounted".
    memory : int or None
        The bytes; None if the driver lists the process without its memory.
    notebook : str
        The path of the kernel's notebook, or of the notebook that loaded the model or started the process. If the path
        of a kernel's notebook is not known, its working directory. "" for none.
    instance : str
        The id of the model's instance, "" for other holders.
    kernel_id : str
        The id of the kernel, "" for other holders.
    pids : tuple of int
        The process ids on this machine; empty for other users.
    over_limit : bool
        True if a model exceeds its memory limit.

    """

    kind: Kind
    name: str
    memory: int | None
    notebook: str = ""
    instance: str = ""
    kernel_id: str = ""
    pids: tuple[int, ...] = ()
    over_limit: bool = False


@dataclass(frozen=True)
class DeviceUsage:
    """The readings of a device, and its memory by holder. A GPU in MIG mode has the shares of all its slices.

    Attributes
    ----------
    snapshot : Snapshot
        The device, and its readings: memory in bytes, utilisation in percent, temperature, power.
    shares : tuple of Share
        The largest first, then those of unknown size, then "others", then "unaccounted". If the driver reports the used
        memory, they add up to it, or to slightly more, because the driver reads the values one after another.
    allowed : bool
        True if the administrator lets this process use the device (CUDA_VISIBLE_DEVICES at its start).

    """

    snapshot: Snapshot
    shares: tuple[Share, ...] = ()
    allowed: bool = True


@dataclass(frozen=True)
class Usage:
    """All devices at one moment.

    Attributes
    ----------
    moment : float
        The time of the reading, in seconds since the epoch.
    devices : tuple of DeviceUsage
        The GPUs and slices, by index.
    trouble : str
        The reason why there is no device, without a full stop; "" if there is one.

    """

    moment: float
    devices: tuple[DeviceUsage, ...] = ()
    trouble: str = ""
