"""`Stay`: a model's time on one instance, from ready until it is stopped, dies or falls asleep."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gpumodels import presentation
from gpumodels.attribution import peaks
from gpumodels.errors import ModelGone, ModelStopped
from gpumodels.lease import events, notes
from gpumodels.model.nap import Nap, measured, memory_held
from gpumodels.model.watcher import WATCHER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpumodels.client import Client
    from gpumodels.lease.record import InstanceRecord
    from gpumodels.model.endpoint import Endpoint
    from gpumodels.model.hold import Hold
    from gpumodels.signature import Signature

_SAID_WITHIN = 1.0  # seconds in which a server's last word is heard, when its connection has broken
_HEARD_WITHIN = 10.0  # the same, in seconds, where that server is known to be dead
_MEASURED_WITHIN = 6.0  # seconds in which the memory of one that fell asleep is measured


class Stay:
    """What this process has of the instance; `gone` or `nap` tell why it has it no more. Safe to use from threads."""

    def __init__(
        self, hold: Hold, client: Client, signature: Signature, seconds: float, endpoint: Endpoint | None = None
    ) -> None:
        self.hold = hold
        self.client = client
        self.signature = signature
        self.seconds = seconds
        self.endpoint = endpoint
        self.gone: ModelGone | None = None
        self.nap: Nap | None = None
        self.last_lines = ""
        #: When it ended, by time.monotonic(); 0.0 while it runs.
        self.ended = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._measured = threading.Event()
        self._asleep = self._forgotten = False
        self._leaving = False
        self._tell: Callable[[], None] | None = None
        self._before = self._memory()  # of a model that a kernel was too busy to look at later, this is known
        #: Whether others used it as well, when it was last seen awake.
        self.was_shared = False
        self._watch = client.watch()
        if self._watch is not None:
            WATCHER.add(self._watch, self)

    @property
    def record(self) -> InstanceRecord:
        return self.hold.record

    @property
    def alive(self) -> bool:
        """Whether it can be called."""
        return self.gone is None and self.nap is None and self.hold.alive

    @property
    def open(self) -> bool:
        """Whether calls should come here, as far as is known without asking the system: it is not about to end."""
        return self.gone is None and self.nap is None and not self._leaving and not self._over.is_set()

    def when_ended(self, tell: Callable[[], None]) -> None:
        """Have `tell` run, on any thread, when it has died or fallen asleep."""
        self._tell = tell
        if self.ended:
            self._tell = None
            tell()

    def drowsy(self) -> None:
        """See `watcher.Listener`: the last moment in which the memory that will be freed can be seen."""
        self._before = self._memory() or self._before
        self.was_shared = self.hold.shared

    def over(self, *, asleep: bool) -> None:
        """See `watcher.Listener`."""
        self._asleep = asleep
        self._over.set()
        threading.Thread(target=self.let_go, name="gpumodels end", daemon=True).start()

    def let_go(self) -> None:
        """Remove what is left of an instance that ended, and note why; a living one is not touched."""
        with self._lock:
            if self.gone is not None or self.nap is not None:
                return
            if self._watch is not None and self._is_over() and self._asleep:
                self._lie_down()
            elif (found := self.hold.gone()) is not None:
                self.gone, self.last_lines = found
                self._forget()
                self._close()
        if self.ended:
            tell, self._tell = self._tell, None
            if tell is not None:
                tell()

    def _is_over(self) -> bool:
        """Whether its server's last word was heard; of one that is dead it will be, once that thread has its turn."""
        return self._over.wait(_SAID_WITHIN) or (not self.hold.alive and self._over.wait(_HEARD_WITHIN))

    def sleep(self) -> None:
        """Give the memory back when no call runs any more. One that others use as well is left to them."""
        self._leaving = True
        try:
            self._fall_asleep()
        finally:
            self._leaving = False

    def _fall_asleep(self) -> None:
        if self._watch is None or self.hold.shared:
            self._leave()
        else:
            try:
                self._watch.ask_for_sleep()
                while not self._over.wait(0.1) and self.hold.alive:
                    pass
            except KeyboardInterrupt:
                self._watch.take_back()
                raise
            self.let_go()
        if self.nap is not None:
            self._measured.wait(_MEASURED_WITHIN)

    def _leave(self) -> None:
        with self._lock:
            if self.gone is not None or self.nap is not None:
                return
            try:
                self.client.finish()  # whoever calls now waits for the lock, and wakes it
            finally:
                self.was_shared = self.hold.shared
                self._before = None if self.was_shared else self._memory()
                self._lie_down()

    def abandon(self) -> None:
        """Have nothing more of an instance that ended while it was joined."""
        with self._lock:
            if self.gone is None and self.nap is None:
                again = f"Load it again with {self.record.load_line}."
                self.gone = ModelGone(f"{self.record.model} has just ended. {again}")
                self._close()

    def stop(self, by: str) -> None:
        """End the instance, unless others use it."""
        self._leaving = True
        self._tell = None
        with self._lock:
            if self.gone is not None:
                return
            slept = "" if self.nap is None else f" It was {self.nap}."
            self.gone = ModelStopped(
                f"{self.record.model} was stopped from {by} at {presentation.clock(time.time())}.{slept} "
                f"Load it again with {self.record.load_line}."
            )
            if self.nap is not None:
                self._forget()
                self._say("stopped", f"was stopped from {by}, while it slept")
                return
            self.last_lines = self.hold.instance.logs()
            self.was_shared = self.hold.shared
            before = None if self.was_shared else self._memory()
            self._close()
            self.hold.end(by)
            self.nap = measured(self.record, before, time.time())

    def woken(self) -> None:
        """Its model, which slept, goes on elsewhere."""
        with self._lock:
            self._forget()

    def logs(self, lines: int) -> str:
        """The last lines that the model server printed, also of one that has ended."""
        if self.gone is None and self.nap is None:
            return self.hold.instance.logs(lines)
        return "\n".join(self.last_lines.splitlines()[-lines:])

    def _memory(self) -> int | None:
        with suppress(Exception):  # whatever the driver says, a model may end
            held = memory_held(self.record)
            peaks.note(self.record, held)
            return held
        return None

    def _lie_down(self) -> None:
        """With the lock held, when the server has ended itself to sleep, or is left to others."""
        since = time.time()
        if self._asleep:
            self.hold.dies_within(self.record.grace)  # its server has; nobody shall see it run
        self.last_lines = self.hold.instance.logs() or self.hold.directory.kept_log()
        self._close()
        nap = Nap(since, self.record.device, self._before)
        self._tell_nap(nap)  # first, so that at no moment it is in neither list
        self.hold.end()
        self.nap = nap
        threading.Thread(target=self._measure, args=(self.nap,), name="gpumodels sleep", daemon=True).start()

    def _measure(self, nap: Nap) -> None:
        with suppress(Exception):
            nap = measured(self.record, nap.before, nap.since)
        with self._lock:
            self.nap = nap
            self._tell_nap(nap)
        self.last_lines += f"\ngpumodels: {self.record.model} is {nap}"
        self._say("asleep", f"is {nap}", before=nap.before, after=nap.after)
        self._measured.set()

    def _say(self, event: str, what: str, **facts: Any) -> None:
        name = self.record.model
        events.tell(self._runtime, event, instance=self.record.id, model=name, text=f"{name} {what}", **facts)

    def _tell_nap(self, nap: Nap) -> None:
        """With the lock held: say to all that this process has a model that sleeps and can be woken."""
        if self.gone is None and not self._forgotten:
            told = {"record": asdict(self.record), "owner": asdict(self.hold.user)}
            notes.write(self._runtime, notes.ASLEEP, self._note, {**told, "since": nap.since, "freed": nap.freed})

    def _forget(self) -> None:
        self._forgotten = True
        notes.remove(self._runtime, notes.ASLEEP, self._note)

    @property
    def _runtime(self) -> Path:
        return self.hold.directory.path.parent

    @property
    def _note(self) -> str:
        return f"{self.record.id}.{self.hold.user.pid}"  # each that shared it has a model that sleeps

    def _close(self) -> None:
        self.ended = time.monotonic()
        if self._watch is not None:
            WATCHER.remove(self._watch)
        self.client.close()
