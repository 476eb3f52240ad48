"""A load, end to end: find, place, prepare, take the lease, start, wait; on any failure all is undone."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpumodels import catalog, devices, engines
from gpumodels.engines.base import LaunchPlan
from gpumodels.errors import (
    BaseImageUnavailable,
    DeviceError,
    EngineError,
    EngineUnavailable,
    LeaseUnseen,
    LoadCancelled,
    LoadTimeout,
)
from gpumodels.lease import guard
from gpumodels.lease.locks import flocked
from gpumodels.lease.record import InstanceRecord
from gpumodels.lease.runtime import RuntimeDirectory
from gpumodels.manager import instances, owner, serving
from gpumodels.manager.ahead import import_ahead
from gpumodels.manager.holdings import holder, promised
from gpumodels.manager.reporting import Report, SilentReport
from gpumodels.manager.request import Request, check
from gpumodels.manager.serving import Door
from gpumodels.manager.sweeping import wait_for_endings
from gpumodels.manager.watch import Watch
from gpumodels.model import Hold, Model
from gpumodels.model.hold import uninterrupted

if TYPE_CHECKING:
    from gpumodels.catalog.spec import ModelSpec
    from gpumodels.devices import Device
    from gpumodels.engines.base import Engine, Instance

#: How long a load waits, in seconds, for the memory of instances that are ending.
_ENDINGS_WITHIN = 10.0
_MEMORY_ASKED_EVERY = 0.1  # seconds
#: How long, in seconds, the address of a model that was just stopped may still be taken.
_FREED_WITHIN = 1.0
_DEFAULT_TIMEOUT = 600.0

Gpu = int | str | Sequence[int | str] | None


def load(
    model: str | Path,
    *,
    gpu: Gpu = "auto",
    engine: str = "auto",
    timeout: float = _DEFAULT_TIMEOUT,
    env: Mapping[str, str] | None = None,
    cache: bool = True,
    serve: str | None = None,
    in_place_of: Model | None = None,
    report: Report | None = None,
) -> Model:
    """Load a model and wait until it is ready.

    `model` is a name of the catalog or a path of a model folder. `gpu`: an index, a UUID or a prefix of one,
    several ("0,1"), "auto", "auto:2" or "none". `engine`: "docker", "process" or "auto" (docker where it can be
    used). `timeout` in seconds is for starting and loading, not for building. `env` are environment settings of the
    model server. With `cache=False` the image or environment is built anew. `serve`: "HOST:PORT" of this machine's own,
    such as "127.0.0.1:8001" (port 0: a free one), where the model answers tritonclient as well; `model.endpoint` has
    the token. `in_place_of`: a model that this one replaces; it is returned as it is if it already is what is asked
    for, and stopped before the new one starts if not.

    Raises ModelNotFound, ModelFolderError, DeviceError, EngineError, WeightsError, LoadRefused, LoadFailed,
    LoadTimeout or LoadCancelled; nothing of the load is then left.
    """
    check(model, engine, timeout, {} if env is None else env)
    address = serving.normal(model, serve)
    import_ahead()
    loading = _Loading(report or SilentReport(), gpu, timeout, dict(env or {}), address, fresh=not cache)
    try:
        return loading.run(model, engine, in_place_of)
    except LoadCancelled:
        raise
    except KeyboardInterrupt:
        raise LoadCancelled(f"{model}: cancelled, nothing left") from None


class _Loading:
    """One load under way."""

    def __init__(
        self, report: Report, gpu: Gpu, timeout: float, env: dict[str, str], serve: str, *, fresh: bool
    ) -> None:
        self.report = report
        self.gpu = gpu
        self.timeout = timeout
        self.env = env
        self.serve = serve
        self.fresh = fresh
        self.began = time.monotonic()
        self.asked = ""
        #: Until when memory that is lacking may still be on its way back from an instance that is ending.
        self.memory_deadline = self.began

    def run(self, model: str | Path, engine_name: str, replaced: Model | None) -> Model:
        spec = catalog.find(model)
        self.asked = str(model)
        request = Request.of(spec, str(self.gpu), engine_name, self.env, self.serve)
        if replaced is not None and not self.fresh and _is_what_is_asked_for(replaced, request):
            return replaced
        with contextlib.closing(Door(spec.name, self.serve)) as self.door:
            return self._load(spec, request, engine_name, replaced)

    def _load(self, spec: ModelSpec, request: Request, engine_name: str, replaced: Model | None) -> Model:
        if replaced is None or not _is_at(replaced, self.door):
            self.door.open()
        self.runtime = RuntimeDirectory()
        guard.ensure("gpumodels.manager.guard", self.runtime.path)
        instances.handles()  # lets go of those that died or were stopped elsewhere
        freeing = wait_for_endings(self.runtime, _ENDINGS_WITHIN)
        chosen = self._select(spec)
        if not chosen and str(self.gpu).startswith("auto"):
            self.report.notice(f"{spec.name} runs on the CPU: {devices.why_none()}")
        prepared = self._prepare(spec, engine_name, gpu=bool(chosen))
        weights = self._weights(spec, prepared.engine)
        if replaced is not None and replaced.alive:
            freeing = True
            replaced.stop()
        self.door.open(within=_FREED_WITHIN)
        try:
            self.memory_deadline = time.monotonic() + (_ENDINGS_WITHIN if freeing else 0)
            return self._start(spec, request, prepared, weights)
        except LeaseUnseen as error:
            if engine_name != "auto" or prepared.engine.name == "process":
                raise
            self.report.notice(f"{spec.name} runs in a local process. {error}")
            prepared = self._prepared_by("process", spec, gpu=bool(chosen))
            return self._start(spec, request, prepared, weights)

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
        return _Prepared(engine, engine.prepare(spec, "gpu" if gpu else "cpu", self.report.progress, fresh=self.fresh))

    def _start(self, spec: ModelSpec, request: Request, prepared: _Prepared, weights: Path | None) -> Model:
        hold = None
        began = time.monotonic()
        self.report.progress(f"starting {spec.name}", None)
        try:
            while hold is None:
                with uninterrupted():  # so that an instance that is made is known here, and can be undone
                    chosen, hold = self._place(spec, prepared.engine)
                time.sleep(0 if hold else _MEMORY_ASKED_EVERY)
            model = self._run_to_ready(spec, prepared, weights, chosen, hold, began)
            model.request = request
            instances.remember(model)  # before anything can interrupt: somebody must be able to stop it
            return model  # noqa: TRY300  an interrupt up to here undoes all
        except BaseException:
            if hold is not None:
                hold.end()
            raise

    def _place(self, spec: ModelSpec, engine: Engine) -> tuple[tuple[Device, ...], Hold | None]:
        """Choose the devices and record the choice in one step, so that two loads cannot take the same free memory.

        No hold is returned where memory is lacking that an ending instance may yet give back: ask again.
        """
        with flocked(self.runtime.path / ".placement", exclusive=True):
            try:
                chosen = self._select(spec, needed=spec.memory)
            except DeviceError as error:
                if time.monotonic() < self.memory_deadline:
                    return (), None
                advice = "Stop what is no longer needed (`%models` lists your models), or name another GPU."
                raise DeviceError(f"{error} {advice}") from None
            record = self._record(spec, engine, chosen)
            directory, lease = self.runtime.create(record, engine.instance_user)
            shared = self.runtime.make_shared_memory(record.id, engine.instance_user)
        record = record.with_(shared_memory=shared)  # the hold's record says all that a failed load has to remove
        return chosen, Hold(record, directory, lease, engine.attach(record, directory))

    def _select(self, spec: ModelSpec, needed: int = 0) -> tuple[Device, ...]:
        running = instances.running(self.runtime)
        try:
            return devices.select(self.gpu, needed=needed, promised=promised(running), holder=holder(running))
        except DeviceError as error:
            raise DeviceError(f"{spec.name} cannot be placed. {error}") from None

    def _run_to_ready(
        self,
        spec: ModelSpec,
        prepared: _Prepared,
        weights: Path | None,
        chosen: tuple[Device, ...],
        hold: Hold,
        began: float,
    ) -> Model:
        current = hold.record
        hold.directory.write(current)
        plan = LaunchPlan(
            spec, current, hold.directory, prepared.name, self.runtime.identity, chosen, weights, self.env,
            self.door.token,
        )  # fmt: skip

        def note(reference: dict[str, Any]) -> None:
            nonlocal current
            current = current.with_(engine_ref=reference)
            hold.directory.write(current)

        instance = prepared.engine.start(plan, note)
        from gpumodels.client import Client  # noqa: PLC0415

        client = Client(
            hold.directory.socket, Path(current.shared_memory) if current.shared_memory else None, spec.name
        )
        try:
            client.wait_ready(began + self.timeout, Watch(self.report, spec.name, instance, began).check)
            signature = client.signature()
            endpoint = self.door.serve(hold)
        except BaseException as error:
            client.close()
            if isinstance(error, TimeoutError):
                raise LoadTimeout(self._too_slow(spec.name, instance)) from None
            raise
        hold.directory.write(current.with_(state="ready"))
        ready = Hold(current.with_(state="ready"), hold.directory, hold.lease, instance)
        model = Model(ready, client, signature, time.monotonic() - self.began)
        model.endpoint = endpoint
        return model

    def _record(self, spec: ModelSpec, engine: Engine, chosen: tuple[Device, ...]) -> InstanceRecord:
        from gpumodels import __version__  # noqa: PLC0415

        return InstanceRecord(
            id=f"{re.sub(r'[^a-z0-9]+', '-', spec.name)}-{secrets.token_hex(5)}",
            model=spec.name,
            engine=engine.name,
            owner=owner.current(),
            created=time.time(),
            asked=self.asked,
            devices=tuple(
                {"uuid": each.uuid, "index": each.index, "name": each.name, "label": each.label} for each in chosen
            ),
            grace=spec.grace,
            memory=spec.memory,
            nonce=secrets.token_hex(16),
            gpumodels=__version__,
        )

    def _too_slow(self, name: str, instance: Instance) -> str:
        return (
            f"{name} was not ready within {self.timeout:g} s, so it was stopped. Give it more time with `--timeout`. "
            f"Its last lines:\n{instance.logs()}"
        )


def _is_what_is_asked_for(model: Model, request: Request) -> bool:
    answers = model.endpoint is None or model.endpoint.alive
    return model.alive and model.request == request and answers


def _is_at(model: Model, door: Door) -> bool:
    """Whether the model answers at that address, which will be free when it is stopped."""
    return model.alive and model.endpoint is not None and model.endpoint.address == door.address


@dataclass(frozen=True)
class _Prepared:
    """An engine and what it prepared."""

    engine: Engine
    name: str
