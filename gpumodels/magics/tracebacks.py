"""Tracebacks of calls that went wrong end with the user's own line: what lies below it is ours and helps nobody."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import gpumodels
from gpumodels.errors import CallError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_OURS = str(Path(gpumodels.__file__).parent)
_HOOK = "_render_traceback_"  # IPython asks the exception for it


def install(shell: InteractiveShell) -> None:
    """From here on the shell shows a CallError so."""

    def render(error: CallError) -> list[str]:
        trace = users_part(error.__traceback__)
        shown: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, trace)
        return shown

    setattr(CallError, _HOOK, render)


def uninstall() -> None:
    """As Python does it."""
    if hasattr(CallError, _HOOK):
        delattr(CallError, _HOOK)


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of this package at its end; all of it where there are no others."""
    frames = []
    step = trace
    while step is not None:
        frames.append(step)
        step = step.tb_next
    last = max((place for place, step in enumerate(frames) if not _is_ours(step)), default=-1)
    if last == -1:
        return trace
    shorter: TracebackType | None = None
    for step in reversed(frames[: last + 1]):
        shorter = TracebackType(shorter, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return shorter


def _is_ours(step: TracebackType) -> bool:
    return step.tb_frame.f_code.co_filename.startswith(_OURS)
