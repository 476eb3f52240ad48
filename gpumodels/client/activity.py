"""The activity of a model: its calls from all processes, which its model server counts.

Any process of the user can read it, also while the notebook is busy. Totals come from the protocol's ModelStatistics,
so every server of the protocol has them. Figures of the last minute, and numbers of calls that wait and run, come only
from our own server.
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
    # The address /proc/self/fd/N may stand for another instance's socket later. The two must not share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.default_authority", "localhost"),
]


@dataclass(frozen=True)
class Activity:
    """The calls of a model. If its server is not our own, all fields from `per_second` on are None."""

    #: The end of the last call, in seconds since the epoch; 0.0 if there was none.
    last_call: float
    #: The number of calls that ended since the model was loaded. `errors` of these failed or were cancelled.
    calls: int
    errors: int
    #: The number of calls per second that ended in the last minute.
    per_second: float | None = None
    #: The median and the 99th percentile of the latency in the last minute, to within 6 %: the seconds from the
    #: beginning of a call until its answer. None if no call was answered.
    p50: float | None = None
    p99: float | None = None
    #: The numbers of calls that wait for their turn, and of calls that run.
    waiting: int | None = None
    running: int | None = None

    def idle(self, loaded: float) -> float:
        """Return the seconds since the last call ended; 0 while a call runs.

        If there was no call yet, return the seconds since `loaded`, which is in seconds since the epoch.
        """
        since = self.idle_since(loaded)
        return 0.0 if since is None else max(0.0, time.time() - since)

    def idle_since(self, loaded: float) -> float | None:
        """Return the moment when the last call ended; `loaded` if there was no call yet; None while a call runs.

        All moments are in seconds since the epoch.
        """
        return None if self.running else self.last_call or loaded


def read_activity(connector: Connector, model: str, within: float) -> Activity | None:
    """Return the activity of the model, or None if its server has ended or does not answer within `within` seconds."""
    try:
        server = connector.find(files.SOCKET_NAME)
    except OSError:
        return None
    if server is None:
        return None
    with grpc.insecure_channel(server.grpc_target, options=_OPTIONS) as channel:
        call: Any = methods.stub(channel).ModelStatistics
        try:
            answer = call(messages.ModelStatisticsRequest(name=model), timeout=within)
        except grpc.RpcError:
            return None
    return next(map(_activity, answer.model_stats), None)


def _activity(statistics: Any) -> Activity:
    errors = statistics.inference_stats.fail.count
    calls = statistics.inference_count + errors
    if not statistics.HasField("activity"):
        return Activity(statistics.last_inference / 1000, calls, errors)
    ours = statistics.activity
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
