"""What calls by HTTP do, apart from HTTP: imported when the first one comes, for it takes numpy and protobuf."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpumodels.client import Ticket, outputs_by_name
from gpumodels.jupyter.gateway import oip, predicting
from gpumodels.jupyter.gateway.callees import Callees
from gpumodels.jupyter.gateway.fetching import Fetch
from gpumodels.jupyter.gateway.queueing import Queue
from gpumodels.jupyter.gateway.refused import Refused
from gpumodels.settings import settings

if TYPE_CHECKING:
    from collections.abc import Generator

    from gpumodels.jupyter.gateway.callees import Callee
    from gpumodels.jupyter.gateway.predicting import Asked
    from gpumodels.settings import Settings


@dataclass
class Call:
    """One call by HTTP, let in; `deadline` is by time.monotonic()."""

    callee: Callee
    queue: Queue
    deadline: float
    #: How large its body may be, in bytes.
    limit: int
    ticket: Ticket = field(default_factory=Ticket)


class Gateway:
    """What the calls of one Jupyter server share. What is not async waits, so it belongs in a thread."""

    def __init__(self) -> None:
        self._callees = Callees()
        self._queues: dict[tuple[object, ...], Queue] = {}

    def admitted(self, name: str) -> tuple[Callee, Settings]:
        """What would be called, and what is allowed; raises Refused where nothing of that name can be."""
        return self._callees.find(name), settings()

    def enter(self, callee: Callee, allowed: Settings, seconds: float) -> Call:
        """On the event loop: let a call in that has at most so many seconds; raises Refused where there is no room."""
        self._queues = {key: queue for key, queue in self._queues.items() if queue.inside}
        queue = self._queues.setdefault(callee.key, Queue(allowed.gateway_calls))
        queue.enter(callee.name, allowed.gateway_calls + allowed.gateway_waiting)
        deadline = time.monotonic() + min(allowed.gateway_timeout, seconds)
        return Call(callee, queue, deadline, allowed.gateway_body)

    def ready(self) -> list[str]:
        """The names of the models that can be called."""
        return self._callees.ready()

    def metadata(self, name: str) -> dict[str, Any]:
        """What a model takes and gives, as the protocol says it."""
        callee = self._callees.find(name)
        return oip.metadata(callee.name, self._callees.signature(callee))

    def infer(self, call: Call, body: bytearray, header_length: str | None) -> tuple[bytes, int | None]:
        """The body of the protocol's answer, and the length of its JSON where binary data follows that."""
        name, signature = call.callee.name, self._callees.signature(call.callee)
        if signature.stream:
            raise Refused(400, f"{name} gives several answers to a call: ask POST gpumodels/predict/{name}")
        request = oip.read(body, header_length, signature)
        deadline = min(call.deadline, time.monotonic() + (request.timeout or float("inf")))
        (answer,) = self._callees.answers(call.callee, request.inputs, deadline, call.ticket)
        return oip.write(name, request, outputs_by_name(signature, answer), signature)

    def asked(self, call: Call, body: bytearray, content_type: str) -> tuple[Asked, bool]:
        """What a body asks of `predict`, and whether the model gives several answers to each call."""
        signature = self._callees.signature(call.callee)
        return predicting.read(bytes(body), content_type, signature, call.callee.name), signature.stream

    async def fetch(self, call: Call, asked: Asked) -> None:
        """Put pictures in the place of their addresses; raises Refused where that is not allowed or does not work."""
        places = asked.addresses()
        if places and settings().gateway_fetch != "on":
            raise Refused(
                403, "pictures are not fetched from addresses here (gateway_fetch is off): send them as files"
            )
        pictures = await Fetch(call.limit).all([inputs[name].url for inputs, name in places]) if places else []
        for (inputs, name), picture in zip(places, pictures, strict=True):
            inputs[name] = picture

    def texts(self, call: Call, asked: Asked, *, described: bool) -> Generator[str]:
        """The JSON of each answer as it comes; `described`: of arrays with their dtypes and shapes."""
        signature = self._callees.signature(call.callee)
        while asked.calls:
            inputs = asked.calls.pop(0)
            with closing(self._callees.answers(call.callee, inputs, call.deadline, call.ticket)) as answers:
                for answer in answers:
                    yield predicting.answer(outputs_by_name(signature, answer), described=described)
