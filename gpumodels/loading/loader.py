"""A load, end to end: find, place, prepare, take the lease, start, wait; on any failure all is undone."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpumodels import catalog, devices, engines
from gpumodels.catalog import use
from gpumodels.cleanup import keeper
from gpumodels.cleanup.sweeping import wait_for_endings
from gpumodels.engines.base import LaunchPlan
from gpumodels.errors import (
    BaseImageUnavailable,
    EngineError,
    EngineUnavailable,
    LeaseUnseen,
    LoadRefused,
    LoadTimeout,
)
from gpumodels.instances import registry
from gpumodels.instances.place import runtime_directory
from gpumodels.lease import guard
from gpumodels.lease.interrupts import uninterrupted
from gpumodels.loading import limits, reuse
from gpumodels.loading.liveness import Watch
from gpumodels.loading.placement import Overtaken, Placing
from gpumodels.loading.request import Request
from gpumodels.loading.serving import Door
from gpumodels.model import Hold, Stay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpumodels.catalog.spec import ModelSpec
    from gpumodels.client import Client
    from gpumodels.devices import Device
    from gpumodels.engines.base import Engine, Instance
    from gpumodels.lease.record import InstanceRecord
    from gpumodels.loading.asked import Asked
    from gpumodels.loading.journal import Noted
    from gpumodels.model import Model

#: How long a load waits, in seconds, for the memory of instances that are ending.
_ENDINGS_WITHIN = 10.0
_MEMORY_ASKED_EVERY = 0.1  # seconds
#: How long, in seconds, the address of a model that was just stopped may still be taken.
_FREED_WITHIN = 1.0


class Starting:
    """One load under way."""

    def __init__(self, asked: Asked, report: Noted, beside: Sequence[InstanceRecord] | None = None) -> None:
        """`beside`: the replicas that there are, where one more is to be started and not all that are asked for."""
        self.asked = asked
        self.beside = list(beside or ())
        self.count = asked.replicas if beside is None else 1
        self.report = report
        self.began = time.monotonic()

    def run(self, made: Callable[[Request, list[Stay]], Model], replaced: Model | None) -> Model:
        """Load, in place of `replaced`; `made` gets what was loaded while all can still be undone."""
        asked = self.asked
        spec = catalog.find(asked.model)
        self.request = Request.of(spec, asked)
        self.mark = reuse.fingerprint(self.request)
        if asked.mark not in ("", self.mark):
            raise LoadRefused(
                f"{spec.name} was loaded elsewhere, with settings that are not known here, or its folder has changed "
                f"since. Load it anew, with `%load_model {asked.model}`."
            )
        self.made: Callable[[list[Stay]], Model] = lambda stays: made(self.request, stays)
        if replaced is not None and not asked.fresh and _is_what_is_asked_for(replaced, self.request):
            replaced.asked = asked
            if asked.keep is not None:
                reuse.keep(runtime_directory(), replaced.record, asked.keep)
            replaced.wake(self.report)
            return replaced
        with contextlib.closing(Door(spec.name, asked.serve)) as self.door, use.using():
            return self._load(spec, replaced)

    def _load(self, spec: ModelSpec, replaced: Model | None) -> Model:
        self.report.note.begin(spec.name)
        if replaced is None or not _is_at(replaced, self.door):
            self.door.open()
        self.runtime = runtime_directory()
        guard.ensure("gpumodels.cleanup.guard", self.runtime)
        registry.handles()  # lets go of those that died or were stopped elsewhere
        freeing = wait_for_endings(self.runtime, _ENDINGS_WITHIN)
        self.placing = Placing(self.asked, spec, self.mark, self.runtime, self.report, self.report.note.concerns)
        chosen = self.placing.choose()
        if (joined := self._joined(chosen, replaced)) is not None:
            return joined
        if not chosen and str(self.asked.gpu).startswith("auto"):
            self.report.notice(f"{spec.name} runs on the CPU: {devices.why_none()}")
        limits.check(spec.name, self.asked, chosen, self.report)
        prepared = self._prepare(spec, self.asked.engine, gpu=bool(chosen))
        weights = self._weights(spec, prepared.engine)
        if replaced is not None:
            freeing = freeing or replaced.alive
            replaced.stop()
        self.door.open(within=_FREED_WITHIN)
        try:
            self.placing.deadline = time.monotonic() + (_ENDINGS_WITHIN if freeing else 0)
            return self._start_or_join(spec, prepared, weights)
        except LeaseUnseen as error:
            if self.asked.engine != "auto" or prepared.engine.name == "process":
                raise
            self.report.notice(f"{spec.name} runs in a local process. {error}")
            prepared = self._prepared_by("process", spec, gpu=bool(chosen))
            return self._start_or_join(spec, prepared, weights)

    def _joined(self, chosen: tuple[Device, ...], replaced: Model | None) -> Model | None:
        """The model on an instance that runs already: one that was kept, or any where sharing was asked for."""
        record = self.placing.running_already(chosen)
        if record is None or (replaced is not None and replaced.is_called(record.id)):
            return None
        if not self.asked.share and record.keep is None:
            self.report.notice(reuse.advice(record))
            return None
        if replaced is not None:
            replaced.stop()
        return self._join(record)

    def _join(self, record: InstanceRecord) -> Model | None:
        """None where it has just ended."""
        mine = next((model for model in registry.models() if model.alive and model.is_called(record.id)), None)
        if mine is not None:
            return mine
        joined = reuse.join(self.runtime, record, self.asked.timeout, self.report, lambda stay: self.made([stay]))
        if joined is not None and self.asked.keep is not None:
            reuse.keep(self.runtime, joined.record, self.asked.keep)
        elif joined is not None and record.keep is not None:
            joined.asked = replace(self.asked, keep=record.keep)  # so that it is kept again when it has slept
        return joined

    def _start_or_join(self, spec: ModelSpec, prepared: _Prepared, weights: Path | None) -> Model:
        while True:
            try:
                return self._start(spec, prepared, weights)
            except Overtaken as other:
                if (joined := self._join(other.record)) is not None:
                    return joined

    def _weights(self, spec: ModelSpec, engine: Engine) -> Path | None:
        return catalog.fetch_weights(spec, self.report.progress) if engine.needs_weights(spec) else None

    def _prepare(self, spec: ModelSpec, engine_name: str, *, gpu: bool) -> _Prepared:
        """Choose the engine and let it build what the model needs; "auto" goes from docker to process, saying why."""
        if engine_name != "auto":
            return self._prepared_by(engine_name, spec, gpu=gpu)
        try:
            return self._prepared_by("docker", spec, gpu=gpu)
        except (EngineUnavailable, BaseImageUnavailable) as error:
            self.report.notice(f"{spec.name} runs in a local process. {error}")
            return self._prepared_by("process", spec, gpu=gpu)

    def _prepared_by(self, name: str, spec: ModelSpec, *, gpu: bool) -> _Prepared:
        engine = engines.engine(name)
        engine.check()
        with contextlib.suppress(EngineError):  # what cannot be swept now is swept another time
            engine.sweep(self.runtime.path, self.runtime.identity)
        return _Prepared(
            engine, engine.prepare(spec, "gpu" if gpu else "cpu", self.report.progress, fresh=self.asked.fresh)
        )

    def _start(self, spec: ModelSpec, prepared: _Prepared, weights: Path | None) -> Model:
        """Start all replicas and wait for them; where one of them fails, none is left."""
        began = time.monotonic()
        self.report.progress(f"starting {spec.name}", None)
        self.placing.beside = list(self.beside)
        with contextlib.closing(self.placing), contextlib.ExitStack() as undone:
            holds = [self._launched(spec, prepared, weights, undone) for _ in range(self.count)]
            watches = [Watch(self.report, spec.name, hold.instance, hold.directory, began) for hold in holds]
            clients = [self._answering(hold, began, watches, undone) for hold in holds]
            # An interrupt up to here undoes all; from here on somebody is able to stop it.
            model = self.made([self._stay(*each) for each in zip(holds, clients, strict=True)])
            undone.pop_all()
        return model

    def _launched(
        self, spec: ModelSpec, prepared: _Prepared, weights: Path | None, undone: contextlib.ExitStack
    ) -> Hold:
        chosen, hold = self._placed(prepared.engine, undone)
        current = hold.record
        hold.directory.write(current)
        plan = LaunchPlan(
            spec, current, hold.directory, prepared.name, self.runtime.identity, chosen, weights, self.asked.env,
            self.door.token,
        )  # fmt: skip

        def note(reference: dict[str, Any]) -> None:
            nonlocal current
            current = current.with_(engine_ref=reference)
            hold.directory.write(current)

        instance = prepared.engine.start(plan, note)
        return replace(hold, record=current, instance=instance)

    def _placed(self, engine: Engine, undone: contextlib.ExitStack) -> tuple[tuple[Device, ...], Hold]:
        while True:
            with uninterrupted():  # so that an instance that is made is known here, and can be undone
                if (placed := self.placing.place(engine)) is not None:
                    undone.callback(placed[1].end)
                    return placed
            time.sleep(_MEMORY_ASKED_EVERY)

    def _answering(self, hold: Hold, began: float, watches: Sequence[Watch], undone: contextlib.ExitStack) -> Client:
        """A client of it, when it is ready; raises where one of those that are watched has died."""
        from gpumodels.client import Client  # noqa: PLC0415

        record = hold.record
        shared = Path(record.shared_memory) if record.shared_memory else None
        client = Client(hold.directory.socket, shared, record.model)
        undone.callback(client.close)

        def check() -> None:
            for watch in watches:
                watch.check()

        try:
            client.wait_ready(began + self.asked.timeout, check)
        except TimeoutError:
            raise LoadTimeout(self._too_slow(record.model, hold.instance)) from None
        return client

    def _stay(self, hold: Hold, client: Client) -> Stay:
        endpoint = self.door.serve(hold)
        if hold.record.keep is not None:
            keeper.start(self.runtime, hold.record)
        ready = replace(hold, record=hold.record.with_(state="ready"))
        ready.directory.write(ready.record)
        return Stay(ready, client, client.signature(), time.monotonic() - self.began, endpoint)

    def _too_slow(self, name: str, instance: Instance) -> str:
        return (
            f"{name} was not ready within {self.asked.timeout:g} s, so it was stopped. Give it more time with "
            f"`--timeout`. Its last lines:\n{instance.logs()}"
        )


def _is_what_is_asked_for(model: Model, request: Request) -> bool:
    answers = model.endpoint is None or model.endpoint.alive
    return (model.alive or model.asleep) and model.request == request and answers


def _is_at(model: Model, door: Door) -> bool:
    """Whether the model answers at that address, which will be free when it is stopped."""
    return model.alive and model.endpoint is not None and model.endpoint.address == door.address


@dataclass(frozen=True)
class _Prepared:
    """An engine and what it prepared."""

    engine: Engine
    name: str
