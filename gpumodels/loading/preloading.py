"""Early imports: while a load waits for something else, a thread imports the modules that the load needs next."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from threading import Thread

#: The modules that a first load imports, in their order there. docker-py imports requests, the client imports gRPC.
_MODULES = ("gpumodels.loading.api", "gpumodels.engines.docker.containers", "gpumodels.client")


def preload() -> None:
    """Begin to import the modules on a thread. Code that needs one of them meanwhile waits for its import."""

    def run() -> None:
        for name in _MODULES:
            with suppress(ImportError):  # the code that needs the module will raise and report the error
                import_module(name)

    Thread(target=run, name="gpumodels imports", daemon=True).start()
