"""`Attachment`: this process's lease and connection on one instance."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Any

from gpumodels import presentation
from gpumodels.attribution import peaks
from gpumodels.errors import ModelGone, ModelStopped
from gpumodels.lease import events, notes
from gpumodels.model import ending, freed
from gpumodels.model.freed import FreedMemory
from gpumodels.model.watcher import WATCHER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpumodels.client import Client, Watch
    from gpumodels.engines import Instance
    from gpumodels.lease import InstanceDirectory, InstanceRecord, Lease, Owner
    from gpumodels.model.endpoint import Endpoint
    from gpumodels.signature import Signature

#: Seconds to wait for the watcher's event `server_ended` after a connection has broken.
_EVENT_WITHIN = 1.0
#: Seconds to wait for that event if the server is known to be dead.
_EVENT_OF_DEAD_WITHIN = 10.0
#: Seconds to wait until the freed memory of a model that fell asleep is measured.
_MEASURED_WITHIN = 6.0


class State(Enum):
    """The states of an attachment, in their usual order."""

    STARTING = "starting"  # the lease is held; the model server is not ready
    READY = "ready"  # the instance takes calls
    LEAVING = "leaving"  # sleep or stop has begun, or the server has ended: new calls go to another replica
    ASLEEP = "asleep"  # the instance has given its memory back, and can be loaded again
    GONE = "gone"  # the instance died or was stopped


class Attachment:
    """The lease and the connection of this process on one instance, until the instance sleeps or ends.

    Threads may use it at the same time. Once the instance is gone, `error` is the reason. Once the instance sleeps or
    was stopped, `freed` is the memory that it gave back.
    """

    client: Client
    signature: Signature

    def __init__(
        self,
        record: InstanceRecord,
        directory: InstanceDirectory,
        lease: Lease,
        instance: Instance,
        guest: Owner | None = None,
    ) -> None:
        """Create the attachment. Give this process as `guest` if another process loaded the instance."""
        self.record = record
        self.directory = directory
        self.lease = lease
        self.instance = instance
        self.user = guest or record.owner
        self.state = State.STARTING
        self.error: ModelGone | None = None
        self.freed: FreedMemory | None = None
        self.seconds = 0.0  # the duration of the load
        self.endpoint: Endpoint | None = None
        self.last_lines = ""
        #: The moment at which the instance ended, by time.monotonic(); 0.0 while it runs.
        self.ended = 0.0
        #: True if another process used the instance too, just before it ended.
        self.was_shared = False
        self._lock = threading.Lock()
        self._state_lock = threading.Lock()  # held for a moment only, so that the watcher's thread can take it
        self._server_ended = threading.Event()
        self._measured = threading.Event()
        self._fell_asleep = self._forgotten = False
        self._on_end: Callable[[], None] | None = None
        self._memory_before: int | None = None
        self._watch: Watch | None = None

    def connect(self, client: Client, seconds: float, endpoint: Endpoint | None = None) -> None:
        """Take calls by `client` from now on. Call this when the model server is ready; the load took `seconds`."""
        self.client, self.signature, self._watch = client, client.signature(), client.watch()
        self.seconds, self.endpoint = seconds, endpoint
        self._memory_before = self._memory()  # used if the kernel is too busy to measure again before sleep
        self._become(State.READY)
        if self._watch is not None:
            WATCHER.add(self._watch, self)

    def _become(self, state: State, *, only_from: State | None = None) -> None:
        """Change the state. With `only_from`, do nothing if the state is another one by now."""
        with self._state_lock:
            if only_from is None or self.state is only_from:
                self.state = state

    @property
    def open(self) -> bool:
        """True if the state is READY: new calls may be sent to the instance."""
        return self.state is State.READY

    @property
    def attached(self) -> bool:
        """True if the state is READY or LEAVING: the instance may still answer a call."""
        return self.state in {State.READY, State.LEAVING}

    @property
    def alive(self) -> bool:
        """True if the instance can be called: it is attached, and its leash lives. The engine is not asked."""
        return self.attached and self.lease.leash_lives

    @property
    def asleep(self) -> bool:
        """True if the instance gave its memory back and can be loaded again."""
        return self.state is State.ASLEEP

    def on_end(self, listener: Callable[[], None]) -> None:
        """Call `listener` once the instance has died or fallen asleep. The call may come on any thread."""
        self._on_end = listener
        if self.ended:
            self._notify_end()

    def about_to_sleep(self) -> None:
        """Measure the memory that the server holds, just before it ends; see `watcher.Listener`."""
        self._memory_before = self._memory() or self._memory_before
        self.was_shared = self.lease.others_use

    def server_ended(self, *, asleep: bool) -> None:
        """Clean up on a thread, because the server has ended; see `watcher.Listener`."""
        self._fell_asleep = asleep
        self._become(State.LEAVING, only_from=State.READY)
        self._server_ended.set()
        threading.Thread(target=self.clean_up, name="gpumodels end", daemon=True).start()

    def clean_up(self) -> None:
        """Remove the remains of an instance that ended, and set `error` or `freed`. Do nothing while it lives."""
        with self._lock:
            if not self.attached:
                return
            if self._watch is not None and self._wait_for_server_end() and self._fell_asleep:
                self._become_asleep()
            elif (found := ending.end_if_dead(self)) is not None:
                self.error, self.last_lines = found
                self._forget_sleep()
                self._close()
                self._become(State.GONE)
        if self.ended:
            self._notify_end()

    def _notify_end(self) -> None:
        listener, self._on_end = self._on_end, None
        if listener is not None:
            listener()

    def _wait_for_server_end(self) -> bool:
        """Wait for the event `server_ended`, and return True if it came.

        The wait is longer if the server is dead: the event will come, but the watcher's thread may get no CPU time.
        """
        if self._server_ended.wait(_EVENT_WITHIN):
            return True
        return not self.lease.leash_lives and self._server_ended.wait(_EVENT_OF_DEAD_WITHIN)

    def sleep(self) -> None:
        """Free the memory once no call runs. If other processes use the instance, only leave it to them."""
        self._become(State.LEAVING, only_from=State.READY)
        try:
            if self._watch is None or self.lease.others_use:
                self._leave_to_others()
            else:
                self._ask_for_sleep(self._watch)
        finally:
            if not self._server_ended.is_set():
                self._become(State.READY, only_from=State.LEAVING)
        if self.freed is not None:
            self._measured.wait(_MEASURED_WITHIN)

    def _ask_for_sleep(self, watch: Watch) -> None:
        try:
            watch.ask_for_sleep()
            while not self._server_ended.wait(0.1) and self.lease.leash_lives:
                pass
        except KeyboardInterrupt:
            watch.take_back()
            raise
        self.clean_up()

    def _leave_to_others(self) -> None:
        with self._lock:
            if not self.attached:
                return
            try:
                self.client.finish()  # a call that comes now waits for the lock, and wakes the model
            finally:
                self.was_shared = self.lease.others_use
                self._memory_before = None if self.was_shared else self._memory()
                self._become_asleep()

    def abandon(self) -> None:
        """Give up an instance that ended or fell asleep while this process was joining it."""
        with self._lock:
            asleep = self.asleep
            if not (self.attached or asleep):
                return
            again = f"Load it again with {self.record.load_line}."
            self.error = ModelGone(f"{self.record.model} has just ended. {again}")
            if asleep:
                self._forget_sleep()
            else:
                self._close()
            self._become(State.GONE)

    def end(self) -> None:
        """Release the lease of an instance that did not become ready, and remove its remains."""
        if self._watch is not None:
            WATCHER.remove(self._watch)
        ending.end(self)

    def stop(self, by: str) -> None:
        """End the instance, or only leave it if other processes use it.

        `by` is the place that stops the instance, for messages, such as "this notebook".
        """
        self._become(State.LEAVING, only_from=State.READY)
        self._on_end = None
        with self._lock:
            if self.error is not None:
                return
            slept = "" if self.freed is None else f" It was {self.freed}."
            self.error = ModelStopped(
                f"{self.record.model} was stopped from {by} at {presentation.clock(time.time())}.{slept} "
                f"Load it again with {self.record.load_line}."
            )
            asleep = self.asleep
            self._become(State.GONE)
            if asleep:
                self._forget_sleep()
                self.log("stopped", f"was stopped from {by}, while it slept")
                return
            self.last_lines = self.instance.logs()
            self.was_shared = self.lease.others_use
            before = None if self.was_shared else self._memory()
            self._close()
            ending.end(self, by)
            self.freed = freed.measure(self.record, before, time.time())

    def woken(self) -> None:
        """Remove the note that the model sleeps, because the model was loaded again."""
        with self._lock:
            self._forget_sleep()

    def logs(self, lines: int) -> str:
        """Return the last lines that the model server printed, also if it has ended."""
        if self.attached:
            return self.instance.logs(lines)
        return "\n".join(self.last_lines.splitlines()[-lines:])

    def log(self, event: str, what: str, **facts: Any) -> None:
        """Log an event of this instance in the runtime directory. Its text is the model's name and `what`."""
        name = self.record.model
        events.log(self._runtime, event, instance=self.record.id, model=name, text=f"{name} {what}", **facts)

    def _memory(self) -> int | None:
        if not self.record.devices:
            return None
        with suppress(Exception):  # an error of the driver must not keep a model from ending
            held = freed.memory_held(self.record)
            peaks.note(self.record, held)
            return held
        return None

    def _become_asleep(self) -> None:
        """Change the state to asleep, with the lock held. The server has ended, or others still use the instance."""
        since = time.time()
        if self._fell_asleep:
            ending.dies_within(self.lease, self.record.grace)  # views must not show it as running: wait for the leash
        self.last_lines = self.instance.logs() or self.directory.kept_log()
        self._close()
        memory = FreedMemory(since, self.record.device, self._memory_before)
        self._note_sleep(memory)  # before the lease is released, so that views always show the model
        ending.end(self)
        self.freed = memory
        self._become(State.ASLEEP)
        threading.Thread(target=self._measure, args=(memory,), name="gpumodels sleep", daemon=True).start()

    def _measure(self, memory: FreedMemory) -> None:
        with suppress(Exception):
            memory = freed.measure(self.record, memory.before, memory.since)
        with self._lock:
            self.freed = memory
            self._note_sleep(memory)
        self.last_lines += f"\ngpumodels: {self.record.model} is {memory}"
        self.log("asleep", f"is {memory}", before=memory.before, after=memory.after)
        self._measured.set()

    def _note_sleep(self, memory: FreedMemory) -> None:
        """Publish a note of the sleeping model, with the lock held, unless the model was stopped or woken."""
        if self.error is None and not self._forgotten:
            note = {"record": asdict(self.record), "owner": asdict(self.user)}
            notes.write(self._runtime, notes.ASLEEP, self._note, {**note, "since": memory.since, "freed": memory.bytes})

    def _forget_sleep(self) -> None:
        self._forgotten = True
        notes.remove(self._runtime, notes.ASLEEP, self._note)

    @property
    def _runtime(self) -> Path:
        return self.directory.path.parent

    @property
    def _note(self) -> str:
        return f"{self.record.id}.{self.user.pid}"  # each process that shared the instance publishes its own note

    def _close(self) -> None:
        self.ended = time.monotonic()
        if self._watch is not None:
            WATCHER.remove(self._watch)
        self.client.close()
