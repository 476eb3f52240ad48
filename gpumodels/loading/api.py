"""The functions `load` and `attach`, and the loads that wake a model or restart a replica."""

from __future__ import annotations

from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gpumodels import catalog
from gpumodels.cleanup import ensure_guard
from gpumodels.errors import LoadCancelled, ModelNotFound
from gpumodels.instances import LIMIT_WATCHER, models, remember
from gpumodels.lease import RuntimeDirectory, events
from gpumodels.loading import request as requests
from gpumodels.loading import reuse
from gpumodels.loading.journal import LoadJournal
from gpumodels.loading.loader import Loader
from gpumodels.loading.options import read_timeout
from gpumodels.loading.preloading import preload
from gpumodels.loading.request import LoadKey, LoadRequest
from gpumodels.model import CancellableReport, Model, NullReport, SilentReport, default_report
from gpumodels.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gpumodels.client import Ticket
    from gpumodels.lease import InstanceRecord
    from gpumodels.model import Attachment, Replica, Report


def load(
    model: str | Path,
    *,
    in_place_of: Model | None = None,
    report: Report | None = None,
    load_id: str = "",
    **options: Any,
) -> Model:
    """Load a model and wait until it is ready.

    Parameters
    ----------
    model : str or pathlib.Path
        A name of the catalog, or the path of a model folder.
    {options}
    in_place_of : Model, optional
        A model that this load replaces. If the model and its options have not changed, this model is returned.
        Otherwise it is stopped before the new one starts.
    report : optional
        An object with the methods `progress(text, fraction)`, `notice(text)` and `end(text)`, which show the load. The
        default prints notices on standard error.
    load_id : str
        The id by which other processes know the load. The default is a new id.
    **options
        The options above.

    Returns
    -------
    Model
        The handle of the model.

    Raises
    ------
    LoadRefused, SettingsError, ModelNotFound, ModelFolderError
        An option or setting is not valid, there is no such model, or its folder is faulty.
    DeviceError
        There is no such GPU, or no GPU has enough free memory.
    EngineError, WeightsError
        The engine cannot run the model, or its weights cannot be fetched.
    LoadFailed, LoadTimeout, LoadCancelled
        The model did not become ready. After each of these errors, nothing of the load is left.

    Examples
    --------
    >>> model = gpumodels.load("ctpn", gpu=0)
    >>> model = gpumodels.load("./my_model", gpu="auto:2", idle="10m")

    """
    known = settings()
    request = LoadRequest.of(model, options, known)
    preload()
    runtime = RuntimeDirectory(known.runtime_dir)
    journal = LoadJournal(report or SilentReport(), request.model, request.line, load_id, runtime.path)
    loader = Loader(request, runtime, known, journal)

    def make(request: LoadRequest, key: LoadKey, attachments: list[Attachment]) -> Model:
        handle = Model(attachments, _Loaded(_with_absolute_path(request, key), key))
        _remember(handle, attachments[0].record)
        _log_load(runtime, attachments)
        return handle

    def adopt(key: LoadKey) -> bool:
        if in_place_of is None or not isinstance(in_place_of.origin, _Loaded) or in_place_of.origin.key != key:
            return False
        in_place_of.origin = _Loaded(_with_absolute_path(request, key), key)
        return True

    try:
        return journal.run(partial(loader.run, make, in_place_of, adopt))
    except LoadCancelled:
        raise
    except KeyboardInterrupt:
        raise LoadCancelled(f"{request.model}: cancelled, nothing left") from None


load.__doc__ = (load.__doc__ or "").replace("    {options}\n", requests.parameters_section())
setattr(load, "__signature__", requests.signature(load))  # noqa: B010  mypy knows no such attribute of functions


def attach(name: str, *, timeout: float | str | None = None) -> Model:
    """Return a handle on a running model of this user. Any process may have loaded the model.

    From then on this process uses the model too. The model ends when the last process that uses it ends or stops it.

    Parameters
    ----------
    name : str
        The id of an instance, the start of an id, or the name of a model.
    timeout : float or str, optional
        Time to wait for an instance that is being loaded: "10m", or seconds. The default is in the settings.

    Returns
    -------
    Model
        The handle. If this process has one on that model already, the same handle.

    Raises
    ------
    ModelNotFound
        No running model has that name, or several have.
    LoadFailed, LoadTimeout
        The instance did not become ready.

    Examples
    --------
    >>> model = gpumodels.attach("ctpn")

    """
    if not isinstance(name, str):
        raise ModelNotFound(f"A running model is named by its id or its name, not by {name!r}.")
    known = settings()
    seconds = read_timeout(name, timeout, known)
    runtime = RuntimeDirectory(known.runtime_dir)
    record = reuse.named(runtime, name)
    for handle in models():
        if handle.is_called(record.id):
            return handle
    with catalog.using_cache():  # so that `prune` does not remove the copy of the package for the guard
        ensure_guard(runtime)
    origin = _Loaded(LoadRequest.attaching(record, seconds), None)

    def make(attachment: Attachment) -> Model:
        handle = Model([attachment], origin)
        _remember(handle, attachment.record)
        return handle

    joined = reuse.join(runtime, record, seconds, SilentReport(), make)
    if joined is None:
        raise ModelNotFound(f"{record.model} ({record.id}) has just ended: load it instead.")
    return joined


@dataclass(frozen=True)
class _Loaded:
    """The origin of a model: the request and the key of its load. After `attach` the key is None at first."""

    request: LoadRequest
    key: LoadKey | None

    def reload(
        self, model: Model, replica: Replica, ticket: Ticket, report: Report | None, *, background: bool
    ) -> None:
        """Load a replica again that sleeps or died; see `model.restarts.Reload` for the parameters."""
        shown = report or (NullReport() if background else default_report())
        outcome = f"{model.name} is started again later" if replica.dead else "it sleeps on"
        known = settings()
        runtime = RuntimeDirectory(known.runtime_dir)
        journal = shown if isinstance(shown, LoadJournal) else _journal(model.name, self.request.line, shown, runtime)
        if replica.asleep:
            journal.add_instance(replica.record.id)
        share = len(model.replicas) == 1 and (self.request.share or model.was_shared)
        siblings = [each.record for each in model.replicas if each is not replica and each.alive]
        request = replace(self.request, cache=True, share=share)
        loader = Loader(request, runtime, known, journal, CancellableReport(journal, ticket), siblings)

        def make(_: LoadRequest, key: LoadKey, attachments: list[Attachment]) -> Model:
            model.continue_on(replica, *attachments)
            model.origin = replace(self, key=key)
            _remember(model, attachments[0].record)
            return model

        did = "was replaced" if replica.dead else "is awake again"
        try:
            journal.run(partial(loader.run, make, None, lambda _: False))
        except (KeyboardInterrupt, CancelledError) as error:
            shown.end(f"{model.name}: cancelled, {outcome}")
            if isinstance(error, CancelledError):
                raise
            raise LoadCancelled(f"{model.name}: cancelled, {outcome}") from None
        except Exception:
            shown.end(f"{model.name} was not woken, {outcome}")
            raise
        text = f"{model.name} {did} on {replica.record.device}, in {replica.attachment.seconds:.1f} s"
        if report is None:
            shown.end(text)
        events.log(runtime.path, "awake", instance=replica.record.id, model=model.name, text=text)


def _journal(name: str, line: str, report: Report, runtime: RuntimeDirectory) -> LoadJournal:
    return LoadJournal(report, name, line, runtime=runtime.path)


def _log_load(runtime: RuntimeDirectory, attachments: Sequence[Attachment]) -> None:
    first, several = attachments[0], f" as {len(attachments)} replicas" if len(attachments) > 1 else ""
    placed = ", ".join(dict.fromkeys(each.record.device for each in attachments))
    text = f"{first.record.model} is ready{several} on {placed}, in {first.seconds:.1f} s"
    events.log(runtime.path, "loaded", instance=first.record.id, model=first.record.model, text=text)


def _remember(handle: Model, record: InstanceRecord) -> None:
    """Remember the handle, and watch its GPU memory if the model has a limit."""
    remember(handle)
    if record.limit is not None:
        LIMIT_WATCHER.begin()


def _with_absolute_path(request: LoadRequest, key: LoadKey) -> LoadRequest:
    """Return the request with the absolute path of a model folder, so that the working directory may change."""
    is_name = "/" not in request.model and request.model[:1] not in "~."
    return request if is_name else replace(request, model=str(key.spec.folder.absolute()))
