"""Ending an instance: releasing its lease, waiting for its leash, and removing everything that is left."""

from __future__ import annotations

import functools
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gpumodels.engines import Ending
from gpumodels.errors import EngineError, ModelGone, ModelStopped
from gpumodels.lease import guard, remove_shared_memory, uninterrupted

if TYPE_CHECKING:
    from gpumodels.engines import Instance
    from gpumodels.lease import InstanceDirectory, Lease
    from gpumodels.model.attachment import Attachment

#: Seconds to wait for the engine to notice an end that a broken connection already showed.
_NOTICED_WITHIN = 2.0
#: Seconds that a leash may need beyond the grace before it counts as stuck.
_LEASH_MARGIN = 1.0
#: Lines of its log that a dead model leaves for `%model_logs`.
_LAST_LINES = 40


def end(attachment: Attachment, by: str = "") -> bool:
    """Release the lease and, unless others hold the instance, remove process or container, memory and directory.

    This is the way of a kernel that dies: the leash ends the server within its grace. The rest is removed then, by
    force if the leash takes too long, or at once on an interrupt. What cannot be removed now (the engine is down) is
    tried again in a thread, or by the guard if this process ends.

    `by` is who stopped it, for other views; "" if it ended by itself. Returns True if this was the last hold.
    """
    directory, lease, grace = attachment.directory, attachment.lease, attachment.record.grace
    with uninterrupted():
        stopped = by != "" and directory.mark_ended_unless_used(by, lease)
        lease.release()
        claimed = directory.claim_unless_held()
    if claimed is None:
        if stopped:  # only its keeper holds it, and removes the rest
            attachment.instance.stop(grace)
            attachment.log("stopped", f"was stopped from {by}")
        return False
    try:
        deadline = time.monotonic() + grace + _LEASH_MARGIN
        while claimed.leash_lives and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        with uninterrupted():
            remove = functools.partial(_remove, attachment.instance, attachment.record.shared_memory, claimed)
            if not remove():
                threading.Thread(target=guard.until_done, args=(remove,), daemon=True).start()
    if stopped:
        attachment.log("stopped", f"was stopped from {by}")
    return True


def _remove(instance: Instance, shared_memory: str, claimed: InstanceDirectory) -> bool:
    """Remove what is left; return False if the engine does not answer."""
    try:
        instance.remove()
    except EngineError:
        return False
    remove_shared_memory(shared_memory)
    claimed.remove()
    return True


def end_if_dead(attachment: Attachment) -> tuple[ModelGone, str] | None:
    """Remove an instance whose model server is dead, and return the error to raise and its last lines.

    Return None if the server lives.
    """
    record, ended = attachment.record, attachment.directory.ended
    if ended is not None and not dies_within(attachment.lease, record.grace + _LEASH_MARGIN):
        ended = None  # somebody tried to stop it and failed
    ending = None if ended is not None else _wait_for_ending(attachment)
    if ended is None and ending is None:
        return None
    tail = attachment.instance.logs(_LAST_LINES) or attachment.directory.kept_log()
    last = end(attachment)
    if ending is None:
        return ModelStopped(f"{record.model} was {ended}. Load it again with {record.load_line}."), tail
    cause = _cause(ending)
    if last:
        attachment.log("died", f"died ({cause})")
    advice = f"Load it again with {record.load_line}"
    return ModelGone(f"The model server of {record.model} died ({cause}). {advice}. Its last lines:\n{tail}"), tail


def dies_within(lease: Lease, seconds: float) -> bool:
    """Wait for the leash to end. Return False if it still lives after so many seconds."""
    deadline = time.monotonic() + seconds
    while lease.leash_lives:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _wait_for_ending(attachment: Attachment) -> Ending | None:
    began = time.monotonic()
    while True:
        with suppress(EngineError):
            if (ending := attachment.instance.ending()) is not None:
                return ending
        if time.monotonic() - began > _NOTICED_WITHIN:
            return None if attachment.lease.leash_lives else Ending(None)  # the engine may be down; the lock tells
        time.sleep(0.02)


def _cause(ending: Ending) -> str:
    code = ending.exit_code
    if ending.out_of_memory:
        return "the system killed it: out of memory"
    if code is None:
        return "it is gone"
    if code > 128 or code < 0:  # noqa: PLR2004  shells count 128 + signal, Python counts below 0
        with suppress(ValueError):
            return f"signal {signal.Signals(code - 128 if code > 0 else -code).name}"
    return f"exit code {code}"
