"""A progress bar for work that turns out to be long."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

_LONG = 2.0  # seconds; what is over by then shows nothing and does not pay for importing the bar


class Bar:
    """Counts results; after two seconds it shows, in a notebook or a terminal, how many there are of `total`."""

    def __init__(self, title: str, total: int | None, *, wanted: bool) -> None:
        self._title = title
        self._total = total
        self._wanted = wanted and _someone_looks()
        self._began = time.monotonic()
        self._count = 0
        self._bar: Any = None

    def advance(self) -> None:
        """One more is done."""
        self._count += 1
        if self._bar is not None:
            self._bar.update()
        elif self._wanted and time.monotonic() - self._began > _LONG:
            from tqdm.auto import tqdm  # noqa: PLC0415 (imported for those who wait)

            self._bar = tqdm(desc=self._title, total=self._total, initial=self._count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _someone_looks() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel") or sys.stderr.isatty()
