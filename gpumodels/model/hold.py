"""One process's hold on one instance: the lease, and everything that has to go with it."""

from __future__ import annotations

import functools
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels.engines.base import Ending
from gpumodels.errors import EngineError, ModelGone, ModelStopped
from gpumodels.lease import events, guard
from gpumodels.lease.interrupts import uninterrupted
from gpumodels.lease.runtime import remove_shared_memory

if TYPE_CHECKING:
    from gpumodels.engines.base import Instance
    from gpumodels.lease.directory import InstanceDirectory
    from gpumodels.lease.held import Lease
    from gpumodels.lease.record import InstanceRecord, Owner

#: How long to wait, in seconds, for the engine to know what the broken connection told already.
_KNOWN_WITHIN = 2.0
#: What a leash may need beyond the grace, in seconds, before it counts as stuck.
_LEASH_MARGIN = 1.0
#: How many lines a model that died leaves behind, for `%model_logs`.
_LAST_LINES = 40


@dataclass(frozen=True)
class Hold:
    """An instance that this process uses: where it is, how to end it, and the lease that keeps it."""

    record: InstanceRecord
    directory: InstanceDirectory
    lease: Lease
    instance: Instance
    #: Who this process is, where another one loaded the instance.
    guest: Owner | None = None

    @property
    def user(self) -> Owner:
        """Who this process is."""
        return self.guest or self.record.owner

    @property
    def alive(self) -> bool:
        """Whether the model server still lives, told by the leash's lock: no engine is asked."""
        return self.lease.leash_lives

    @property
    def shared(self) -> bool:
        """Whether another process uses the instance as well; its keeper does not."""
        return self.lease.others_use

    def end(self, by: str = "") -> bool:
        """Let go of the instance and, unless others hold it, leave nothing of it: no process or container, no memory,
        no directory.

        It goes the way of a kernel that dies: the lease is released, and the leash ends the server within its grace.
        What is left is removed then, or by force when that takes too long, or at once on an interrupt. `by` says who
        wanted it, for whoever else looks; "" where it ended by itself. What cannot be removed now (the engine is
        down) is tried again until it can, by the guard where this process has ended. Returns whether this was the last
        hold.
        """
        with uninterrupted():
            stopped = by != "" and self.directory.mark_ended_unless_used(by, self.lease)
            self.lease.release()
            claimed = self.directory.claim_unless_held()
        if claimed is None:
            if stopped:  # only its keeper holds it, which removes the rest
                self.instance.stop(self.record.grace)
                self._tell("stopped", f"was stopped from {by}")
            return False
        try:
            deadline = time.monotonic() + self.record.grace + _LEASH_MARGIN
            while claimed.leash_lives and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            with uninterrupted():
                if not self._removed(claimed):
                    again = functools.partial(self._removed, claimed)
                    threading.Thread(target=guard.until_done, args=(again,), daemon=True).start()
        if stopped:
            self._tell("stopped", f"was stopped from {by}")
        return True

    def _tell(self, event: str, what: str) -> None:
        record, place = self.record, self.directory.path.parent
        events.tell(place, event, instance=record.id, model=record.model, text=f"{record.model} {what}")

    def _removed(self, claimed: InstanceDirectory) -> bool:
        try:
            self.instance.remove()
        except EngineError:
            return False
        remove_shared_memory(self.record.shared_memory)
        claimed.remove()
        return True

    def gone(self) -> tuple[ModelGone, str] | None:
        """Why the model server is gone, and its last lines; what is left of it is removed. None while it lives."""
        name, ended = self.record.model, self.directory.ended
        if ended is not None and not self.dies_within(self.record.grace + _LEASH_MARGIN):
            ended = None  # somebody wanted to stop it, and could not
        ending = None if ended is not None else self._wait_for_ending()
        if ended is None and ending is None:
            return None
        tail = self.instance.logs(_LAST_LINES) or self.directory.kept_log()
        last = self.end()
        if ending is None:
            return ModelStopped(f"{name} was {ended}. Load it again with {self.record.load_line}."), tail
        cause = _cause(ending)
        if last:
            self._tell("died", f"died ({cause})")
        advice = f"Load it again with {self.record.load_line}"
        return ModelGone(f"The model server of {name} died ({cause}). {advice}. Its last lines:\n{tail}"), tail

    def dies_within(self, seconds: float) -> bool:
        """Whether the leash ends in so many seconds."""
        deadline = time.monotonic() + seconds
        while self.lease.leash_lives:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _wait_for_ending(self) -> Ending | None:
        began = time.monotonic()
        while True:
            with suppress(EngineError):
                if (ending := self.instance.ending()) is not None:
                    return ending
            if time.monotonic() - began > _KNOWN_WITHIN:
                return None if self.lease.leash_lives else Ending(None)  # the engine may be down; the lock tells
            time.sleep(0.02)


def _cause(ending: Ending) -> str:
    code = ending.exit_code
    if ending.out_of_memory:
        return "the system killed it: out of memory"
    if code is None:
        return "it is gone"
    if code > 128 or code < 0:  # noqa: PLR2004  as shells count: 128 + signal; as Python does: below 0
        with suppress(ValueError):
            return f"signal {signal.Signals(code - 128 if code > 0 else -code).name}"
    return f"exit code {code}"
