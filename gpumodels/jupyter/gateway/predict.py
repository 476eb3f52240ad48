"""`POST predict/NAME`: pictures, fields or JSON in, JSON out; several answers one after another as they come."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado import web

from gpumodels.client.plain import outputs
from gpumodels.errors import CallTimeout, GpumodelsError
from gpumodels.jupyter.gateway import predicting
from gpumodels.jupyter.gateway.base import CallHandler, told
from gpumodels.jupyter.gateway.fetching import Fetch
from gpumodels.jupyter.gateway.predicting import Address
from gpumodels.jupyter.gateway.refused import Refused
from gpumodels.jupyter.threads import in_thread

if TYPE_CHECKING:
    from gpumodels.jupyter.base import Desk
    from gpumodels.jupyter.gateway.predicting import Asked
    from gpumodels.signature import Signature


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

    def initialize(self, desk: Desk) -> None:
        super().initialize(desk)
        self._began = False
        self._loop = asyncio.get_running_loop()

    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:  # noqa: ARG002  (found before the body was read)
        described = self._described()
        signature, asked = await self.while_here(in_thread(self._read))
        way = self._way(streams=signature.stream)
        calls = await self._fetched(asked)
        try:
            texts = await self.in_turn(lambda: self._call(signature, calls, way, described=described))
        except GpumodelsError as error:
            if way is None or not self._began:
                raise
            self.write(way.failure.format(json.dumps(told(error))))
        if way is not None:
            self._begin(way)
            self.finish(set_content_type=way.type)
        else:
            self.finish(f"[{', '.join(texts)}]" if asked.several else texts[0])

    def _read(self) -> tuple[Signature, Asked]:
        self.check_length(len(self.received))
        signature = self.gateway.callees.signature(self.callee)
        content_type = self.request.headers.get("Content-Type", "")
        return signature, predicting.read(bytes(self.received), content_type, signature, self.callee.name)

    async def _fetched(self, asked: Asked) -> list[dict[str, Any]]:
        """The inputs of the calls, with pictures in the place of addresses."""
        places = [(call, name) for call in asked.calls for name, value in call.items() if isinstance(value, Address)]
        if places and self.allowed.gateway_fetch != "on":
            raise Refused(
                403, "pictures are not fetched from addresses here (gateway_fetch is off): send them as files"
            )
        fetch = Fetch(self.allowed.gateway_body)
        found = await self.while_here(fetch.all([call[name].url for call, name in places])) if places else []
        for (call, name), picture in zip(places, found, strict=True):
            call[name] = picture
        return asked.calls

    def _call(
        self, signature: Signature, calls: list[dict[str, Any]], way: Way | None, *, described: bool
    ) -> list[str]:
        """In a thread: the texts of all answers; where there is a way, they are sent as they come, and none is kept."""
        texts = []
        while calls:
            inputs = calls.pop(0)
            with closing(self.gateway.callees.answers(self.callee, inputs, self.deadline, self.ticket)) as answers:
                for answer in answers:
                    text = predicting.answer(outputs(signature, answer), described=described)
                    texts.append(text) if way is None else self._send(way, text)
        return texts

    def _send(self, way: Way, text: str) -> None:
        """In a thread: until the client has read what came before, so that a slow one holds the model back."""
        sent = asyncio.run_coroutine_threadsafe(self._written(way, text), self._loop)
        try:
            sent.result(None if self.deadline == math.inf else max(0.0, self.deadline - time.monotonic()))
        except TimeoutError:
            self.ticket.end()
            raise CallTimeout(f"what {self.callee.name} answered was not read in time") from None
        self.ticket.check()

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
