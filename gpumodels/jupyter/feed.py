"""The feed: the state of GPUs and models is read once a second and sent to all browsers that watch.

While nobody watches, nothing is read. A browser first gets a snapshot, the whole state, and then the changes. A slow
browser misses changes and gets a new snapshot once it has taken the last message: messages are never queued.
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

_EVERY = 1.0  # seconds between two readings while somebody watches
_FRESH = 0.9  # seconds for which a reading is reused
_QUIET = 5.0  # seconds without a change until the message "alive" is sent
_PATIENCE = 5.0  # seconds that a reading may take before it is reported as trouble
SLOW = "The GPUs and models could not be read for some seconds: the driver or a disk does not answer."

_TEXTS = ("trouble", "docker")
_TABLES = ("devices", "models", "loads", "kernels")


class Viewer:
    """A browser that watches the feed.

    `write` sends it a text and returns a future that is done when the text has been sent.
    """

    def __init__(self, write: Callable[[str], asyncio.Future[None]]) -> None:
        self._write = write
        self._sending: asyncio.Future[None] | None = None
        self.paused = False
        #: True if it may have missed a change, so that its next message must be a snapshot.
        self.behind = True

    @property
    def busy(self) -> bool:
        """True while the last message is still being sent."""
        return self._sending is not None and not self._sending.done()

    def send(self, text: str) -> None:
        """Send a message, unless the connection has been closed."""
        try:
            self._sending = self._write(text)
        except WebSocketClosedError:
            return
        self._sending.add_done_callback(lambda sent: sent.cancelled() or sent.exception())


class Feed:
    """The readings and the browsers that watch them, on one event loop.

    `read` returns the state as of now, as in the schema State of openapi.json. Its errors are sent to the browsers.
    """

    def __init__(self, read: Callable[[], Awaitable[State]], log: Logger) -> None:
        self._read = read
        self._log = log
        self._viewers: set[Viewer] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[State] | None = None
        self._state: State | None = None
        self._read_at = 0.0  # by the monotonic clock
        self._sent: State | None = None  # the state that the viewers have; None if they need a snapshot
        self._sent_at = 0.0  # when the last message was published, by the monotonic clock
        self._troubled = False
        self._snapshot = ""  # the snapshot of `_sent`, made when the first viewer needs it

    async def recent_state(self) -> State:
        """Return the state, at most a second old. Callers share it and must not change it.

        Raises TimeoutError if reading takes longer than five seconds, and the errors of `read`.
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
        """Send the feed to a viewer from now on, a snapshot first. Call this again after a change of `paused`.

        A paused viewer gets nothing.
        """
        viewer.behind = True
        self._viewers.add(viewer)
        if viewer.paused:
            self._stop_if_unwatched()
        elif self._ticking is None:
            self._ticking = asyncio.ensure_future(self._tick())
        elif self._sent is not None and time.monotonic() - self._read_at < 2 * _EVERY:
            self._send(viewer, "")

    def leave(self, viewer: Viewer) -> None:
        """Send nothing more to a viewer."""
        self._viewers.discard(viewer)
        self._stop_if_unwatched()

    def _stop_if_unwatched(self) -> None:
        if self._ticking is not None and not self._watching():
            self._ticking.cancel()
            self._ticking = None

    def _watching(self) -> list[Viewer]:
        return [viewer for viewer in self._viewers if not viewer.paused]

    async def _tick(self) -> None:
        self._sent = None  # while nobody watched, nothing was sent
        while True:
            next_at = time.monotonic() + _EVERY
            try:
                self._publish(await self.recent_state())
            except TimeoutError:
                self._publish_trouble(SLOW)
            except GpumodelsError as error:
                self._publish_trouble(str(error))
            except Exception as error:  # noqa: BLE001  (sent to the viewers)
                if not self._troubled:  # logged once, not every second
                    self._log.exception("gpumodels: the state cannot be read")
                message = f"The GPUs and models cannot be read ({type(error).__name__}): see the Jupyter server's log."
                self._publish_trouble(message)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    def _publish(self, state: State) -> None:
        before, self._sent, self._snapshot, self._troubled = self._sent, state, "", False
        text = ""
        if before is None or before["place"] != state["place"]:
            self._require_snapshots()
        elif change := changes(before, state):
            text = _message("change", moment=state["moment"], change=change)
        elif time.monotonic() - self._sent_at >= _QUIET:
            text = _message("alive", moment=state["moment"])
        if text or before is None:
            self._sent_at = time.monotonic()
        for viewer in self._watching():
            self._send(viewer, text)

    def _send(self, viewer: Viewer, text: str) -> None:
        """Send a viewer `text`, or a snapshot if the viewer is behind. If `text` is "", at most send the snapshot.

        A busy viewer gets nothing. If it misses a text by that, it is behind from then on.
        """
        if viewer.busy:
            viewer.behind = viewer.behind or bool(text)
        elif viewer.behind:
            viewer.behind = False
            self._snapshot = self._snapshot or _message("snapshot", state=self._sent)
            viewer.send(self._snapshot)
        elif text:
            viewer.send(text)

    def _publish_trouble(self, message: str) -> None:
        self._sent, self._troubled = None, True
        for viewer in self._watching():
            viewer.behind = True
            if not viewer.busy:
                viewer.send(_message("trouble", message=message))

    def _require_snapshots(self) -> None:
        for viewer in self._viewers:
            viewer.behind = True


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> State:
    """Return the changes between two states: texts, entries of tables by key, and new events.

    An entry that is gone is None. See the schema Change of openapi.json.
    """
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
