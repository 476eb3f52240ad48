"""One reading a second of GPUs and models, for all who watch: it sleeps while nobody does.

Each who watches gets the whole state first and then what changes. Who takes a message slower than the next one comes
gets the whole state again, when that one has gone: nothing is queued.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from tornado.websocket import WebSocketClosedError

from gpumodels.errors import GpumodelsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from logging import Logger

State = dict[str, Any]

_EVERY = 1.0  # seconds between two readings, while somebody watches
_FRESH = 0.9  # seconds for which a reading is good for all who ask
_QUIET = 5.0  # seconds without a change after which it is said that there is none
_PATIENCE = 5.0  # seconds that a reading may take before those who watch are told so
SLOW = "The GPUs and models could not be read for some seconds: the driver or a disk does not answer."

_TEXTS = ("trouble", "docker")
_TABLES = ("devices", "models", "loads", "kernels")


class Viewer:
    """One who watches, by `write`, which sends a text and returns a future that is done when it has gone."""

    def __init__(self, write: Callable[[str], asyncio.Future[None]]) -> None:
        self._write = write
        self._sending: asyncio.Future[None] | None = None
        self.paused = False
        #: Whether something may have been missed, so that only the whole state will do.
        self.behind = True

    @property
    def busy(self) -> bool:
        """Whether the last message is still on its way."""
        return self._sending is not None and not self._sending.done()

    def send(self, text: str) -> None:
        """Send it; who has gone meanwhile is not told."""
        try:
            self._sending = self._write(text)
        except WebSocketClosedError:
            return
        self._sending.add_done_callback(lambda sent: sent.cancelled() or sent.exception())


class Feed:
    """`read` gives the state as of now, with a `moment` and a `place`; what it raises is told. Lives on one loop."""

    def __init__(self, read: Callable[[], Awaitable[State]], log: Logger) -> None:
        self._read = read
        self._log = log
        self._viewers: set[Viewer] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[State] | None = None
        self._state: State | None = None
        self._read_at = 0.0  # by the monotonic clock
        self._told: State | None = None  # what those who watch know
        self._told_at = 0.0
        self._troubled = False
        self._whole = ""  # the message with all of `_told`, once somebody needs it

    async def look(self) -> State:
        """The state, at most a second old; not to be changed.

        Raises TimeoutError where it is not had in five seconds, and what reading it raises.
        """
        if self._state is not None and time.monotonic() - self._read_at < _FRESH:
            return self._state
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._read_now())
            self._reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.wait_for(asyncio.shield(self._reading), _PATIENCE)

    async def _read_now(self) -> State:
        began = time.monotonic()
        self._state = await self._read()
        self._read_at = began
        return self._state

    def join(self, viewer: Viewer) -> None:
        """From now on `viewer` is told, unless it is paused: the whole state first."""
        viewer.behind = True
        self._viewers.add(viewer)
        if viewer.paused:
            self._rest()
        elif self._ticking is None:
            self._ticking = asyncio.ensure_future(self._tick())
        elif self._told is not None and time.monotonic() - self._read_at < 2 * _EVERY:
            self._give(viewer, "")

    def leave(self, viewer: Viewer) -> None:
        """Tell it no more."""
        self._viewers.discard(viewer)
        self._rest()

    def _rest(self) -> None:
        if self._ticking is not None and not self._watching():
            self._ticking.cancel()
            self._ticking = None

    def _watching(self) -> list[Viewer]:
        return [viewer for viewer in self._viewers if not viewer.paused]

    async def _tick(self) -> None:
        self._told = None  # nobody was told while nobody watched
        while True:
            next_at = time.monotonic() + _EVERY
            try:
                self._tell(await self.look())
            except TimeoutError:
                self._trouble(SLOW)
            except GpumodelsError as error:
                self._trouble(str(error))
            except Exception as error:  # noqa: BLE001  whoever watches is told
                if not self._troubled:  # once, not every second
                    self._log.exception("gpumodels: the state cannot be read")
                self._trouble(f"The GPUs and models cannot be read ({type(error).__name__}); the log tells more.")
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    def _tell(self, state: State) -> None:
        before, self._told, self._whole, self._troubled = self._told, state, "", False
        text = ""
        if before is None or before["place"] != state["place"]:
            self._miss()
        elif change := changes(before, state):
            text = _message("change", moment=state["moment"], change=change)
        elif time.monotonic() - self._told_at >= _QUIET:
            text = _message("alive", moment=state["moment"])
        if text or before is None:
            self._told_at = time.monotonic()
        for viewer in self._watching():
            self._give(viewer, text)

    def _give(self, viewer: Viewer, text: str) -> None:
        if viewer.busy:
            viewer.behind = viewer.behind or bool(text)
        elif viewer.behind:
            viewer.behind = False
            self._whole = self._whole or _message("snapshot", state=self._told)
            viewer.send(self._whole)
        elif text:
            viewer.send(text)

    def _trouble(self, message: str) -> None:
        self._told, self._troubled = None, True
        for viewer in self._watching():
            viewer.behind = True
            if not viewer.busy:
                viewer.send(_message("trouble", message=message))

    def _miss(self) -> None:
        for viewer in self._viewers:
            viewer.behind = True


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> State:
    """What is other than `before`: texts, values of tables (None for those that are gone), and events that are new."""
    found: State = {name: after[name] for name in _TEXTS if before[name] != after[name]}
    for name in _TABLES:
        old, new = before[name], after[name]
        table = {key: value for key, value in new.items() if key not in old or old[key] != value}
        table |= dict.fromkeys(key for key in old if key not in new)
        if table:
            found[name] = table
    if events := [event for event in after["events"] if event not in before["events"]]:
        found["events"] = events
    return found


def _message(kind: str, **parts: Any) -> str:
    return json.dumps({"type": kind, **parts})
