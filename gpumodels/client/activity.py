"""When a model server was last called, by anybody: it counts for all who share it, and the notebook need not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from gpumodels.client import descriptors
from gpumodels.protocol import files, messages, methods

if TYPE_CHECKING:
    from pathlib import Path

_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # /proc/self/fd/N of two instances must not be taken for one address
    ("grpc.default_authority", "localhost"),
]


def last_call(socket_dir: Path, model: str, within: float) -> float | None:
    """When it answered last, in seconds since the epoch, 0.0 for never; None where it does not say in so many seconds.

    By the protocol's ModelStatistics, so that it holds for every server of the protocol.
    """
    try:
        directory = descriptors.directory(socket_dir)
        server = descriptors.server_socket(directory, files.SOCKET_NAME)
    except OSError:
        return None
    with grpc.insecure_channel(f"unix:{files.descriptor_path(server.fd)}", options=_OPTIONS) as channel:
        ask: Any = methods.stub(channel).ModelStatistics
        try:
            answer = ask(messages.ModelStatisticsRequest(name=model), timeout=within)
        except grpc.RpcError:
            return None
    return max((each.last_inference for each in answer.model_stats), default=0) / 1000
