"""`Finding`: the result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gpumodels.errors import GpumodelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: "fail": models cannot run, or not as was asked for; "warn": they run, with less.
Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """The result of one check; `mend` says how to fix it if there is something to fix."""

    check: str
    status: Status
    text: str
    mend: str = ""


def guarded(check: str, look: Callable[[], tuple[Status, str, str]]) -> Iterator[Finding]:
    """Yield the finding of a check. Its errors become findings, so that they hide no other check."""
    try:
        status, text, mend = look()
    except GpumodelsError as error:
        status, (text, mend) = "fail", in_two(str(error))
    except Exception as error:  # noqa: BLE001
        status, text, mend = "fail", f"could not be checked ({type(error).__name__}: {error})", ""
    yield Finding(check, status, text, mend)


def in_two(message: str) -> tuple[str, str]:
    """Split a message into what is wrong and what to do: our messages are written in this order."""
    text, _, mend = message.partition(". ")
    return text.rstrip("."), mend
