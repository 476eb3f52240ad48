"""The end of an instance: releasing its lease, waiting for its leash, and removing its remains."""

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

#: Seconds to wait until the engine reports the end of a server, after the connection to that server has broken.
_NOTICED_WITHIN = 2.0
#: Seconds that a leash may take in addition to the grace. After that it counts as stuck.
_LEASH_MARGIN = 1.0
#: Lines of a dead model's log that are kept for `%model_logs`.
_LAST_LINES = 40


def end(attachment: Attachment, by: str = "") -> bool:
    """Release the lease. If no other process holds the instance, remove its container or processes, memory and files.

    The leash ends the server within the grace, as it does when a kernel dies. Then the rest is removed: by force if
    the leash takes too long, and at once on an interrupt. If the engine is down, a thread tries again later, or the
    guard does if this process ends.

    `by` is the place that stops the instance, for messages, or "" if the instance ended by itself. Return True if no
    other process held the instance.
    """
    directory, lease, grace = attachment.directory, attachment.lease, attachment.record.grace
    with uninterrupted():
        stopped = by != "" and directory.mark_ended_unless_used(by, lease)
        lease.release()
        claimed = directory.claim_unless_held()
    if claimed is None:
        if stopped:  # only the keeper still holds the instance; the keeper removes the rest
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
    """Remove the remains of an instance. Return False if the engine does not answer."""
    try:
        instance.remove()
    except EngineError:
        return False
    remove_shared_memory(shared_memory)
    claimed.remove()
    return True


def end_if_dead(attachment: Attachment) -> tuple[ModelGone, str] | None:
    """Remove an instance if its model server is dead, and return the error to raise and the last lines of the log.

    Return None if the server lives.
    """
    record, ended = attachment.record, attachment.directory.ended
    if ended is not None and not dies_within(attachment.lease, record.grace + _LEASH_MARGIN):
        ended = None  # another process tried to stop it and failed
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
    """Wait until the leash has ended. Return False if the leash still lives after `seconds`."""
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
            # The engine may be down. The leash's lock still shows if the instance has ended.
            return None if attachment.lease.leash_lives else Ending(None)
        time.sleep(0.02)


def _cause(ending: Ending) -> str:
    code = ending.exit_code
    if ending.out_of_memory:
        return "the system killed it: out of memory"
    if code is None:
        return "it is gone"
    if code > 128 or code < 0:  # noqa: PLR2004  a signal's exit code is 128 + signal in shells, -signal in Python
        with suppress(ValueError):
            return f"signal {signal.Signals(code - 128 if code > 0 else -code).name}"
    return f"exit code {code}"
