"""The calls that the gateway's handlers make on models.

The handlers import this module at the first call, because it imports numpy and protobuf.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpumodels.client import Ticket, outputs_by_name
from gpumodels.jupyter.gateway import oip, predict_format
from gpumodels.jupyter.gateway.callees import Callees
from gpumodels.jupyter.gateway.errors import Refused
from gpumodels.jupyter.gateway.fetching import Fetch
from gpumodels.jupyter.gateway.queueing import Queue
from gpumodels.settings import settings

if TYPE_CHECKING:
    from collections.abc import Generator

    from gpumodels.jupyter.gateway.callees import Callee
    from gpumodels.jupyter.gateway.predict_format import PredictRequest
    from gpumodels.settings import Settings


@dataclass
class Call:
    """An admitted call by HTTP. `deadline` is by time.monotonic(). Another thread can cancel the call by `ticket`."""

    callee: Callee
    queue: Queue
    deadline: float
    #: The largest body, in bytes.
    limit: int
    ticket: Ticket = field(default_factory=Ticket)


class Gateway:
    """The state that all calls of one Jupyter server share.

    Call `enter` and `fetch` on the event loop. All other methods block: call them in threads.
    """

    def __init__(self) -> None:
        self._callees = Callees()
        self._queues: dict[tuple[object, ...], Queue] = {}

    def find(self, name: str) -> tuple[Callee, Settings]:
        """Return the model with a name or id, and the settings. Raises Refused if the model cannot be called."""
        return self._callees.find(name), settings()

    def enter(self, callee: Callee, allowed: Settings, seconds: float) -> Call:
        """Admit a call that may take at most `seconds`, and at most the time of the settings `allowed`.

        Raises Refused if the queue of the model is full.
        """
        self._queues = {key: queue for key, queue in self._queues.items() if queue.inside}
        queue = self._queues.setdefault(callee.key, Queue(allowed.gateway_calls))
        queue.enter(callee.name, allowed.gateway_calls + allowed.gateway_waiting)
        deadline = time.monotonic() + min(allowed.gateway_timeout, seconds)
        return Call(callee, queue, deadline, allowed.gateway_body)

    def ready(self) -> list[str]:
        """Return the names of the models that can be called."""
        return self._callees.ready()

    def metadata(self, name: str) -> dict[str, Any]:
        """Return the inputs and outputs of a model, as metadata of the Open Inference Protocol."""
        callee = self._callees.find(name)
        return oip.metadata(callee.name, self._callees.signature(callee))

    def infer(self, call: Call, body: bytearray, header_length: str | None) -> tuple[bytes, int | None]:
        """Make a call of the Open Inference Protocol. `header_length` is the value of the header `HEADER_LENGTH`.

        Return the body of the response, and the length of its JSON if binary data follows it, else None.
        """
        name, signature = call.callee.name, self._callees.signature(call.callee)
        if signature.stream:
            raise Refused(400, f"{name} gives several answers to a call: use POST gpumodels/predict/{name}")
        request = oip.read(body, header_length, signature)
        deadline = min(call.deadline, time.monotonic() + (request.timeout or float("inf")))
        (answer,) = self._callees.answers(call.callee, request.inputs, deadline, call.ticket)
        return oip.write(name, request, outputs_by_name(signature, answer), signature)

    def read_predict(self, call: Call, body: bytearray, content_type: str) -> tuple[PredictRequest, bool]:
        """Return the request in the body of a `predict` call, and True if the model gives several answers to a call."""
        signature = self._callees.signature(call.callee)
        return predict_format.read(bytes(body), content_type, signature, call.callee.name), signature.stream

    async def fetch(self, call: Call, request: PredictRequest) -> None:
        """Replace addresses of pictures in `request` by the pictures. Raises Refused if fetching is off or fails."""
        addresses = request.addresses()
        if addresses and settings().gateway_fetch != "on":
            raise Refused(
                403, "pictures are not fetched from addresses here (gateway_fetch is off): send them as files"
            )
        pictures = await Fetch(call.limit).all([inputs[name].url for inputs, name in addresses]) if addresses else []
        for (inputs, name), picture in zip(addresses, pictures, strict=True):
            inputs[name] = picture

    def answers(self, call: Call, request: PredictRequest, *, described: bool) -> Generator[str]:
        """Make the calls of a request and yield the JSON of each answer.

        With `described`, an array is an object with dtype, shape and data, else nested lists.
        """
        signature = self._callees.signature(call.callee)
        while request.calls:
            inputs = request.calls.pop(0)
            with closing(self._callees.answers(call.callee, inputs, call.deadline, call.ticket)) as answers:
                for answer in answers:
                    yield predict_format.answer(outputs_by_name(signature, answer), described=described)
