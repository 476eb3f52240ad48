"""The magics that `%load_ext gpumodels` adds to a notebook, and the display of models there."""

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

#: The attribute of a shell in which the extension keeps its `Hint`. A package that is imported anew finds it there.
_ATTRIBUTE = "_gpumodels"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics with their completion, short tracebacks and the hint about CUDA_VISIBLE_DEVICES.

    IPython calls this for `%load_ext gpumodels`. Loading the extension again is harmless.
    """
    unload_ipython_extension(shell)
    hint = Hint(shell)
    shell.register_magics(ModelMagics(shell))
    shell.Completer.custom_matchers.append(complete)
    shell.events.register("pre_run_cell", hint.before_cell)
    # A kernel that shuts down releases its models at once, not only when the interpreter has ended.
    atexit.register(release_all)
    tracebacks.install(shell)
    set_default_report(lambda: view(shell, silent=False))
    show_models(shell)
    setattr(shell, _ATTRIBUTE, hint)
    preload()
    hint.check_earlier_cells()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove everything that the extension added. Models go on running."""
    hint = getattr(shell, _ATTRIBUTE, None)
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
    delattr(shell, _ATTRIBUTE)
