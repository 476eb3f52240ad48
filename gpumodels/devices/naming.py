"""Names that users give to GPUs: `0`, `0,1`, `GPU-1b2c...`, `1b2c`, `MIG-...`, `auto`, `auto:2`, `none`."""

from __future__ import annotations

import numbers
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels.errors import DeviceError

if TYPE_CHECKING:
    from gpumodels.devices.device import Device

#: GPUs as a user names them; None means no GPU.
Named = str | int | Sequence[str | int] | None

FORMS = "an index (0), a UUID or the start of one, several with commas (0,1), auto, auto:2 or none"


@dataclass(frozen=True)
class GpuChoice:
    """The GPUs that a load asks for: GPUs by name, or a number of any GPUs."""

    #: The number of GPUs; 0 for the CPU.
    count: int = 0
    #: Names of the GPUs; empty if any GPUs may be chosen.
    names: tuple[str, ...] = ()
    #: True for plain "auto": any one GPU, or the CPU if there is none.
    is_auto: bool = False

    @property
    def automatic(self) -> bool:
        """True if any GPUs may be chosen."""
        return self.count > 0 and not self.names


def parse(asked: Named) -> GpuChoice:
    """Read GPUs as a user names them. Raises DeviceError for names that no machine could have."""
    names = [name.strip() for name in _words(asked)]
    first = names[0].lower() if len(names) == 1 else ""
    if first == "none":
        return GpuChoice()
    if first == "auto":
        return GpuChoice(1, is_auto=True)
    if number := re.fullmatch(r"auto:([1-9]\d{0,3})", first):
        return GpuChoice(int(number[1]))
    if not all(re.fullmatch(r"[\w-]+", name) and name.lower() not in ("auto", "none") for name in names) or not names:
        raise DeviceError(f"{asked!r} names no GPU: write {FORMS}.")
    return GpuChoice(len(names), tuple(names))


def _words(asked: object) -> list[str]:
    if isinstance(asked, str):
        return asked.split(",")
    if isinstance(asked, (list, tuple)):
        if all(isinstance(one, str) or _is_index(one) for one in asked):
            return [str(one) for one in asked]
    elif asked is None:
        return ["none"]
    elif _is_index(asked):
        return [str(asked)]
    raise DeviceError(f"{asked!r} names no GPU: write {FORMS}.")


def _is_index(value: object) -> bool:
    # Integral, not int: an index may be an element of a NumPy array.
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def at_index(text: str, known: Sequence[Device]) -> tuple[Device, ...]:
    """Return a tuple with the whole GPU of that index; () if there is none."""
    return tuple(device for device in known if not device.is_mig and device.index == int(text))


def with_prefix(text: str, known: Sequence[Device]) -> tuple[Device, ...]:
    """Return the devices with the UUID `text`, or else all with a UUID that starts with it.

    "GPU-" and "MIG-" may be left out.
    """
    wanted = text.lower()
    spellings = [(device, (device.uuid.lower(), device.uuid.lower().partition("-")[2])) for device in known]
    exact = tuple(device for device, spelt in spellings if wanted in spelt)
    return exact or tuple(device for device, spelt in spellings if any(s.startswith(wanted) for s in spelt))
