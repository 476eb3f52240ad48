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
    """One holder's part of one device's memory."""

    kind: Kind
    #: The name for display: "ctpn", "train.ipynb", "python (pid 4711)", "other users", "unaccounted".
    name: str
    #: The bytes; None if the driver lists the process without its memory.
    memory: int | None
    #: The path of the kernel's notebook, or of the notebook that loaded the model or started the process. If the path
    #: of a kernel's notebook is not known, its working directory. "" for none.
    notebook: str = ""
    #: The id of the model's instance, "" for other holders.
    instance: str = ""
    kernel_id: str = ""
    #: The process ids on this machine; empty for other users.
    pids: tuple[int, ...] = ()
    #: True if a model exceeds its memory limit; see `instances.memory_limit`.
    over_limit: bool = False


@dataclass(frozen=True)
class DeviceUsage:
    """The readings of a device, and its memory by holder. A GPU in MIG mode has the shares of all its slices."""

    snapshot: Snapshot
    #: The shares, largest first, then those of unknown size, then "others", then "unaccounted". If the driver reports
    #: the used memory, they add up to it, or to slightly more, because the driver reads the values one after another.
    shares: tuple[Share, ...] = ()
    #: True if the administrator lets this process use the device (CUDA_VISIBLE_DEVICES at its start).
    allowed: bool = True


@dataclass(frozen=True)
class Usage:
    """All devices at one moment. `moment` is in seconds since the epoch."""

    moment: float
    devices: tuple[DeviceUsage, ...] = ()
    #: The reason why there is no device, without a full stop; "" if there is one.
    trouble: str = ""
