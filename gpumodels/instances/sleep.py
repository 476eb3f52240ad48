"""Putting an instance to sleep, whichever notebook of this user loaded it."""

from __future__ import annotations

import select
import time
from contextlib import closing
from typing import TYPE_CHECKING

from gpumodels.client import Watch, descriptors
from gpumodels.errors import EngineError
from gpumodels.instances import registry
from gpumodels.instances.place import runtime_directory
from gpumodels.lease.record import UnknownRecordError
from gpumodels.protocol import frames

if TYPE_CHECKING:
    from pathlib import Path

_WITHIN = 10.0  # seconds; one that is called all the while does not sleep


def sleep_instance(instance_id: str) -> None:
    """Let it give its memory back as soon as no call runs; its handles wake it with the next call.

    Raises KeyError where none of that id runs, EngineError where it does not do so in ten seconds.
    """
    for replica in [each for model in registry.handles() for each in model.replicas]:
        if replica.record.id == instance_id and replica.alive:
            replica.stay.sleep()
            return
    directory = runtime_directory().directory(instance_id)
    try:
        model, sleeps = directory.record().model, _asked(directory.socket)
    except (OSError, UnknownRecordError):  # it has ended
        raise KeyError(instance_id) from None
    if not sleeps:
        raise EngineError(f"{model} was asked to sleep, but calls ran all the while: it goes on.")


def _asked(socket_dir: Path) -> bool:
    """Ask, as one more watcher, until it sleeps; a wish whose connection is closed is forgotten."""
    with closing(Watch(descriptors.server_socket(descriptors.directory(socket_dir), frames.SOCKET_NAME))) as watch:
        watch.ask_for_sleep()
        deadline = time.monotonic() + _WITHIN
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([watch], [], [], left)[0]:
                break
            try:
                if watch.hear():
                    watch.answer()
            except EOFError:
                return True
    return False
