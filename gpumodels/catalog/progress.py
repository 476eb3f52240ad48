"""The type of the callbacks that report the progress of slow work."""

from __future__ import annotations

from collections.abc import Callable

#: A callback. It takes the current step, in words, and the fraction of the step that is done (0 to 1; None if unknown).
Progress = Callable[[str, float | None], None]
