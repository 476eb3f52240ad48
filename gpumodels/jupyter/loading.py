"""Loads in the Jupyter server's own process, which holds the models until they are stopped or the server ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

from gpumodels.errors import LoadCancelled
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger


class Loading:
    """The loads of this process that are in progress, by id."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._in_flight: dict[str, _Report] = {}

    async def begin(self, model: str, options: dict[str, Any]) -> str:
        """Begin a load in a thread. Return its id once the load has made its first progress.

        `options` are those of `gpumodels.load`. Raises the errors of the load that come before its first progress.
        """
        load_id = await in_thread(_new_id, model)
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[None] = loop.create_future()

        def report_start(error: BaseException | None = None) -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_settle, begun, error)

        report = self._in_flight[load_id] = _Report(report_start)
        Thread(target=self._load, args=(load_id, report, model, options), name="gpumodels load", daemon=True).start()
        await begun
        return load_id

    def cancel(self, load_id: str) -> bool:
        """Cancel a load at its next step. Return False if no load with that id is in progress here."""
        report = self._in_flight.get(load_id)
        if report is not None:
            report.cancelled = True
        return report is not None

    def _load(self, load_id: str, report: _Report, model: str, options: dict[str, Any]) -> None:
        from gpumodels.instances import dismiss_load  # noqa: PLC0415  (imported at the first load)
        from gpumodels.loading import load  # noqa: PLC0415

        try:
            loaded = load(model, report=report, load_id=load_id, **options)
            if report.cancelled:
                loaded.stop("the sidebar")
            report.report_start()
        except LoadCancelled:
            report.report_start()
        except BaseException as error:  # noqa: BLE001  (passed to `begin`, or else logged and in the load's journal)
            if report.began:
                self._log.warning("gpumodels: %s could not be loaded: %s", model, error)
            else:
                with suppress(Exception):  # the response reports the error
                    dismiss_load(load_id)
            report.report_start(error)
        finally:
            del self._in_flight[load_id]


class _Report:
    """The report of a load of this process. It notices the first progress, and cancels the load if that is requested.

    The load's journal publishes everything else.
    """

    def __init__(self, report_start: Callable[..., None]) -> None:
        self.report_start = report_start
        self.began = False
        self.cancelled = False

    def progress(self, text: str, fraction: float | None) -> None:  # noqa: ARG002
        if self.cancelled:
            raise KeyboardInterrupt
        if not self.began:
            self.began = True
            self.report_start()

    def notice(self, text: str) -> None:
        """Do nothing: the load's journal publishes it."""

    def end(self, text: str) -> None:
        """Do nothing: the load's journal publishes it."""


def _new_id(model: str) -> str:
    from gpumodels.instances import new_load_id  # noqa: PLC0415

    return new_load_id(model)


def _settle(begun: asyncio.Future[None], error: BaseException | None) -> None:
    if begun.done():
        return
    if error is None:
        begun.set_result(None)
    else:
        begun.set_exception(error)
