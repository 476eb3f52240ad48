"""GPUs and their readings: plain frozen values, which can be used in any thread and sent to any process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Device:
    """A GPU, or a slice of one (MIG). Its identity is the UUID; users read and type the index."""

    uuid: str
    #: Position in PCI bus order, as in nvidia-smi; a slice has the index of its GPU.
    index: int
    name: str
    #: Bytes; None if the driver does not report them.
    memory_total: int | None = None
    #: For a slice: the UUID of its GPU, and the number of the slice. None for a GPU.
    parent: str | None = None
    slice_index: int | None = None
    #: True for a GPU in MIG mode: only its slices can be used, not the whole GPU.
    sliced: bool = False

    @property
    def is_mig(self) -> bool:
        """True if this is a slice of a GPU."""
        return self.parent is not None

    @property
    def label(self) -> str:
        """The short name for display: "GPU 0", "GPU 0 slice 1"."""
        return f"GPU {self.index}" + (f" slice {self.slice_index}" if self.is_mig else "")

    @property
    def short_uuid(self) -> str:
        """The first part of the UUID, which is enough to name the device: "GPU-1b2c3d4e"."""
        return "-".join(self.uuid.split("-")[:2])

    def __str__(self) -> str:
        return f"{self.label} ({self.name})"


class Holding(NamedTuple):
    """A process that uses a GPU, and the bytes that it holds; None if the driver does not report them."""

    pid: int
    memory: int | None


@dataclass(frozen=True)
class Snapshot:
    """The readings of a device at one moment. A reading that is not available is None. Memory is in bytes."""

    device: Device
    #: Memory of programs, and free memory. Both are without the driver's own reserve, if it is reported separately.
    memory_used: int | None = None
    memory_free: int | None = None
    #: The largest first. Processes in containers are listed by their process ids on the host.
    processes: tuple[Holding, ...] | None = None
    #: Percent of the last sample period in which something was computed; None for a GPU in MIG mode and its slices.
    utilisation: int | None = None
    #: Degrees Celsius. A slice has no temperature, power or power limit; its GPU has them.
    temperature: int | None = None
    #: Watts.
    power: float | None = None
    power_limit: float | None = None
    #: The reason why the device cannot be used, as a clause ("it has fallen off the bus ..."); "" if it answers.
    trouble: str = ""
