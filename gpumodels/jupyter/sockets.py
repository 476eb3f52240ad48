"""The WebSocket route of the feed; see `gpumodels.jupyter.feed`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.websocket import WebSocketHandler

from gpumodels.jupyter.feed import Viewer

if TYPE_CHECKING:
    from gpumodels.jupyter.context import ServerContext


class FeedHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """The connection of one browser.

    The browser may send `{"type": "pause"}`, after which it gets no messages, and `{"type": "resume"}`.
    """

    auth_resource = "gpumodels"

    def initialize(self, context: ServerContext) -> None:
        self.context = context
        self.viewer = Viewer(self.write_message)

    def set_default_headers(self) -> None:
        """Set none of Jupyter's default headers, which are for pages. Jupyter's own WebSockets set none either."""

    def get_compression_options(self) -> dict[str, Any] | None:
        """Return the compression that the administrator has set for the WebSockets of kernels."""
        options: dict[str, Any] | None = self.settings.get("websocket_compression_options")
        return options

    @ws_authenticated
    @authorized
    async def get(self, *args: Any, **kwargs: Any) -> None:
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        super().open(*args, **kwargs)
        self.context.feed.join(self.viewer)

    def on_message(self, message: str | bytes) -> None:
        try:
            kind = json.loads(message)["type"]
        except (ValueError, TypeError, KeyError):
            kind = None
        if kind not in ("pause", "resume"):
            self.log.warning(
                "gpumodels: ignored a message to the feed that is neither pause nor resume: %.100r", message
            )
            return
        self.viewer.paused = kind == "pause"
        self.context.feed.join(self.viewer)

    def on_close(self) -> None:
        self.context.feed.leave(self.viewer)
        if self.ping_callback is not None:
            self.ping_callback.stop()
