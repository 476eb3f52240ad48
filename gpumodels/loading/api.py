"""What the user asks for: `load`, `attach`, and the load that wakes a model."""

from __future__ import annotations

import math
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from gpumodels import engines
from gpumodels.errors import LoadCancelled, ModelNotFound
from gpumodels.instances import progress, registry
from gpumodels.instances.memory_limit import OVERSEER
from gpumodels.instances.place import runtime_directory
from gpumodels.instances.progress import SilentReport
from gpumodels.lease import events, guard
from gpumodels.loading import limits, reuse, serving
from gpumodels.loading.asked import Asked, load_line, seconds
from gpumodels.loading.journal import Note, Noted
from gpumodels.loading.loader import Starting
from gpumodels.loading.preload import preload
from gpumodels.loading.request import check, check_replicas
from gpumodels.model import Model
from gpumodels.settings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gpumodels.client import Ticket
    from gpumodels.instances.progress import Report
    from gpumodels.loading.asked import Gpu
    from gpumodels.loading.request import Request
    from gpumodels.model import Replica, Stay


def load(
    model: str | Path,
    *,
    gpu: Gpu = "auto",
    engine: str | None = None,
    timeout: float | str | None = None,
    env: Mapping[str, str] | None = None,
    cache: bool = True,
    serve: str | None = None,
    share: bool = False,
    keep: float | str | None = None,
    idle: float | str | None = None,
    replicas: int = 1,
    evict: bool = False,
    memory: int | str | None = None,
    in_place_of: Model | None = None,
    report: Report | None = None,
    load_id: str = "",
) -> Model:
    """Load a model and wait until it is ready.

    `model` is a name of the catalog or a path of a model folder. `gpu`: an index, a UUID or a prefix of one, several
    ("0,1"), "auto", "auto:2" or "none". `engine`: "docker", "process" or "auto" (docker where it can be used).
    `timeout` ("10m", or seconds) is for starting and loading, not for building. `env` are environment settings of the
    model server. With `cache=False` the image or environment is built anew. `serve`: "HOST:PORT" of this machine's own,
    such as "127.0.0.1:8001" (port 0: a free one), where the model answers tritonclient as well; `model.endpoint` has
    the token. What is not given is as the user's settings say.

    `share`: use a running instance of the same on the same device, whichever notebook loaded it; it ends with the last
    that uses it. `keep`: for how long it outlives those who use it ("5m", "2h", "forever", or seconds); the next load
    of the same takes it up. `idle`: after how long without a call it sleeps ("10m", "never"), which gives its memory
    back until the next call; what is kept for ever does not, unless it is told to.

    `replicas`: so many instances behind the one handle, spread over the GPUs; a call goes to the one with fewest
    calls under way. `evict`: where memory is lacking, put your own idle models to sleep, the least recently called
    first. `memory`: bytes of GPU memory, or "4GiB", that each instance may use.

    `in_place_of`: a model that this one replaces; it is returned as it is if it already is what is asked for, and
    stopped before the new one starts if not. `report` is told how it goes on; `load_id` is the load's id for those who
    look at it meanwhile, see `manager.loads`.

    Raises SettingsError, ModelNotFound, ModelFolderError, DeviceError, EngineError, WeightsError, LoadRefused,
    LoadFailed, LoadTimeout or LoadCancelled; nothing of the load is then left.
    """
    line = load_line(model, {
        "gpu": "none" if gpu is None else gpu, "engine": engine, "timeout": timeout, "serve": serve, "share": share,
        "keep": keep, "idle": idle, "replicas": replicas, "evict": evict, "memory": memory, "no-cache": not cache,
    })  # fmt: skip
    engine = engines.configured() if engine is None else engine
    timeout = _within(model, timeout)
    check(model, engine, timeout, {} if env is None else env)
    check_replicas(model, replicas, {"serve": serve, "share": share, "keep": keep})
    kept = seconds(model, "keep", keep, "forever")
    asked = Asked(
        model=model,
        gpu=gpu,
        engine=engine,
        timeout=timeout,
        env=dict(env or {}),
        serve=serving.normal(model, serve),
        share=share,
        keep=kept,
        idle=_idle(model, idle, kept),
        fresh=not cache,
        replicas=replicas,
        evict=evict,
        memory=limits.limit(model, memory),
        line=line,
    )
    preload()

    def made(request: Request, stays: list[Stay]) -> Model:
        handle = Model(stays, _again)
        handle.asked = replace(asked, model=_anchored(model, request))
        handle.request = request
        _remember(handle)
        _tell_loaded(handle)
        return handle

    note = Note(model, line, load_id)
    starting = Starting(asked, Noted(report or SilentReport(), note))
    try:
        return note.around(lambda: starting.run(made, in_place_of))
    except LoadCancelled:
        raise
    except KeyboardInterrupt:
        raise LoadCancelled(f"{model}: cancelled, nothing left") from None


def attach(wanted: str, *, timeout: float | str | None = None) -> Model:
    """A handle on a model of this user that runs already: by its id, the start of one, or its name.

    The instance then ends with the last process that holds it. `timeout` ("10m", or seconds) is for one that loads.
    Raises ModelNotFound where there is none or several, and what waiting for it raises.
    """
    if not isinstance(wanted, str):
        raise ModelNotFound(f"A running model is named by its id or its name, not by {wanted!r}.")
    timeout = _within(wanted, timeout)
    runtime = runtime_directory()
    record = reuse.named(runtime, wanted)
    for handle in registry.models():
        if handle.is_called(record.id):
            return handle
    guard.ensure("gpumodels.cleanup.guard", runtime)
    asked = Asked(
        record.asked or record.model, engine=record.engine, timeout=timeout, share=True, keep=record.keep,
        idle=record.idle, memory=record.limit,
        mark=record.fingerprint, gpu=",".join(device["uuid"] for device in record.devices) or "none",
        line=record.load_line.strip("`"),
    )  # fmt: skip

    def made(stay: Stay) -> Model:
        handle = Model([stay], _again)
        handle.asked = asked
        _remember(handle)
        return handle

    joined = reuse.join(runtime, record, timeout, SilentReport(), made)
    if joined is None:
        raise ModelNotFound(f"{record.model} ({record.id}) has just ended: load it instead.")
    return joined


def _again(handle: Model, replica: Replica, ticket: Ticket, report: Report | None, silently: bool) -> None:
    """Load again what slept or died: the same, by the same words.

    Without a `report` it has a line of its own where the call is, unless nobody waits for it. It is given up when the
    ticket of the call is.
    """
    shown = report or (progress.Nowhere() if silently else progress.current())
    asked = cast("Asked", handle.asked)
    share = len(handle.replicas) == 1 and (asked.share or handle.was_shared)
    beside = [each.record for each in handle.replicas if each is not replica and each.alive]
    then = f"{handle.name} is started again later" if replica.dead else "it sleeps on"

    def made(request: Request, stays: list[Stay]) -> Model:
        handle.continue_on(replica, *stays)
        handle.request = request
        _remember(handle)
        return handle

    did = "was replaced" if replica.dead else "is awake again"
    note = report.note if isinstance(report, Noted) else Note(handle.name, asked.line)
    if replica.asleep:
        note.concerns(replica.record.id)
    told = Noted(progress.GivenUp(shown, ticket), note)
    starting = Starting(replace(asked, fresh=False, share=share), told, beside)
    try:
        note.around(lambda: starting.run(made, None))
    except (KeyboardInterrupt, CancelledError) as error:
        shown.end(f"{handle.name}: cancelled, {then}")
        if isinstance(error, CancelledError):
            raise
        raise LoadCancelled(f"{handle.name}: cancelled, {then}") from None
    except Exception:
        shown.end(f"{handle.name} was not woken, {then}")
        raise
    text = f"{handle.name} {did} on {replica.record.device}, in {replica.stay.seconds:.1f} s"
    if report is None:
        shown.end(text)
    events.tell(runtime_directory().path, "awake", instance=replica.record.id, model=handle.name, text=text)


def _tell_loaded(handle: Model) -> None:
    several = f" as {len(handle.replicas)} replicas" if len(handle.replicas) > 1 else ""
    text = f"{handle.name} is ready{several} on {handle.device}, in {handle.load_seconds:.1f} s"
    events.tell(runtime_directory().path, "loaded", instance=handle.record.id, model=handle.name, text=text)


def _remember(handle: Model) -> None:
    registry.remember(handle)
    OVERSEER.begin()


def _anchored(model: str | Path, request: Request) -> str | Path:
    """What still names the same when the working directory is another."""
    is_name = isinstance(model, str) and "/" not in model and model[:1] not in "~."
    return model if is_name else request.spec.folder.absolute()


def _within(model: object, timeout: float | str | None) -> float:
    given = seconds(model, "timeout", timeout, "never") if isinstance(timeout, str) else timeout
    return settings().timeout if given is None else given


def _idle(model: object, idle: float | str | None, keep: float | None) -> float | None:
    given = seconds(model, "idle", idle, "never")
    if given is None:  # what is kept does not fall asleep, which would end it, before that time is over
        given = max(settings().idle, keep or 0.0)
    return None if math.isinf(given) else given
