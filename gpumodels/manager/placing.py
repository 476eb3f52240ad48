"""Where one instance goes: its devices are chosen, and the choice is recorded, in one step."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels import devices
from gpumodels.errors import DeviceError
from gpumodels.lease.locks import flocked
from gpumodels.lease.record import InstanceRecord
from gpumodels.manager import holders, instances, owner, sharing
from gpumodels.manager.holdings import holder, promised
from gpumodels.model import Hold
from gpumodels.settings import settings

if TYPE_CHECKING:
    from gpumodels.catalog.spec import ModelSpec
    from gpumodels.devices import Device
    from gpumodels.engines.base import Engine
    from gpumodels.lease.runtime import RuntimeDirectory
    from gpumodels.manager.asked import Asked


class Overtaken(Exception):
    """Another notebook, which loads the same and lets others use it, was placed first."""

    def __init__(self, record: InstanceRecord) -> None:
        super().__init__(record.id)
        self.record = record


@dataclass
class Placing:
    """The placement of one instance of `spec`."""

    asked: Asked
    spec: ModelSpec
    #: The fingerprint of what is asked for.
    mark: str
    runtime: RuntimeDirectory
    #: Until when, by time.monotonic(), memory that is lacking may still be on its way back from one that is ending.
    deadline: float = 0.0

    def choose(self, needed: int = 0) -> tuple[Device, ...]:
        """The devices that would be taken now; raises DeviceError."""
        running = instances.running(self.runtime)
        try:
            return devices.select(
                self.asked.gpu,
                needed=needed,
                promised=promised(running),
                holder=holder(running),
                policy=settings().placement,
            )
        except DeviceError as error:
            raise DeviceError(f"{self.spec.name} cannot be placed. {error}") from None

    def place(self, engine: Engine) -> tuple[tuple[Device, ...], Hold] | None:
        """Choose the devices and record the choice, so that two loads cannot take the same free memory.

        None where memory is lacking that an ending instance may yet give back: ask again. Raises DeviceError, and
        Overtaken where there is by now an instance to join.
        """
        with flocked(self.runtime.path / ".placement", exclusive=True):
            try:
                chosen = self.choose(needed=self.spec.memory)
            except DeviceError as error:
                if time.monotonic() < self.deadline:
                    return None
                advice = "Stop what is no longer needed (`%models` lists your models), or name another GPU."
                raise DeviceError(f"{error} {advice}") from None
            other = self.running_already(chosen)
            if other is not None and (self.asked.share or other.keep is not None):
                raise Overtaken(other)
            record = self._record(engine, chosen)
            directory, lease = self.runtime.create(record, engine.instance_user)
            shared = self.runtime.make_shared_memory(record.id, engine.instance_user)
        holders.sign(directory)
        record = record.with_(shared_memory=shared)  # the hold's record says all that a failed load has to remove
        return chosen, Hold(record, directory, lease, engine.attach(record, directory))

    def running_already(self, chosen: tuple[Device, ...]) -> InstanceRecord | None:
        """An instance of the same on those devices; None where a new one is asked for."""
        return None if self.asked.fresh else sharing.find(self.runtime, self.mark, self.asked, chosen)

    def _record(self, engine: Engine, chosen: tuple[Device, ...]) -> InstanceRecord:
        from gpumodels import __version__  # noqa: PLC0415

        return InstanceRecord(
            id=f"{re.sub(r'[^a-z0-9]+', '-', self.spec.name)}-{secrets.token_hex(5)}",
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
            memory=self.spec.memory,
            nonce=secrets.token_hex(16),
            gpumodels=__version__,
        )
