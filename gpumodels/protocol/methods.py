"""The methods of `inference.proto` for gRPC clients and servers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import grpc

from gpumodels.protocol.messages import SERVICE, message_class

#: Options of gRPC channels and servers. They do not limit the size of messages; only the sender does.
CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_metadata_size", 64 << 10),  # room for a remote traceback
    ("grpc.absolute_max_metadata_size", 128 << 10),
]


def stub(channel: grpc.Channel) -> SimpleNamespace:
    """Return an object with a callable for each method: `stub(channel).ModelReady(ModelReadyRequest())`.

    A method that streams both ways takes an iterator of requests and returns an iterator of responses.
    """
    calls = {
        method.name: getattr(channel, _arity(method))(
            f"/{SERVICE.full_name}/{method.name}",
            request_serializer=message_class(method.input_type.name).SerializeToString,
            response_deserializer=message_class(method.output_type.name).FromString,
        )
        for method in SERVICE.methods
    }
    return SimpleNamespace(**calls)


def handler(servicer: object) -> grpc.GenericRpcHandler[Any, Any]:
    """Return the handler for a gRPC server. `servicer` has all methods of the protocol, by the same names."""
    methods = {
        method.name: getattr(grpc, f"{_arity(method)}_rpc_method_handler")(
            getattr(servicer, method.name),
            request_deserializer=message_class(method.input_type.name).FromString,
            response_serializer=message_class(method.output_type.name).SerializeToString,
        )
        for method in SERVICE.methods
    }
    return grpc.method_handlers_generic_handler(SERVICE.full_name, methods)


def _arity(method: Any) -> str:
    """Return gRPC's name for the kind of a method, such as unary_unary or stream_stream."""
    return "_".join("stream" if streams else "unary" for streams in (method.client_streaming, method.server_streaming))
