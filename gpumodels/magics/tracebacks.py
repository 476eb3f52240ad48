"""Short tracebacks of failed calls. They end with the user's line, without the frames of this package below it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import gpumodels
from gpumodels.errors import CallError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_OURS = str(Path(gpumodels.__file__).parent)
_HOOK = "_render_traceback_"  # IPython calls this method of an exception to show it


def install(shell: InteractiveShell) -> None:
    """Give CallError a method by which the shell shows a short traceback."""

    def render(error: CallError) -> list[str]:
        trace = without_our_frames(error.__traceback__)
        shown: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, trace)
        return shown

    setattr(CallError, _HOOK, render)


def uninstall() -> None:
    """Remove the method that `install` gave to CallError. The shell then shows full tracebacks."""
    if hasattr(CallError, _HOOK):
        delattr(CallError, _HOOK)


def without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the frames of this package at its end; all of it if it has no other frames."""
    frames = []
    step = trace
    while step is not None:
        frames.append(step)
        step = step.tb_next
    last = max((index for index, step in enumerate(frames) if not _is_ours(step)), default=-1)
    if last == -1:
        return trace
    shorter: TracebackType | None = None
    for step in reversed(frames[: last + 1]):
        shorter = TracebackType(shorter, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return shorter


def _is_ours(step: TracebackType) -> bool:
    return step.tb_frame.f_code.co_filename.startswith(_OURS)
