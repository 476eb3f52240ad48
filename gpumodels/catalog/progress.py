"""The type of the callbacks that report the progress of slow work."""

from __future__ import annotations

from collections.abc import Callable

#: A function of the current step, in words, and the part of it that is done (0 to 1; None if that is unknown).
Progress = Callable[[str, float | None], None]
