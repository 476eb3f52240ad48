"""The variables of a loaded model. A variable of the user is overwritten only if `--as` names it."""

from __future__ import annotations

import builtins
import keyword
import re
from typing import TYPE_CHECKING

from gpumodels.model import Model

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: The variable for the model that was loaded last.
LATEST = "model"


def identifier(name: str) -> str:
    """Return the variable name for a model's name: `my_model_2` for `my-model 2`."""
    variable = re.sub(r"\W", "_", name)
    return f"_{variable}" if not variable.isidentifier() or keyword.iskeyword(variable) else variable


def handle(shell: InteractiveShell, variable: str) -> Model | None:
    """Return the model in a variable, even a stopped one; None if the variable holds no model."""
    value = shell.user_ns.get(variable)
    return value if isinstance(value, Model) else None


def bind(shell: InteractiveShell, model: Model, variable: str | None) -> tuple[list[str], list[str]]:
    """Bind a model to `variable`, or to its own name and to `model` if `variable` is None.

    Its own name and `model` are bound only if the variable is free or already holds a model. Return the names that
    were bound, and the names that were not.
    """
    wanted = [variable] if variable else list(dict.fromkeys([identifier(model.name), LATEST]))
    bound = [name for name in wanted if name == variable or _is_free(shell, name)]
    shell.push(dict.fromkeys(bound, model))  # type: ignore[no-untyped-call]
    return bound, [name for name in wanted if name not in bound]


def _is_free(shell: InteractiveShell, name: str) -> bool:
    taken = name in shell.user_ns or hasattr(builtins, name)
    return not taken or handle(shell, name) is not None
