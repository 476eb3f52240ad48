"""The limit of GPU memory that a load gives its model (`--memory`): what it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumodels import devices, presentation
from gpumodels.devices.allowlist import admitted
from gpumodels.errors import LoadRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumodels.devices import Device
    from gpumodels.instances.progress import Report
    from gpumodels.loading.asked import Asked

#: Whoever asks for fewer bytes has forgotten the unit.
_LEAST = 1 << 20


def limit(model: object, given: object) -> int | None:
    """The bytes of `memory`; None where not given. Raises LoadRefused."""
    if given is None:
        return None
    from gpumodels.settings import size  # noqa: PLC0415

    try:
        most = size(given)
    except ValueError:
        most = 0
    if most < _LEAST:
        raise LoadRefused(
            f"{model}: memory must be a size such as '4GiB' or '500MB', or a number of bytes, 1 MiB at least, "
            f"not {given!r:.80}."
        )
    return most


def check(model: str, asked: Asked, chosen: Sequence[Device], report: Report) -> None:
    """Raise LoadRefused where no GPU that may be taken has so much; say where there is none to be limited.

    `chosen` are the devices that the load would take now.
    """
    most = asked.memory
    if most is None:
        return
    if not chosen:
        report.notice(f"{model} runs on the CPU, where its limit of GPU memory means nothing.")
        return
    automatic = str(asked.gpu).startswith("auto")  # so that it may as well take others
    known = [each for each in admitted(devices.devices()) if not each.sliced] if automatic else chosen
    sizes = [each.memory_total for each in known if each.memory_total is not None]
    largest = (max if automatic else min)(sizes, default=None)
    if largest is not None and most > largest * len(chosen):
        whose = "any GPU here" if automatic else " and ".join(each.label for each in chosen)
        raise LoadRefused(
            f"{model}: memory of {presentation.size(most)} is more than {whose} can give, "
            f"{presentation.size(largest * len(chosen))}: set a smaller limit, or none."
        )
