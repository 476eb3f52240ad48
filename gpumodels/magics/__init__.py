"""The notebook's commands, which `%load_ext gpumodels` brings, and how a notebook shows a model."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

from gpumodels.lease import release_all
from gpumodels.loading import preload
from gpumodels.magics import tracebacks
from gpumodels.magics.commands import COMMANDS, ModelMagics
from gpumodels.magics.completion import complete
from gpumodels.magics.hint import Hint
from gpumodels.magics.progress import view
from gpumodels.model import SilentReport, set_default_report
from gpumodels.widgets import show_models, show_models_no_more

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: Where a shell keeps what the extension put into it; reloading the package must not lose sight of it.
_PLACE = "_gpumodels"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Bring magics with completion, short tracebacks and the hint about CUDA_VISIBLE_DEVICES; twice does no harm."""
    unload_ipython_extension(shell)
    hint = Hint(shell)
    shell.register_magics(ModelMagics(shell))
    shell.Completer.custom_matchers.append(complete)
    shell.events.register("pre_run_cell", hint.before_cell)
    # A kernel that shuts down lets its models go at once, not when the interpreter has taken itself apart.
    atexit.register(release_all)
    tracebacks.install(shell)
    set_default_report(lambda: view(shell, silent=False))
    show_models(shell)
    setattr(shell, _PLACE, hint)
    preload()
    hint.look_back()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away; running models stay."""
    hint = getattr(shell, _PLACE, None)
    if hint is None:
        return
    atexit.unregister(release_all)
    shell.events.unregister("pre_run_cell", hint.before_cell)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if getattr(matcher, "__module__", "") != complete.__module__]
    for name in COMMANDS:
        shell.magics_manager.magics["line"].pop(name, None)
    tracebacks.uninstall()
    set_default_report(SilentReport)
    show_models_no_more(shell)
    delattr(shell, _PLACE)
