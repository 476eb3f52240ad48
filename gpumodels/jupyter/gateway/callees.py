"""The models that can be called by HTTP, found by name or id, and the connections to them.

A connection does not hold the lease of a model. So the model ends with the processes that loaded it, even during a
call.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpumodels import engines
from gpumodels.client import Client
from gpumodels.errors import EngineError, ModelGone
from gpumodels.instances import handles, read_overview, running, runtime_directory, sleeping
from gpumodels.jupyter.gateway.errors import Refused
from gpumodels.model import NullReport

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from gpumodels.client import Result, Ticket
    from gpumodels.lease import InstanceDirectory, InstanceRecord
    from gpumodels.model import Model
    from gpumodels.signature import Signature

_READY_WITHIN = 5.0  # seconds for a ready model to answer a new connection
_SOON, _LATER = 2, 10  # seconds; the Retry-After of a model that loads, and of one that sleeps


@dataclass(frozen=True)
class Callee:
    """The target of a call: one model, with one or more equal instances."""

    name: str
    #: The key by which the gateway finds the queue for its calls.
    key: tuple[object, ...]
    records: tuple[InstanceRecord, ...]
    #: The handle, if this process loaded the model. Only then the model may be asleep.
    own: Model | None = None


class Callees:
    """The models that can be called now. Many threads may use it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[str, Client] = {}
        self._calls: Counter[str] = Counter()

    def find(self, name: str) -> Callee:
        """Return the model with a name or id. Raises Refused if it is unknown, ambiguous or cannot be called now."""
        mine = [model for model in handles() if model.alive or model.asleep]
        records = running()
        self._forget_ended({record.id for record in records})
        found = _groups([record for record in records if record.state in {"ready", "kept"}], mine)
        wanted = _matching(name, found)
        if len(wanted) == 1:
            return wanted[0]
        if wanted:
            ids = ", ".join(record.id for callee in wanted for record in callee.records)
            raise Refused(409, f"several models are called {name}: use the id of one ({ids})")
        raise _uncallable(name)

    def ready(self) -> list[str]:
        """Return the names of the models that can be called."""
        awake = {record.model for record in running() if record.state in {"ready", "kept"}}
        return sorted(awake | {model.name for model in handles() if model.asleep})

    def signature(self, callee: Callee) -> Signature:
        """Return the signature of a model, without waking it. Raises Refused if its instance has ended."""
        return self._client(self._instance(callee)).signature() if callee.own is None else callee.own.signature

    def answers(self, callee: Callee, inputs: Mapping[str, Any], deadline: float, ticket: Ticket) -> Generator[Result]:
        """Yield each answer to one call. Raises Refused if the instance has ended, and CallError if the call fails.

        `deadline` is by time.monotonic(). `ticket` is the `Ticket` by which another thread cancels the call. If the
        instance ends before the call has begun, make the call once more, on the model that then has this name.
        """
        for may_retry in (True, False):
            record, answered = self._instance(callee), False
            self._count(record.id, 1)
            try:
                left = max(0.001, deadline - time.monotonic())
                for answer in self._client(record).results((), inputs, left, ticket=ticket):
                    answered = True
                    yield answer
            except ModelGone as error:
                self._forget(record.id)
                if answered or error.begun or not may_retry:
                    raise _ended(record) from None
            else:
                return
            finally:
                self._count(record.id, -1)
            callee = self.find(callee.name)

    def _instance(self, callee: Callee) -> InstanceRecord:
        """Return the instance with the fewest calls from this process. Wake the model if it sleeps in this process."""
        if callee.own is not None and not callee.records:
            if callee.own.asleep:
                callee.own.wake(NullReport())
            return callee.own.record
        return min(callee.records, key=lambda record: self._calls[record.id])

    def _count(self, instance_id: str, by: int) -> None:
        with self._lock:
            self._calls[instance_id] += by
            self._calls = +self._calls  # drops the entries that are 0

    def _client(self, record: InstanceRecord) -> Client:
        with self._lock:
            client = self._clients.get(record.id)
        if client is not None:
            return client
        directory = _directory(record)
        try:
            client = Client(engines.attach(record, directory).connector(), record.model)
        except (OSError, EngineError):
            raise _ended(record) from None

        def check_alive() -> None:
            if not directory.leash_lives:
                raise _ended(record)

        try:
            client.wait_ready(time.monotonic() + _READY_WITHIN, check_alive)
        except BaseException:
            client.close()
            raise
        with self._lock:
            return self._clients.setdefault(record.id, client)

    def _forget(self, instance_id: str) -> None:
        with self._lock:
            client = self._clients.pop(instance_id, None)
        if client is not None:
            client.close()

    def _forget_ended(self, live: set[str]) -> None:
        for instance_id in self._clients.keys() - live:
            self._forget(instance_id)


def _groups(records: Sequence[InstanceRecord], mine: Sequence[Model]) -> list[Callee]:
    """Return the models that can be called. Replicas of a model are one callee, and so are equal loads of one owner.

    `records` are the running instances of all processes, and `mine` the handles of this process.
    """
    found: list[Callee] = []
    others = {record.id: record for record in records}
    for model in mine:
        ids = [replica.record.id for replica in model.replicas]
        here = tuple(others.pop(each) for each in ids if each in others)
        if here or model.asleep:
            found.append(Callee(model.name, ("own", id(model)), here, model))
    alike: dict[tuple[object, ...], list[InstanceRecord]] = {}
    for record in others.values():
        alike.setdefault((record.model, record.owner, record.fingerprint or record.id), []).append(record)
    return found + [Callee(same[0].model, key, tuple(same)) for key, same in alike.items()]


def _matching(name: str, callees: Sequence[Callee]) -> list[Callee]:
    """Return the callee that has an instance with the id `name`, or else all callees with that name."""
    for callee in callees:
        for record in callee.records:
            if record.id == name:
                return [replace(callee, records=(record,))]
        if callee.own is not None and not callee.records and callee.own.is_called(name):
            return [callee]
    return [callee for callee in callees if callee.name == name]


def _uncallable(name: str) -> Refused:
    """Return the refusal of a call of `name`, with the reason why no such model can be called now."""
    views = read_overview(measured=False).models
    for view in views:
        record, load, sleep = view.record, view.load, view.sleep
        if name not in {record.model, record.id} or (load is None and sleep is None and record.state != "loading"):
            continue
        if sleep is not None:
            where = record.owner.notebook or f"process {record.owner.pid}"
            wake = f"POST gpumodels/api/models/{record.id}/wake"
            return Refused(503, f"{name} sleeps: it wakes with its next call in {where}, or by {wake}", _LATER)
        step = "" if load is None else f" ({load.text or 'it begins'})"
        return Refused(503, f"{name} is being loaded{step}: try again in a moment", _SOON)
    names = ", ".join(sorted({view.record.model for view in views if view.running})) or "none"
    return Refused(404, f"no running model is called {name:.100}; the running models are: {names}")


def _directory(record: InstanceRecord) -> InstanceDirectory:
    try:
        return runtime_directory().directory(record.id)
    except KeyError:
        raise _ended(record) from None


def _ended(record: InstanceRecord) -> Refused:
    """Return the refusal of a call that was in flight when its instance ended."""
    if any(each.record.id == record.id for each in sleeping()):
        return Refused(503, f"{record.model} fell asleep before it answered: call again", _SOON)
    with suppress(KeyError):
        if (ended := runtime_directory().directory(record.id).ended) is not None:
            return Refused(502, f"{record.model} was {ended} before it answered this call")
    return Refused(502, f"{record.model} ended before it answered this call: load it again with {record.load_line}")
