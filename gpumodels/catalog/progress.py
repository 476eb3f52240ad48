"""How long work tells what it does."""

from __future__ import annotations

from collections.abc import Callable

#: Told what is going on, and which part of it is done (0 to 1; None where that is unknown).
Progress = Callable[[str, float | None], None]
