"""One process's hold on one instance: the lease, and everything that has to go with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels.errors import EngineError, ModelGone, ModelStopped
from gpumodels.lease.runtime import remove_shared_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumodels.engines.base import Ending, Instance
    from gpumodels.lease.held import Lease
    from gpumodels.lease.record import InstanceRecord
    from gpumodels.lease.runtime import InstanceDirectory

#: How long to wait, in seconds, for the leash to know what the broken connection told already, and then for the engine.
_LEASH_KNOWS_WITHIN, _ENGINE_KNOWS_WITHIN = 1.0, 10.0


@dataclass(frozen=True)
class Hold:
    """An instance that this process loaded: where it is, how to end it, and the lease that keeps it."""

    record: InstanceRecord
    directory: InstanceDirectory
    lease: Lease
    instance: Instance

    @property
    def alive(self) -> bool:
        """Whether the model server still lives, told by the leash's lock: no engine is asked."""
        return self.lease.held and self.directory.ended is None and self.directory.leash_lives

    def end(self, by: str = "") -> None:
        """End the instance and leave nothing of it: no process or container, no memory, no directory, no lease.

        `by` says who wanted it, for whoever else looks; "" where it ended by itself.
        What cannot be removed now (the engine is down) is left to the guard, with the lease released.
        """
        if by:
            self.directory.mark_ended(by)
        with uninterrupted():
            try:
                self.instance.stop(self.record.grace)
            except EngineError:
                return
            finally:
                self.lease.release()
            self._forget()

    def _forget(self) -> None:
        remove_shared_memory(self.record.shared_memory)
        self.directory.remove()

    def gone(self) -> ModelGone:
        """The error that says why the model server does not answer; what is left of it is removed.

        A server that lives and still does not answer (its container is paused, say) keeps everything.
        """
        name, ended = self.record.model, self.directory.ended
        if ended is not None:
            self.end()
            return ModelStopped(f"{name} was {ended}. Load it again with `%load_model {name}`.")
        ending = self._wait_for_ending()
        if ending is None:
            return ModelGone(f"The model server of {name} lives but does not answer. `%stop_model {name}` ends it.")
        tail = self.instance.logs()
        self.end()
        return ModelGone(f"The model server of {name} died ({_cause(ending)}). Load it again. Its last lines:\n{tail}")

    def _wait_for_ending(self) -> Ending | None:
        began = time.monotonic()
        while True:
            with suppress(EngineError):
                if (ending := self.instance.ending()) is not None:
                    return ending
            patience = _LEASH_KNOWS_WITHIN if self.directory.leash_lives else _ENGINE_KNOWS_WITHIN
            if time.monotonic() - began > patience:
                return None
            time.sleep(0.02)


def _cause(ending: Ending) -> str:
    code = ending.exit_code
    if ending.out_of_memory:
        return "the system killed it: out of memory"
    if code is None:
        return "it is gone"
    if code > 128:  # noqa: PLR2004  as shells count: 128 + signal
        with suppress(ValueError):
            return f"signal {signal.Signals(code - 128).name}"
    return f"exit code {code}"


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Keep the stop button from cutting a clean-up in half; it is heard afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.default_int_handler)
        if heard:
            os.kill(os.getpid(), signal.SIGINT)
