"""Message classes and methods of `inference.proto`, built in a descriptor pool of our own.

Protobuf's default pool refuses two definitions of one name, and tritonclient, TensorFlow Serving's client and others
each bring theirs. A pool of our own never meets them, in whatever order things are imported. `inference.pb` is
`inference.proto` compiled (a FileDescriptorSet); a test compiles it again and compares.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from collections.abc import Callable

_pool = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name("inference.pb").read_bytes()).file:
    _pool.Add(_file)

_service = _pool.FindServiceByName("inference.GRPCInferenceService")

#: No limit: how large a message may get is decided where it is made.
CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_metadata_size", 64 << 10),  # room for a remote traceback
    ("grpc.absolute_max_metadata_size", 128 << 10),
]


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"inference.{name}"))


ServerLiveRequest = _message("ServerLiveRequest")
ServerLiveResponse = _message("ServerLiveResponse")
ServerReadyRequest = _message("ServerReadyRequest")
ServerReadyResponse = _message("ServerReadyResponse")
ModelReadyRequest = _message("ModelReadyRequest")
ModelReadyResponse = _message("ModelReadyResponse")
ServerMetadataRequest = _message("ServerMetadataRequest")
ServerMetadataResponse = _message("ServerMetadataResponse")
ModelMetadataRequest = _message("ModelMetadataRequest")
ModelMetadataResponse = _message("ModelMetadataResponse")
ModelInferRequest = _message("ModelInferRequest")
ModelInferResponse = _message("ModelInferResponse")
SystemSharedMemoryStatusRequest = _message("SystemSharedMemoryStatusRequest")
SystemSharedMemoryStatusResponse = _message("SystemSharedMemoryStatusResponse")
SystemSharedMemoryRegisterRequest = _message("SystemSharedMemoryRegisterRequest")
SystemSharedMemoryRegisterResponse = _message("SystemSharedMemoryRegisterResponse")
SystemSharedMemoryUnregisterRequest = _message("SystemSharedMemoryUnregisterRequest")
SystemSharedMemoryUnregisterResponse = _message("SystemSharedMemoryUnregisterResponse")


def stub(channel: grpc.Channel) -> SimpleNamespace:
    """One callable per method of the service, by its name: `stub(channel).ModelReady(ModelReadyRequest())`."""
    calls = {
        method.name: channel.unary_unary(
            f"/{_service.full_name}/{method.name}",
            request_serializer=_message(method.input_type.name).SerializeToString,
            response_deserializer=_message(method.output_type.name).FromString,
        )
        for method in _service.methods
    }
    return SimpleNamespace(**calls)


def handler(servicer: object) -> grpc.GenericRpcHandler[Any, Any]:
    """What a grpc server needs to serve the methods of `servicer`, which bear the names of the protocol."""
    methods = {
        method.name: grpc.unary_unary_rpc_method_handler(
            _behaviour(servicer, method.name),
            request_deserializer=_message(method.input_type.name).FromString,
            response_serializer=_message(method.output_type.name).SerializeToString,
        )
        for method in _service.methods
    }
    return grpc.method_handlers_generic_handler(_service.full_name, methods)


def _behaviour(servicer: object, name: str) -> Callable[[Any, grpc.ServicerContext], Any]:
    behaviour: Callable[[Any, grpc.ServicerContext], Any] = getattr(servicer, name)
    return behaviour


def set_parameters(message: Any, **values: bool | int | str) -> None:
    """Set InferParameters of a message that has some."""
    for name, value in values.items():
        field = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
        setattr(message.parameters[name], field, value)


def parameters(message: Any) -> dict[str, bool | int | float | str]:
    """Read the InferParameters of a message; those without a value are left out."""
    found = {}
    for name, parameter in message.parameters.items():
        field = parameter.WhichOneof("parameter_choice")
        if field is not None:
            found[name] = getattr(parameter, field)
    return found
