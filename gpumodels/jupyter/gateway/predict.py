"""`POST predict/NAME`: pictures, fields or JSON in, JSON out; several answers one after another as they come."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels.errors import CallTimeout, GpumodelsError
from gpumodels.jupyter.gateway.base import CallHandler, told
from gpumodels.jupyter.gateway.refused import Refused
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from gpumodels.jupyter.context import ServerContext


@dataclass(frozen=True)
class Way:
    """How answers are told one after another."""

    type: str
    item: str
    failure: str


LINES = Way("application/x-ndjson", "{}\n", "{}\n")
EVENTS = Way("text/event-stream", "data: {}\n\n", "event: error\ndata: {}\n\n")


class PredictHandler(CallHandler):
    """The answer as JSON; see docs/rest.md."""

    def initialize(self, context: ServerContext) -> None:
        super().initialize(context)
        self._began = False
        self._loop = asyncio.get_running_loop()

    async def answer(self) -> None:
        described = self._described()
        gateway, content_type = await self.gateway(), self.request.headers.get("Content-Type", "")
        asked, streams = await self.while_here(in_thread(gateway.asked, self.call, self.received, content_type))
        await self.while_here(gateway.fetch(self.call, asked))
        way = self._way(streams=streams)

        def tell() -> list[str]:
            """All answers, or none where each is sent as it comes."""
            kept = []
            with closing(gateway.texts(self.call, asked, described=described)) as texts:
                for text in texts:
                    kept.append(text) if way is None else self._send(way, text)
            return kept

        try:
            texts = await self.in_turn(tell)
        except GpumodelsError as error:
            if way is None or not self._began:
                raise
            self.write(way.failure.format(json.dumps(told(error))))
        if way is not None:
            self._begin(way)
            self.finish(set_content_type=way.type)
        else:
            self.finish(f"[{', '.join(texts)}]" if asked.several else texts[0])

    def _send(self, way: Way, text: str) -> None:
        """In a thread: until the client has read what came before, so that a slow one holds the model back."""
        sent = asyncio.run_coroutine_threadsafe(self._written(way, text), self._loop)
        left = self.call.deadline - time.monotonic()
        try:
            sent.result(None if left == math.inf else max(0.0, left))
        except TimeoutError:
            self.call.ticket.end()
            raise CallTimeout(f"what {self.call.callee.name} answered was not read in time") from None
        self.call.ticket.check()

    async def _written(self, way: Way, text: str) -> None:
        self._begin(way)
        self.write(way.item.format(text))
        flushed = asyncio.ensure_future(self.flush())
        await asyncio.wait({flushed, self.gone}, return_when=asyncio.FIRST_COMPLETED)
        if not flushed.done():  # which it never is once the connection has ended
            flushed.cancel()

    def _begin(self, way: Way) -> None:
        if not self._began:
            self._began = True
            self.set_header("Content-Type", way.type)
            self.set_header("Cache-Control", "no-cache")
            self.set_header("X-Accel-Buffering", "no")  # a proxy that collects would hold back what is there

    def _way(self, *, streams: bool) -> Way | None:
        accepted = self.request.headers.get("Accept", "")
        if EVENTS.type in accepted:
            return EVENTS
        return LINES if streams or LINES.type in accepted else None

    def _described(self) -> bool:
        arrays = self.get_query_argument("arrays", "lists")
        if arrays not in {"lists", "described"}:
            raise Refused(400, f"arrays must be lists or described, not {arrays!r:.40}")
        return arrays == "described"
