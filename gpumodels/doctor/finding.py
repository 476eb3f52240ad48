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
    #: The advice how to fix the trouble; "" for no advice.
    mend: str = ""


def guarded(check: str, look: Callable[[], tuple[Status, str, str]]) -> Iterator[Finding]:
    """Yield the finding of the check with the name `check`. Its function `look` returns status, text and advice.

    An error that `look` raises becomes a finding of the status "fail", so that the other checks still run.
    """
    try:
        status, text, mend = look()
    except GpumodelsError as error:
        status, (text, mend) = "fail", in_two(str(error))
    except Exception as error:  # noqa: BLE001
        status, text, mend = "fail", f"could not be checked ({type(error).__name__}: {error})", ""
    yield Finding(check, status, text, mend)


def in_two(message: str) -> tuple[str, str]:
    """Split an error message at its first full stop. Return the trouble, which stands before it, and the advice."""
    text, _, mend = message.partition(". ")
    return text.rstrip("."), mend
