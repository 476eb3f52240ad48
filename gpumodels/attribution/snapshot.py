"""Who holds which GPU's memory, at one moment: plain frozen values, good in any thread, process or file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gpumodels.devices import Snapshot

#: A model of this user, a Jupyter kernel of this user, another process of this user, other users' processes, and what
#: the driver counts as used but shows no process for.
Kind = Literal["model", "kernel", "process", "others", "unaccounted"]


@dataclass(frozen=True)
class Share:
    """What one holder has of one device's memory."""

    kind: Kind
    #: For display: "ctpn", "train.ipynb", "python (pid 4711)", "other users", "unaccounted".
    name: str
    #: Bytes; None where the driver names the process and not what it holds.
    memory: int | None
    #: Path of the notebook that a kernel runs, that loaded the model or that another process was started from; or the
    #: kernel's working directory, where its front end does not say the path; "" where there is none.
    notebook: str = ""
    #: Id of the model's instance.
    instance: str = ""
    kernel_id: str = ""
    #: Process ids on this machine; none of other users'.
    pids: tuple[int, ...] = ()
    #: Of a model that was given a limit: whether it has held a good deal more for some time.
    over_limit: bool = False


@dataclass(frozen=True)
class DeviceUsage:
    """A device's readings, and its memory by holder. A GPU in MIG mode holds what its slices hold, which follow it."""

    snapshot: Snapshot
    #: Largest first, then those of unknown size, then "others", then "unaccounted". Together they are the memory in
    #: use, where the driver says how much that is (or a little more: it does not count everything in one moment).
    shares: tuple[Share, ...] = ()
    #: Whether the administrator lets this process use it (CUDA_VISIBLE_DEVICES at its start).
    allowed: bool = True


@dataclass(frozen=True)
class Usage:
    """All devices at one moment, in seconds since the epoch."""

    moment: float
    devices: tuple[DeviceUsage, ...] = ()
    #: Why there is no device, as a clause; "" where there is one.
    trouble: str = ""
