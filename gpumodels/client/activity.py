"""What a model server says of its work, to anybody: it counts for all who share it, and the notebook need not answer.

By the protocol's ModelStatistics, so that totals hold for every server of the protocol; the last minute and the queue
are told by ours.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from gpumodels.protocol import files, messages, methods

if TYPE_CHECKING:
    from gpumodels.protocol import Connector

_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # /proc/self/fd/N of two instances must not be taken for one address
    ("grpc.default_authority", "localhost"),
]


@dataclass(frozen=True)
class Activity:
    """What a model does, and did. Of a server that is not ours all from `per_second` on is None."""

    #: When the last call ended, in seconds since the epoch; 0.0 for never.
    last_call: float
    #: Calls that ended since it was loaded, and those of them that failed or were cancelled.
    calls: int
    errors: int
    #: Calls that ended, per second of the last minute.
    per_second: float | None = None
    #: Seconds that half, and 99 of 100, of the calls answered in the last minute stayed below, to within 6 %, from
    #: being begun until answered; None where there was none.
    p50: float | None = None
    p99: float | None = None
    #: Calls that have come and not begun, and that run.
    waiting: int | None = None
    running: int | None = None

    def idle(self, loaded: float) -> float:
        """Seconds since the last call, or since it was `loaded`, by the epoch, without one; 0 while one runs."""
        since = self.idle_since(loaded)
        return 0.0 if since is None else max(0.0, time.time() - since)

    def idle_since(self, loaded: float) -> float | None:
        """When the last call ended, or when it was `loaded`, by the epoch, without one; None while one runs."""
        return None if self.running else self.last_call or loaded


def read_activity(connector: Connector, model: str, within: float) -> Activity | None:
    """Return the activity of a model, or None if its server does not tell it within so many seconds."""
    try:
        server = connector.find(files.SOCKET_NAME)
    except OSError:
        return None
    if server is None:
        return None
    with grpc.insecure_channel(server.grpc_target, options=_OPTIONS) as channel:
        ask: Any = methods.stub(channel).ModelStatistics
        try:
            answer = ask(messages.ModelStatisticsRequest(name=model), timeout=within)
        except grpc.RpcError:
            return None
    return next(map(_activity, answer.model_stats), None)


def _activity(told: Any) -> Activity:
    errors = told.inference_stats.fail.count
    calls = told.inference_count + errors
    if not told.HasField("activity"):
        return Activity(told.last_inference / 1000, calls, errors)
    ours = told.activity
    return Activity(
        last_call=ours.last_call_ms / 1000,
        calls=calls,
        errors=errors,
        per_second=ours.per_second,
        p50=ours.p50_ns / 1e9 or None,
        p99=ours.p99_ns / 1e9 or None,
        waiting=ours.waiting,
        running=ours.running,
    )
