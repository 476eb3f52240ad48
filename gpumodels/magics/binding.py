"""Which variables a loaded model gets: nothing of the user's is overwritten, except where the user says so."""

from __future__ import annotations

import builtins
import keyword
import re
from typing import TYPE_CHECKING

from gpumodels.model import Model

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: The variable that is always the model loaded last.
LATEST = "model"


def identifier(name: str) -> str:
    """The variable for a model of that name: `my-model 2` is `my_model_2`."""
    variable = re.sub(r"\W", "_", name)
    return f"_{variable}" if not variable.isidentifier() or keyword.iskeyword(variable) else variable


def handle(shell: InteractiveShell, variable: str) -> Model | None:
    """The handle, alive or stopped, that a variable holds."""
    value = shell.user_ns.get(variable)
    return value if isinstance(value, Model) else None


def bind(shell: InteractiveShell, model: Model, variable: str | None) -> tuple[list[str], list[str]]:
    """Bind `variable`, or else the model's name and `model` as far as they are free or handles already.

    Returns the names bound and the names left alone.
    """
    wanted = [variable] if variable else list(dict.fromkeys([identifier(model.name), LATEST]))
    bound = [name for name in wanted if name == variable or _is_free(shell, name)]
    shell.push(dict.fromkeys(bound, model))  # type: ignore[no-untyped-call]
    return bound, [name for name in wanted if name not in bound]


def _is_free(shell: InteractiveShell, name: str) -> bool:
    taken = name in shell.user_ns or hasattr(builtins, name)
    return not taken or handle(shell, name) is not None
