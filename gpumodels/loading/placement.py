"""Where one instance goes: its devices are chosen, and the choice is recorded, in one step."""

from __future__ import annotations

import re
import secrets
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from gpumodels import devices, presentation
from gpumodels.attribution import colours, peaks
from gpumodels.devices import Full, Need, reservations
from gpumodels.errors import DeviceError
from gpumodels.instances import holders, owner, registry
from gpumodels.instances.progress import SilentReport
from gpumodels.instances.usage import usage
from gpumodels.lease.locks import flocked
from gpumodels.lease.record import InstanceRecord
from gpumodels.loading import eviction, in_flight, reuse
from gpumodels.loading.no_room import refusal
from gpumodels.model import Hold
from gpumodels.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from gpumodels.attribution import Usage
    from gpumodels.catalog.spec import ModelSpec
    from gpumodels.devices import Device
    from gpumodels.engines.base import Engine
    from gpumodels.instances.progress import Report
    from gpumodels.lease.runtime import RuntimeDirectory
    from gpumodels.loading.asked import Asked

#: How long, in seconds, the memory of models that are put to sleep is waited for.
_EVICTED_WITHIN = 15.0


class Overtaken(Exception):
    """Another notebook, which loads the same and lets others use it, was placed first."""

    def __init__(self, record: InstanceRecord) -> None:
        super().__init__(record.id)
        self.record = record


@dataclass
class Placing:
    """Places one instance of `spec` after another; to be closed when they have their memory, or have failed."""

    asked: Asked
    spec: ModelSpec
    #: The fingerprint of what is asked for.
    mark: str
    runtime: RuntimeDirectory
    report: Report = field(default_factory=SilentReport)
    #: Told the id of each instance, before anybody can see that.
    announce: Callable[[str], None] = lambda _: None
    #: Until when, by time.monotonic(), memory that is lacking may still be on its way back from one that is ending.
    deadline: float = 0.0
    #: Replicas that stand behind the same handle: `auto` takes other devices than theirs, where it can.
    beside: list[InstanceRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reserved: list[str] = []
        self._evicted = False

    def choose(self) -> tuple[Device, ...]:
        """The devices that would be taken now, whatever the model needs; raises DeviceError."""
        return self._select(Need())

    def place(self, engine: Engine) -> tuple[tuple[Device, ...], Hold] | None:
        """Choose the devices and record the choice, so that two loads cannot take the same free memory.

        None where memory is lacking that an ending instance, or one put to sleep, may yet give back: ask again. Raises
        DeviceError, and Overtaken where there is by now an instance to join.
        """
        need, lacking = self._need(engine), None
        for wanted in (need, replace(need, insists=False)):  # what was learnt refuses nobody
            try:
                placed = self._placed(engine, wanted)
            except Full as full:
                if time.monotonic() < self.deadline or self._evicts(wanted):
                    return None
                lacking = full
            else:
                if lacking is not None:
                    self.report.notice(
                        f"{self.spec.name} may not fit: it took {presentation.size(lacking.needed)} before"
                    )
                return placed
        raise self._refusal(cast("Full", lacking), need)

    def close(self) -> None:
        """What was placed has its memory by now, or has ended."""
        while self._reserved:
            reservations.release(self._reserved.pop())

    def running_already(self, chosen: tuple[Device, ...]) -> InstanceRecord | None:
        """An instance of the same on those devices; None where a new one is asked for."""
        alone = self.asked.fresh or self.asked.replicas > 1  # replicas are nobody else's
        return None if alone else reuse.find(self.runtime, self.mark, self.asked, chosen)

    def _need(self, engine: Engine) -> Need:
        count = devices.count(self.asked.gpu)
        return Need(self.asked.memory or self.spec.memory, peaks.learnt(self.mark, engine.name, count), insists=True)

    def _placed(self, engine: Engine, need: Need) -> tuple[tuple[Device, ...], Hold]:
        with flocked(self.runtime.path / ".placement", exclusive=True):
            with self._turn():
                chosen = self._select(need)
                other = self.running_already(chosen)
                if other is not None and (self.asked.share or other.keep is not None):
                    raise Overtaken(other)
                record = self._record(engine, chosen)
                self._reserve(record, chosen, need)
            self.announce(record.id)
            directory, lease = self.runtime.create(record, engine.instance_user)
            shared = self.runtime.make_shared_memory(record.id, engine.instance_user)
        self.beside.append(record)
        self._evicted = False
        holders.sign(directory)
        record = record.with_(shared_memory=shared)  # the hold's record says all that a failed load has to remove
        return chosen, Hold(record, directory, lease, engine.attach(record, directory))

    def _turn(self) -> AbstractContextManager[None]:
        """Our turn among all users of the machine, where there is anything to take."""
        return reservations.in_turn() if devices.count(self.asked.gpu) and devices.devices() else nullcontext()

    def _select(self, need: Need, back: Mapping[str, int] = MappingProxyType({})) -> tuple[Device, ...]:
        try:
            claims = in_flight.claims(registry.running(self.runtime), self.beside, back)
            return devices.select(self.asked.gpu, need=need, claims=claims, policy=settings().placement)
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
            reservations.reserve(reservations.Reservation.of_this_process(token, uuids, each, self.asked.timeout))

    def _evicts(self, need: Need) -> bool:
        """Whether models have just been told to sleep so that it fits; once an instance."""
        if not self.asked.evict or self._evicted:
            return False
        chosen = eviction.plan(self._others(usage()), lambda back: self._fits(need, back))
        for each in chosen:
            later = "the next load starts it anew" if each.record.state == "kept" else "its next call wakes it"
            self.report.notice(f"{each} is put to sleep to make room for {self.spec.name}; {later}")
        if chosen:
            eviction.put_to_sleep(chosen)
            self._evicted = True
            self.deadline = time.monotonic() + _EVICTED_WITHIN
        return bool(chosen)

    def _others(self, seen: Usage) -> list[eviction.Idle]:
        """The models of this user that are not of the same handle."""
        mine = {record.id for record in self.beside}
        return [each for each in eviction.look(seen) if each.record.id not in mine]

    def _fits(self, need: Need, back: Mapping[str, int]) -> bool:
        try:
            self._select(need, back)
        except DeviceError:
            return False
        return True

    def _refusal(self, full: Full, need: Need) -> DeviceError:
        seen = usage()
        known = self._others(seen)
        helps = eviction.plan(known, lambda back: self._fits(replace(need, insists=False), back))
        return refusal(self.spec.name, full, seen, known, () if self.asked.evict else helps)

    def _new_id(self) -> str:
        name = re.sub(r"[^a-z0-9]+", "-", self.spec.name)
        running = [record.id for record in registry.running(self.runtime)]
        return colours.distinct(lambda: f"{name}-{secrets.token_hex(5)}", running)

    def _record(self, engine: Engine, chosen: tuple[Device, ...]) -> InstanceRecord:
        from gpumodels import __version__  # noqa: PLC0415

        return InstanceRecord(
            id=self._new_id(),
            model=self.spec.name,
            engine=engine.name,
            owner=owner.current(),
            created=time.time(),
            asked=str(self.asked.model),
            fingerprint=self.mark,
            idle=self.asked.idle,
            keep=self.asked.keep,
            devices=tuple(
                {"uuid": each.uuid, "index": each.index, "name": each.name, "label": each.label} for each in chosen
            ),
            grace=self.spec.grace,
            memory=self.asked.memory or self.spec.memory,
            limit=self.asked.memory,
            nonce=secrets.token_hex(16),
            gpumodels=__version__,
        )
