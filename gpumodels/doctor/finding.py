"""`Finding`: the result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gpumodels.errors import GpumodelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: "fail": models cannot run, or cannot use the Docker or the GPU of this machine. "warn": they run, with restrictions.
Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    #: The name of the check.
    check: str
    status: Status
    text: str
    #: The advice how to fix the trouble; "" if there is none.
    mend: str = ""


def guarded(check: str, look: Callable[[], tuple[Status, str, str]]) -> Iterator[Finding]:
    """Yield the finding of a check. An error becomes a finding, so that the other checks still run."""
    try:
        status, text, mend = look()
    except GpumodelsError as error:
        status, (text, mend) = "fail", in_two(str(error))
    except Exception as error:  # noqa: BLE001
        status, text, mend = "fail", f"could not be checked ({type(error).__name__}: {error})", ""
    yield Finding(check, status, text, mend)


def in_two(message: str) -> tuple[str, str]:
    """Split a message at the first full stop, into the trouble and the advice. Our messages have them in this order."""
    text, _, mend = message.partition(". ")
    return text.rstrip("."), mend
