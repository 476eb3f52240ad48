"""GPU models in containers for people who work in notebooks.

The kernel, the Jupyter server and the model server inside a container all import this package. So it imports nothing
itself: each public name is imported at its first use.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from gpumodels._version import __version__
    from gpumodels.attribution import DeviceUsage, Share, Usage
    from gpumodels.client import Result
    from gpumodels.errors import (
        CallError,
        CallTimeout,
        DeviceError,
        EngineError,
        GpumodelsError,
        InputError,
        LoadCancelled,
        LoadError,
        LoadFailed,
        LoadRefused,
        LoadTimeout,
        ModelCallError,
        ModelGone,
        ModelNotFound,
        ModelStopped,
        SettingsError,
    )
    from gpumodels.instances import running, stop, usage
    from gpumodels.loading import attach, load
    from gpumodels.model import Model
    from gpumodels.widgets import gpu_dashboard

_HOMES = {
    "__version__": "gpumodels._version",
    "DeviceUsage": "gpumodels.attribution",
    "Model": "gpumodels.model",
    "Result": "gpumodels.client.result",
    "Share": "gpumodels.attribution",
    "Usage": "gpumodels.attribution",
    "attach": "gpumodels.loading.api",
    "gpu_dashboard": "gpumodels.widgets",
    "load": "gpumodels.loading.api",
    "running": "gpumodels.instances",
    "stop": "gpumodels.instances",
    "usage": "gpumodels.instances",
    "_jupyter_labextension_paths": "gpumodels.jupyter",
    "_jupyter_server_extension_points": "gpumodels.jupyter",
    "_load_jupyter_server_extension": "gpumodels.jupyter",
}

#: Modules that need Linux.
_LINUX_ONLY = ("gpumodels.instances", "gpumodels.loading.api", "gpumodels.model", "gpumodels.widgets")

__all__ = [
    "CallError",
    "CallTimeout",
    "DeviceError",
    "DeviceUsage",
    "EngineError",
    "GpumodelsError",
    "InputError",
    "LoadCancelled",
    "LoadError",
    "LoadFailed",
    "LoadRefused",
    "LoadTimeout",
    "Model",
    "ModelCallError",
    "ModelGone",
    "ModelNotFound",
    "ModelStopped",
    "Result",
    "SettingsError",
    "Share",
    "Usage",
    "__version__",
    "attach",
    "gpu_dashboard",
    "load",
    "load_ipython_extension",
    "running",
    "stop",
    "unload_ipython_extension",
    "usage",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name) or ("gpumodels.errors" if name in __all__ else None)
    if home is None:
        raise AttributeError(f"module 'gpumodels' has no attribute {name!r}")
    if home in _LINUX_ONLY:
        _require_linux()
    return getattr(import_module(home), name)


def _require_linux() -> None:
    """Raise EngineUnavailable on other systems. There the package can be imported, for tools, but cannot run models."""
    if sys.platform != "linux":
        from gpumodels.errors import EngineUnavailable  # noqa: PLC0415

        raise EngineUnavailable(
            f"gpumodels runs models on Linux only, and this is {sys.platform}: its locks and namespaces are Linux's. "
            "Run the notebook's kernel on a Linux machine."
        )


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics to an IPython shell, as `%load_ext gpumodels` does.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        The shell.

    Raises
    ------
    EngineError
        This system is not Linux.

    """
    _require_linux()
    import_module("gpumodels.magics").load_ipython_extension(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics from an IPython shell, as `%unload_ext gpumodels` does. Running models go on.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        The shell.

    """
    import_module("gpumodels.magics").unload_ipython_extension(shell)
