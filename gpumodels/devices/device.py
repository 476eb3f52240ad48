"""What a GPU is and what was seen of it: plain frozen values, good in any thread, process or file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Device:
    """A GPU, or a slice of one (MIG). Its identity is the UUID; the index is for display and typing."""

    uuid: str
    #: Position in PCI bus order, as in nvidia-smi; a slice has the index of its GPU.
    index: int
    name: str
    #: Bytes, or None where the driver does not say.
    memory_total: int | None = None
    #: UUID of the GPU that this is a slice of, and which of its slices.
    parent: str | None = None
    slice_index: int | None = None
    #: In MIG mode: only its slices can be used, not the whole.
    sliced: bool = False

    @property
    def is_mig(self) -> bool:
        """Whether this is a slice of a GPU."""
        return self.parent is not None

    @property
    def label(self) -> str:
        """Short for people: "GPU 0", "GPU 0 slice 1"."""
        return f"GPU {self.index}" + (f" slice {self.slice_index}" if self.is_mig else "")

    @property
    def short_uuid(self) -> str:
        """The UUID's first part, enough to type: "GPU-1b2c3d4e"."""
        return "-".join(self.uuid.split("-")[:2])

    def __str__(self) -> str:
        return f"{self.label} ({self.name})"


class Holding(NamedTuple):
    """A process that uses a GPU, and the bytes that it holds; None where the driver does not say."""

    pid: int
    memory: int | None


@dataclass(frozen=True)
class Snapshot:
    """A device at one moment; None stands for "not available". Memory is in bytes."""

    device: Device
    #: What programs have; what the driver keeps for itself is in neither, where the driver tells it apart.
    memory_used: int | None = None
    memory_free: int | None = None
    #: Largest first; of processes in containers too, by their process ids on the host.
    processes: tuple[Holding, ...] | None = None
    #: Percent of the last moments in which something was computed; None for a GPU in MIG mode and its slices.
    utilisation: int | None = None
    #: Degrees Celsius; of a slice these three are its GPU's, and are told there.
    temperature: int | None = None
    #: Watts.
    power: float | None = None
    power_limit: float | None = None
    #: Why it cannot be used, as a clause ("it has fallen off the bus ..."); "" where it answers.
    trouble: str = ""
