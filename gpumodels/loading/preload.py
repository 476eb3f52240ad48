"""Importing ahead of need: what a load waits for anyway is used to import what it needs next."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from threading import Thread

#: What a first load imports, in the order of need: requests with the docker engine, gRPC with the client.
_MODULES = ("gpumodels.loading.api", "gpumodels.engines.docker.engine", "gpumodels.client")


def preload() -> None:
    """Begin to import, on a thread of its own; whoever needs one of the modules meanwhile waits for that one."""

    def run() -> None:
        for name in _MODULES:
            with suppress(ImportError):  # who needs it will meet the error, and can say it
                import_module(name)

    Thread(target=run, name="gpumodels imports", daemon=True).start()
