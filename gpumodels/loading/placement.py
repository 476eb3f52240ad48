"""Placement: choosing the devices of an instance, and recording the choice under one lock.

So two loads at once cannot take the same free memory.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from gpumodels import devices, presentation
from gpumodels.attribution import distinct_id, peaks
from gpumodels.devices import Full, Need, reservations
from gpumodels.errors import DeviceError
from gpumodels.instances import running, sign, usage
from gpumodels.lease import InstanceRecord, flocked
from gpumodels.loading import eviction, in_flight, reuse
from gpumodels.loading.no_room import no_room
from gpumodels.model import Attachment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from gpumodels.attribution import Usage
    from gpumodels.catalog import ModelSpec
    from gpumodels.devices import Device
    from gpumodels.engines import Engine
    from gpumodels.lease import RuntimeDirectory
    from gpumodels.loading.journal import LoadJournal
    from gpumodels.loading.request import LoadRequest
    from gpumodels.settings import Policy

#: Seconds to wait for the memory of models that were put to sleep.
_EVICTED_WITHIN = 15.0


class Overtaken(Exception):
    """The signal that another process has just placed an instance of the same model, which this load can join."""

    def __init__(self, record: InstanceRecord) -> None:
        super().__init__(record.id)
        self.record = record


@dataclass
class Placement:
    """The placement of the instances of one load, one after another.

    Close it once the instances have their memory or have failed.
    """

    request: LoadRequest
    spec: ModelSpec
    fingerprint: str
    runtime: RuntimeDirectory
    journal: LoadJournal
    policy: Policy = "most-free"
    #: The end of the wait for memory that ending or evicted instances may free, by time.monotonic().
    deadline: float = 0.0
    #: The other replicas of the same handle. `auto` prefers devices without them.
    siblings: list[InstanceRecord] = field(default_factory=list)
    _reserved: list[str] = field(default_factory=list, init=False)
    _evicted: bool = field(default=False, init=False)

    def preview(self, engine: Engine) -> tuple[tuple[Device, ...], InstanceRecord | None]:
        """Return the devices that the load would take now, and a running instance of the same model there, or None.

        The memory that the model needs is not considered. Raises DeviceError.
        """
        known = running(self.runtime)
        chosen = self._select(engine, known, Need())
        return chosen, self._running_already(known, chosen)

    def place(self, engine: Engine) -> tuple[tuple[Device, ...], Attachment] | None:
        """Choose the devices and record the choice, so that two loads cannot take the same free memory.

        Return None if memory is lacking that an ending or evicted instance may soon free; then call this again. Raises
        DeviceError, and Overtaken if there is now an instance to join.
        """
        need, lacking = self._need(engine), None
        for wanted in (need, replace(need, insists=False)):  # the peaks of earlier loads alone refuse no load
            try:
                placed = self._placed(engine, wanted)
            except Full as full:
                if time.monotonic() < self.deadline or self._evict(engine, wanted):
                    return None
                lacking = full
            else:
                if lacking is not None:
                    needed = presentation.size(lacking.needed)
                    self.journal.notice(f"{self.spec.name} may not fit: it took {needed} before")
                return placed
        raise self._no_room(engine, cast("Full", lacking), need)

    def close(self) -> None:
        """Release the reservations, because the placed instances have their memory or have ended."""
        while self._reserved:
            reservations.release(self._reserved.pop())

    def _running_already(self, known: list[InstanceRecord], chosen: tuple[Device, ...]) -> InstanceRecord | None:
        """Return a running instance of the same model on those devices. Return None if the load needs a new one."""
        alone = not self.request.cache or self.request.replicas > 1  # replicas are never shared
        return None if alone else reuse.find(known, self.fingerprint, self.request, chosen)

    def _need(self, engine: Engine) -> Need:
        if not self.request.gpu.count:
            return Need()
        learnt = peaks.learnt(self.fingerprint, engine.name, self.request.gpu.count)
        return Need(self.request.memory or self.spec.memory, learnt, insists=True)

    def _placed(self, engine: Engine, need: Need) -> tuple[tuple[Device, ...], Attachment]:
        with flocked(self.runtime.path / ".placement", exclusive=True):
            with self._turn(engine):
                known = running(self.runtime)
                chosen = self._select(engine, known, need)
                other = self._running_already(known, chosen)
                if other is not None and (self.request.share or other.keep is not None):
                    raise Overtaken(other)
                record = self._record(engine, chosen, known)
                self._reserve(record, chosen, need)
            self.journal.add_instance(record.id)
            directory, lease = self.runtime.create(record, engine.instance_user)
            shared = self.runtime.make_shared_memory(record.id, engine.instance_user) if engine.sees_files else ""
        self.siblings.append(record)
        self._evicted = False
        sign(directory, record.owner)
        # The attachment's record must name the shared memory: a failed load removes it by that name.
        record = replace(record, shared_memory=shared)
        return chosen, Attachment(record, directory, lease, engine.attach(record, directory))

    def _turn(self, engine: Engine) -> AbstractContextManager[None]:
        """Return a context in which no other user of the machine chooses a GPU. It is empty if this load needs none."""
        contested = not engine.places_itself and self.request.gpu.count and devices.devices()
        return reservations.in_turn() if contested else nullcontext()

    def _select(
        self,
        engine: Engine,
        known: list[InstanceRecord],
        need: Need,
        freed: Mapping[str, int] = MappingProxyType({}),
    ) -> tuple[Device, ...]:
        if engine.places_itself or not self.request.gpu.count:
            return ()
        try:
            claims = in_flight.claims(known, self.siblings, freed)
            return devices.select(self.request.gpu, need=need, claims=claims, policy=self.policy)
        except Full:
            raise
        except DeviceError as error:
            raise DeviceError(f"{self.spec.name} cannot be placed. {error}") from None

    def _reserve(self, record: InstanceRecord, chosen: tuple[Device, ...], need: Need) -> None:
        if chosen:
            token = in_flight.token(record)
            each = max(map(need.on, chosen)) // len(chosen)
            uuids = [device.uuid for device in chosen]
            self._reserved.append(token)
            reservations.reserve(reservations.Reservation.of_this_process(token, uuids, each, self.request.timeout))

    def _evict(self, engine: Engine, need: Need) -> bool:
        """Put models to sleep so that the instance fits, at most once for each instance.

        Return False if no model was put to sleep.
        """
        if not self.request.evict or self._evicted:
            return False
        chosen = eviction.plan(self._candidates(usage()), lambda freed: self._fits(engine, need, freed))
        for each in chosen:
            later = "the next load starts it again" if each.record.state == "kept" else "its next call wakes it"
            self.journal.notice(f"{each} is put to sleep to make room for {self.spec.name}; {later}")
        if chosen:
            eviction.put_to_sleep(chosen)
            self._evicted = True
            self.deadline = time.monotonic() + _EVICTED_WITHIN
        return bool(chosen)

    def _candidates(self, seen: Usage) -> list[eviction.Candidate]:
        """Return the loaded models of this user, except for replicas of the same handle."""
        mine = {record.id for record in self.siblings}
        return [each for each in eviction.candidates(seen) if each.record.id not in mine]

    def _fits(self, engine: Engine, need: Need, freed: Mapping[str, int]) -> bool:
        try:
            self._select(engine, running(self.runtime), need, freed)
        except DeviceError:
            return False
        return True

    def _no_room(self, engine: Engine, full: Full, need: Need) -> DeviceError:
        seen = usage()
        known, wanted = self._candidates(seen), replace(need, insists=False)
        helps = eviction.plan(known, lambda freed: self._fits(engine, wanted, freed))
        return no_room(self.spec.name, full, seen, known, () if self.request.evict else helps)

    def _record(self, engine: Engine, chosen: tuple[Device, ...], known: list[InstanceRecord]) -> InstanceRecord:
        """Return the record of a new instance. Its id gives it a colour that few of the `known` instances have."""
        from gpumodels._version import __version__  # noqa: PLC0415

        name = re.sub(r"[^a-z0-9]+", "-", self.spec.name)
        candidates = (f"{name}-{secrets.token_hex(5)}" for _ in itertools.count())
        return InstanceRecord(
            id=distinct_id(candidates, [each.id for each in known]),
            model=self.spec.name,
            engine=engine.name,
            owner=self.journal.owner,
            created=time.time(),
            asked=self.request.model,
            fingerprint=self.fingerprint,
            idle=self.request.idle,
            keep=self.request.keep,
            devices=tuple(
                {"uuid": each.uuid, "index": each.index, "name": each.name, "label": each.label} for each in chosen
            ),
            grace=self.spec.grace,
            memory=self.request.memory or self.spec.memory,
            limit=self.request.memory,
            nonce=secrets.token_hex(16),
            gpumodels=__version__,
        )
