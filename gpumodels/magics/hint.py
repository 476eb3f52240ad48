"""The hint that CUDA_VISIBLE_DEVICES, set in a notebook, does not move models: given once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

_VARIABLE = "CUDA_VISIBLE_DEVICES"
#: `%env X=1`, `%set_env X 1`, `os.environ["X"] = ...`, `os.environ.setdefault("X", ...)`, `os.putenv("X", ...)`,
#: `os.environ.update(X=...)`; not where it is only read.
_SETS = re.compile(
    rf"""^\s*%(?:set_)?env\s+{_VARIABLE}[\s=]
    |environ\[\s*["']{_VARIABLE}["']\s*\]\s*=(?!=)
    |(?:environ\.setdefault|putenv)\(\s*["']{_VARIABLE}["']
    |environ\.update\([^)]*{_VARIABLE}""",
    re.MULTILINE | re.VERBOSE,
)
TEXT = f"{_VARIABLE} in the notebook does not move models: use %load_model NAME --gpu 0"


#: Shells that were told; once is enough, also for one that loads the extension again.
_told: WeakSet[InteractiveShell] = WeakSet()


class Hint:
    """Looks at the text of cells, because a setting is seen nowhere else before it misleads."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def look_back(self) -> None:
        """Look at the cells up to now: many set it before they load the extension."""
        if self._shell.history_manager is not None:
            for cell in self._shell.history_manager.input_hist_raw:
                self._look_at(cell)

    def before_cell(self, info: ExecutionInfo) -> None:
        """IPython calls this with each cell that is going to run."""
        self._look_at(info.raw_cell or "")

    def _look_at(self, cell: str) -> None:
        if self._shell not in _told and _SETS.search(cell):
            _told.add(self._shell)
            print(TEXT)  # noqa: T201  it belongs to the cell's output
