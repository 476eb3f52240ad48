"""The hint that CUDA_VISIBLE_DEVICES, set in a notebook, does not choose a model's GPU. It is printed once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

_VARIABLE = "CUDA_VISIBLE_DEVICES"
#: `%env X=1`, `%set_env X 1`, `os.environ["X"] = ...`, `os.environ.setdefault("X", ...)`, `os.putenv("X", ...)`,
#: `os.environ.update(X=...)`. Code that only reads the variable does not match.
_SETS = re.compile(
    rf"""^\s*%(?:set_)?env\s+{_VARIABLE}[\s=]
    |environ\[\s*["']{_VARIABLE}["']\s*\]\s*=(?!=)
    |(?:environ\.setdefault|putenv)\(\s*["']{_VARIABLE}["']
    |environ\.update\([^)]*{_VARIABLE}""",
    re.MULTILINE | re.VERBOSE,
)
TEXT = f"{_VARIABLE} in the notebook does not choose a model's GPU: use %load_model NAME --gpu 0"


#: The shells that have shown the hint. They do not show it again, even if the extension is loaded again.
_shown: WeakSet[InteractiveShell] = WeakSet()


class Hint:
    """A search for assignments of CUDA_VISIBLE_DEVICES in the text of cells.

    The text is searched before a cell runs. So the hint comes before the user loads a model and expects it on that GPU.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def check_earlier_cells(self) -> None:
        """Check the cells that have run already: many notebooks set the variable before they load the extension."""
        if self._shell.history_manager is not None:
            for cell in self._shell.history_manager.input_hist_raw:
                self._check(cell)

    def before_cell(self, info: ExecutionInfo) -> None:
        """Check a cell that is going to run. IPython calls this before each cell."""
        self._check(info.raw_cell or "")

    def _check(self, cell: str) -> None:
        if self._shell not in _shown and _SETS.search(cell):
            _shown.add(self._shell)
            print(TEXT)  # noqa: T201  (part of the cell's output)
