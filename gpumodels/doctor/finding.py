"""`Finding`: the result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gpumodels.errors import GpumodelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: "fail": models cannot run, or cannot use the Docker or the GPU of this machine; "warn": they run, with restrictions.
Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """The result of one check. `mend` says how to fix what the check found; it is empty if there is nothing to fix."""

    check: str
    status: Status
    text: str
    mend: str = ""


def guarded(check: str, look: Callable[[], tuple[Status, str, str]]) -> Iterator[Finding]:
    """Yield the finding of a check. An error becomes a finding, so that the other checks are still made."""
    try:
        status, text, mend = look()
    except GpumodelsError as error:
        status, (text, mend) = "fail", in_two(str(error))
    except Exception as error:  # noqa: BLE001
        status, text, mend = "fail", f"could not be checked ({type(error).__name__}: {error})", ""
    yield Finding(check, status, text, mend)


def in_two(message: str) -> tuple[str, str]:
    """Split a message at the first full stop. Messages of this package say first what is wrong, then what to do."""
    text, _, mend = message.partition(". ")
    return text.rstrip("."), mend
