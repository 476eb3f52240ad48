"""`POST predict/NAME`: calls with pictures, form fields or JSON. Answers are JSON; several are sent one by one."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpumodels.errors import CallTimeout, GpumodelsError
from gpumodels.jupyter.gateway.base import CallHandler, error_json
from gpumodels.jupyter.gateway.errors import Refused
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from gpumodels.jupyter.context import ServerContext


@dataclass(frozen=True)
class StreamFormat:
    """A format of several answers, one after another: its content type, and templates of an answer and of an error."""

    type: str
    item: str
    failure: str


LINES = StreamFormat("application/x-ndjson", "{}\n", "{}\n")
EVENTS = StreamFormat("text/event-stream", "data: {}\n\n", "event: error\ndata: {}\n\n")


class PredictHandler(CallHandler):
    """`POST predict/NAME`; see docs/rest.md."""

    def initialize(self, context: ServerContext) -> None:
        super().initialize(context)
        self._began = False
        self._loop = asyncio.get_running_loop()

    async def answer(self) -> None:
        described = self._wants_described()
        gateway, content_type = await self.gateway(), self.request.headers.get("Content-Type", "")
        read = in_thread(gateway.read_predict, self.call, self.received, content_type)
        request, streams = await self.while_connected(read)
        await self.while_connected(gateway.fetch(self.call, request))
        stream = self._stream_format(streams=streams)

        def call() -> list[str]:
            """Make the calls. Send each answer as it comes if the response is a stream, else return all of them."""
            kept = []
            with closing(gateway.answers(self.call, request, described=described)) as texts:
                for text in texts:
                    kept.append(text) if stream is None else self._send(stream, text)
            return kept

        try:
            texts = await self.in_turn(call)
        except GpumodelsError as error:
            if stream is None or not self._began:
                raise
            self.write(stream.failure.format(json.dumps(error_json(error))))
        if stream is not None:
            self._begin(stream)
            self.finish(set_content_type=stream.type)
        else:
            self.finish(f"[{', '.join(texts)}]" if request.several else texts[0])

    def _send(self, stream: StreamFormat, text: str) -> None:
        """Send an answer and wait until the client has taken it, so that a slow client slows the model down.

        Called in a thread.
        """
        sent = asyncio.run_coroutine_threadsafe(self._write_and_flush(stream, text), self._loop)
        left = self.call.deadline - time.monotonic()
        try:
            sent.result(None if left == math.inf else max(0.0, left))
        except TimeoutError:
            self.call.ticket.end()
            raise CallTimeout(f"the client did not read the answers of {self.call.callee.name} in time") from None
        self.call.ticket.check()

    async def _write_and_flush(self, stream: StreamFormat, text: str) -> None:
        self._begin(stream)
        self.write(stream.item.format(text))
        flushed = asyncio.ensure_future(self.flush())
        await asyncio.wait({flushed, self.client_gone}, return_when=asyncio.FIRST_COMPLETED)
        if not flushed.done():  # a flush never ends once the connection is closed
            flushed.cancel()

    def _begin(self, stream: StreamFormat) -> None:
        if not self._began:
            self._began = True
            self.set_header("Content-Type", stream.type)
            self.set_header("Cache-Control", "no-cache")
            self.set_header("X-Accel-Buffering", "no")  # nginx would collect answers and send them late

    def _stream_format(self, *, streams: bool) -> StreamFormat | None:
        """Return the format of the stream that the client accepts; None if the response is a single JSON value.

        `streams` is True if the model gives several answers to a call.
        """
        accepted = self.request.headers.get("Accept", "")
        if EVENTS.type in accepted:
            return EVENTS
        return LINES if streams or LINES.type in accepted else None

    def _wants_described(self) -> bool:
        arrays = self.get_query_argument("arrays", "lists")
        if arrays not in {"lists", "described"}:
            raise Refused(400, f"arrays must be lists or described, not {arrays!r:.40}")
        return arrays == "described"
