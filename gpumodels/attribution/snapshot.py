"""GPU memory by holder at one moment, as frozen values that any thread or process may keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gpumodels.devices import Snapshot

#: A model, a Jupyter kernel or another process of this user; other users' processes; memory that the driver counts as
#: used but shows no process for.
Kind = Literal["model", "kernel", "process", "others", "unaccounted"]


@dataclass(frozen=True)
class Share:
    """One holder's part of one device's memory."""

    kind: Kind
    #: Text for people: "ctpn", "train.ipynb", "python (pid 4711)", "other users", "unaccounted".
    name: str
    #: Bytes; None where the driver names the process without its memory.
    memory: int | None
    #: Path of the notebook: the kernel's own, or the one that loaded the model or started the process. A kernel whose
    #: front end does not tell the path has its working directory. "" for none.
    notebook: str = ""
    #: Id of the model's instance.
    instance: str = ""
    kernel_id: str = ""
    #: Process ids on this machine; empty for other users.
    pids: tuple[int, ...] = ()
    #: Whether a model has held more than its memory limit for some time; see `instances.memory_limit`.
    over_limit: bool = False


@dataclass(frozen=True)
class DeviceUsage:
    """A device's readings and its memory by holder. A GPU in MIG mode repeats the shares of its slices."""

    snapshot: Snapshot
    #: Largest first, then unknown sizes, then "others", then "unaccounted". They add up to the memory in use, where the
    #: driver reports that; or to slightly more, because the driver does not count everything at once.
    shares: tuple[Share, ...] = ()
    #: Whether the administrator lets this process use the device (CUDA_VISIBLE_DEVICES at its start).
    allowed: bool = True


@dataclass(frozen=True)
class Usage:
    """All devices at one moment, which is in seconds since the epoch."""

    moment: float
    devices: tuple[DeviceUsage, ...] = ()
    #: The reason why there is no device, as a clause; "" where there are some.
    trouble: str = ""
