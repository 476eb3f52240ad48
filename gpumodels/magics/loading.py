"""The work of `%load_model`: load a model, show the progress, bind variables, and print one line at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gpumodels import catalog, presentation
from gpumodels.errors import LoadCancelled
from gpumodels.loading import load as load_model
from gpumodels.magics.arguments import options_of
from gpumodels.magics.binding import LATEST, bind, handle, identifier
from gpumodels.magics.progress import view
from gpumodels.model import memory_held

if TYPE_CHECKING:
    from argparse import Namespace

    from IPython.core.interactiveshell import InteractiveShell

    from gpumodels.model import Model


def load(shell: InteractiveShell, asked: Namespace, loaded_for: dict[str, Model]) -> Model:
    """Load the model of the arguments `asked`. It replaces the model that was loaded before for the same variable.

    `loaded_for` holds the model that was loaded last for each variable; the new model is added. The variable `model` is
    an alias of another variable, so the model in it is not replaced.
    """
    variable = asked.variable or identifier(catalog.find(asked.model).name)
    before = loaded_for.get(variable) or (handle(shell, variable) if variable != LATEST else None)
    shown = view(shell, silent=asked.silent)
    try:
        model = load_model(asked.model, in_place_of=before, report=shown, **options_of(asked))
    except LoadCancelled:
        shown.end("cancelled, nothing left")
        raise
    except Exception:
        shown.end(f"{asked.model} was not loaded")
        raise
    loaded_for[variable] = model
    bound, taken = bind(shell, model, asked.variable)
    shown.end(_last_line(model, bound, taken, again=model is before))
    _hide_result(shell, model)
    return model


def _last_line(model: Model, bound: list[str], taken: list[str], *, again: bool) -> str:
    bindings = f", as {' and '.join(bound)}" if bound else ""
    if again:
        line = f"{model.name} was ready {_where(model).rstrip(',')}{bindings}"
    else:
        line = f"{model.name} ready {_where(model)} in {model.load_seconds:.1f} s{bindings}"
    if model.endpoint is not None:
        name = bound[-1] if bound else "its handle"
        line += f"\n{model.name} answers tritonclient at {model.endpoint.address}; {name}.endpoint has the token"
    if taken:
        line += f"\nnot bound to {' or '.join(taken)}: in use for something else (`--as NAME` binds another name)"
    return line


def _where(model: Model) -> str:
    several = f"as {len(model.replicas)} replicas " if len(model.replicas) > 1 else ""
    if not model.record.devices:
        return f"{several}on CPU, {model.record.engine} engine,"
    held = sum(memory_held(each.record) or 0 for each in model.replicas)
    return f"{several}on {model.device}" + (f" ({presentation.size(held)})" if held else "")


def _hide_result(shell: InteractiveShell, model: Model) -> None:
    """Prevent the cell from showing the handle as its result, because the load's last line shows the same.

    IPython sets `sys.displayhook` for each cell and restores it after the cell, so the change ends with the cell.
    """
    if not shell.display_trap.is_active:
        return
    show = sys.displayhook

    def show_others(value: object) -> None:
        if value is not model:
            show(value)

    sys.displayhook = show_others
