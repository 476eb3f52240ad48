"""Imports ahead of need: while a load waits for something else, the modules that it needs next are imported."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from threading import Thread

#: Modules that a first load imports, in the order of need: requests with docker-py, gRPC with the client.
_MODULES = ("gpumodels.loading.api", "gpumodels.engines.docker.containers", "gpumodels.client")


def preload() -> None:
    """Begin to import them on a thread. Code that needs one of them meanwhile waits for that one."""

    def run() -> None:
        for name in _MODULES:
            with suppress(ImportError):  # code that needs it meets the error and can report it
                import_module(name)

    Thread(target=run, name="gpumodels imports", daemon=True).start()
