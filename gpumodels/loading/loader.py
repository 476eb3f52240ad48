"""`Loader`: one load from its request to the handle. If any step fails, all steps are undone."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gpumodels import catalog, devices, engines
from gpumodels.cleanup import ensure_guard, start_keeper, wait_for_endings
from gpumodels.engines import LaunchPlan, artifacts
from gpumodels.errors import (
    BaseImageUnavailable,
    EngineError,
    EngineUnavailable,
    LeaseUnseen,
    LoadRefused,
    LoadTimeout,
)
from gpumodels.instances import handles, models
from gpumodels.lease import uninterrupted
from gpumodels.loading import reuse
from gpumodels.loading.liveness import Liveness
from gpumodels.loading.no_room import check_limit
from gpumodels.loading.placement import Overtaken, Placement
from gpumodels.loading.request import LoadKey
from gpumodels.loading.serving import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpumodels.client import Client
    from gpumodels.devices import Device
    from gpumodels.engines import Artifact, ArtifactName, Engine
    from gpumodels.lease import InstanceRecord, RuntimeDirectory
    from gpumodels.loading.journal import LoadJournal
    from gpumodels.loading.request import LoadRequest
    from gpumodels.model import Attachment, Model, Report
    from gpumodels.settings import Settings

    #: The function that creates the handle of the loaded instances. If it raises, the load is undone.
    Make = Callable[[LoadRequest, LoadKey, list[Attachment]], Model]

#: Seconds that a load waits for the memory of instances that are ending.
_ENDINGS_WITHIN = 10.0
_POLL = 0.1  # seconds between two attempts to place
#: Seconds that a load waits until a model that was just stopped has given up the address of its `--serve`.
_FREED_WITHIN = 1.0


@dataclass(frozen=True)
class _Prepared:
    """An engine, the name of the image or environment that it prepared, and the files that instances see."""

    engine: Engine
    name: str
    artifacts: dict[ArtifactName, Artifact]


class Loader:
    """One load in progress."""

    def __init__(
        self,
        request: LoadRequest,
        runtime: RuntimeDirectory,
        settings: Settings,
        journal: LoadJournal,
        report: Report | None = None,
        siblings: Sequence[InstanceRecord] | None = None,
    ) -> None:
        """Create the load of a request.

        `report` shows the load; the default is the journal. If `siblings`, the running replicas of a handle, are given,
        one more replica is started. Otherwise all replicas of the request are started.
        """
        self.request = request
        self.runtime = runtime
        self.settings = settings
        self.journal = journal
        self.report = report or journal
        self.siblings = list(siblings or ())
        self.reloads = siblings is not None
        self.count = 1 if self.reloads else request.replicas
        self.began = time.monotonic()

    def run(self, make: Make, replaced: Model | None, adopt: Callable[[LoadKey], bool]) -> Model:
        """Load the model in place of `replaced`, and return its handle.

        `adopt(key)` returns True if `replaced` was loaded with an equal key, and then gives `replaced` the new request.
        Then `replaced` is returned, woken if it slept, and nothing else is loaded.
        """
        request = self.request
        self.spec = spec = catalog.find(request.model, self.settings)
        self.content = catalog.content_hash(spec)
        self.key = LoadKey.of(spec, self.content, request)
        self.fingerprint = self.key.fingerprint
        if request.fingerprint not in ("", self.fingerprint):
            raise LoadRefused(
                f"{spec.name} was loaded elsewhere, with settings that are not known here, or its folder has changed "
                f"since. Load it again with `%load_model {request.model}`."
            )
        self._make = make
        if replaced is not None and request.cache and _is_usable(replaced) and adopt(self.key):
            if request.keep is not None:
                reuse.keep(self.runtime, replaced.record, request.keep)
            replaced.wake(self.report)
            return replaced
        with contextlib.ExitStack() as stack:
            self.listener = stack.enter_context(Listener(spec.name, request.serve)) if request.serve else None
            stack.enter_context(catalog.using_cache())
            return self._load(replaced)

    def _load(self, replaced: Model | None) -> Model:
        self.journal.begin(self.spec.name)
        if self.listener is not None and (replaced is None or not _is_at(replaced, self.listener)):
            self.listener.open()
        ensure_guard(self.runtime)
        handles()  # this cleans up models that died or were stopped elsewhere
        freeing = wait_for_endings(self.runtime, _ENDINGS_WITHIN)
        self.placement = Placement(
            self.request, self.spec, self.fingerprint, self.runtime, self.journal, self.settings.placement
        )
        engine = engines.engine(engines.FIRST if self.request.engine == "auto" else self.request.engine)
        chosen, running = self.placement.preview(engine)
        if (joined := self._reuse(running, replaced)) is not None:
            return joined
        gpu = bool(chosen) or (engine.places_itself and self.request.gpu.count > 0)
        if not gpu and self.request.gpu.is_auto:
            self.report.notice(f"{self.spec.name} runs on the CPU: {devices.why_none()}")
        if self.request.memory is not None:
            check_limit(self.spec.name, self.request, chosen, self.report)
        prepared = self._prepare(engine, gpu=gpu)
        if replaced is not None:
            freeing = freeing or replaced.alive
            replaced.stop()
        if self.listener is not None:
            self.listener.open(within=_FREED_WITHIN)
        try:
            self.placement.deadline = time.monotonic() + (_ENDINGS_WITHIN if freeing else 0)
            return self._start_or_join(prepared)
        except LeaseUnseen as error:
            if not self._may_fall_back(prepared.engine):
                raise
            return self._start_or_join(self._fall_back(prepared.engine, error, gpu=gpu))

    def _reuse(self, record: InstanceRecord | None, replaced: Model | None) -> Model | None:
        """Return the model on the running instance if it is kept, or if the request has `share`. Else return None."""
        if record is None or (replaced is not None and replaced.is_called(record.id)):
            return None
        if not self.request.share and record.keep is None:
            self.report.notice(reuse.advice(record))
            return None
        if replaced is not None:
            replaced.stop()
        return self._join(record)

    def _join(self, record: InstanceRecord) -> Model | None:
        """Return the model on a running instance, or None if the instance has just ended."""
        mine = next((model for model in models() if model.alive and model.is_called(record.id)), None)
        if mine is not None and self.reloads:  # another handle of this process: from now on both use one attachment
            shared = [each.attachment for each in mine.replicas if each.record.id == record.id]
            return self._make(self.request, self.key, shared[:1])
        if mine is not None:
            return mine
        request = self.request
        if request.keep is None and record.keep is not None:
            request = replace(request, keep=record.keep)  # so that the instance is kept again after it slept

        def make(attachment: Attachment) -> Model:
            return self._make(request, self.key, [attachment])

        joined = reuse.join(self.runtime, record, request.timeout, self.report, make)
        if joined is not None and request.keep is not None:
            reuse.keep(self.runtime, joined.record, request.keep)
        return joined

    def _start_or_join(self, prepared: _Prepared) -> Model:
        while True:
            try:
                return self._start(prepared)
            except Overtaken as other:
                if (joined := self._join(other.record)) is not None:
                    return joined

    def _prepare(self, engine: Engine, *, gpu: bool) -> _Prepared:
        """Build the image or environment of the model. With `auto`, fall back to the next engine, with a notice."""
        try:
            return self._prepared_by(engine, gpu=gpu)
        except (EngineUnavailable, BaseImageUnavailable) as error:
            if not self._may_fall_back(engine):
                raise
            return self._fall_back(engine, error, gpu=gpu)

    def _may_fall_back(self, engine: Engine) -> bool:
        return self.request.engine == "auto" and engine.fallback != ""

    def _fall_back(self, engine: Engine, error: EngineError, *, gpu: bool) -> _Prepared:
        fallback = engines.engine(engine.fallback)
        self.report.notice(f"{self.spec.name} runs in {fallback.place}. {error}")
        return self._prepare(fallback, gpu=gpu)

    def _prepared_by(self, engine: Engine, *, gpu: bool) -> _Prepared:
        engine.check()
        flavour: catalog.Flavour = "gpu" if gpu else "cpu"
        name = engine.prepare(self.spec, flavour, self.report.progress, fresh=not self.request.cache)
        needed = engine.needs_weights(self.spec)
        weights = catalog.fetch_weights(self.spec, self.report.progress) if needed else None
        return _Prepared(engine, name, artifacts.of_model(self.spec, self.content, weights, baked=engine.bakes))

    def _start(self, prepared: _Prepared) -> Model:
        """Start all replicas and wait until they are ready. If one fails, all are removed."""
        began = time.monotonic()
        self.report.progress(f"starting {self.spec.name}", None)
        self.placement.siblings = list(self.siblings)
        with contextlib.closing(self.placement), contextlib.ExitStack() as undone:
            started = [self._launch(prepared, undone) for _ in range(self.count)]
            checks = [Liveness(each, self.report, began) for each in started]
            clients = [self._wait_ready(each, began, checks, undone) for each in started]
            for attachment, client in zip(started, clients, strict=True):
                self._connect(attachment, client)
            # An interrupt before this line undoes the load. From here on the user has a handle that can stop the model.
            model = self._make(self.request, self.key, started)
            undone.pop_all()
        return model

    def _launch(self, prepared: _Prepared, undone: contextlib.ExitStack) -> Attachment:
        chosen, attachment = self._place(prepared.engine, undone)
        record, directory = attachment.record, attachment.directory
        seen = artifacts.of_instance(record, directory, served=self.listener is not None)
        plan = LaunchPlan(
            self.spec, record, directory, prepared.name, {**prepared.artifacts, **seen}, self.runtime.identity, chosen,
            self.request.env, self.listener.token if self.listener is not None else "",
        )  # fmt: skip

        def note(reference: dict[str, Any]) -> None:
            attachment.record = replace(attachment.record, engine_ref=reference)
            directory.write(attachment.record)

        attachment.instance = prepared.engine.start(plan, note)
        return attachment

    def _place(self, engine: Engine, undone: contextlib.ExitStack) -> tuple[tuple[Device, ...], Attachment]:
        while True:
            with uninterrupted():  # an interrupt in between would leave an instance that is not undone
                if (placed := self.placement.place(engine)) is not None:
                    undone.callback(placed[1].end)
                    return placed
            time.sleep(_POLL)

    def _wait_ready(
        self, attachment: Attachment, began: float, checks: Sequence[Liveness], undone: contextlib.ExitStack
    ) -> Client:
        """Wait until an instance is ready, and return a client of it.

        Raises LoadTimeout if that takes too long, and LoadFailed if an instance of `checks` has ended.
        """
        from gpumodels.client import Client  # noqa: PLC0415

        client = Client(attachment.instance.connector(), attachment.record.model)
        undone.callback(client.close)

        def check() -> None:
            for each in checks:
                each.check()

        try:
            client.wait_ready(began + self.request.timeout, check)
        except TimeoutError:
            raise LoadTimeout(
                f"{attachment.record.model} was not ready within {self.request.timeout:g} s, so it was stopped. Give "
                f"it more time with `--timeout`. Its last lines:\n{attachment.instance.logs()}"
            ) from None
        return client

    def _connect(self, attachment: Attachment, client: Client) -> None:
        endpoint = self.listener.serve(attachment.instance) if self.listener is not None else None
        if attachment.record.keep is not None:
            start_keeper(self.runtime, attachment.record)
        attachment.record = replace(attachment.record, state="ready")
        attachment.directory.write(attachment.record)
        attachment.connect(client, time.monotonic() - self.began, endpoint)


def _is_usable(model: Model) -> bool:
    served = model.endpoint is None or model.endpoint.alive
    return (model.alive or model.asleep) and served


def _is_at(model: Model, listener: Listener) -> bool:
    """Return True if the model is served at the listener's address. The address is then free once it is stopped."""
    return model.alive and model.endpoint is not None and model.endpoint.address == listener.address
