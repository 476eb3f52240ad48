"""Message classes of `inference.proto`, in a descriptor pool of our own. They do not need gRPC; `methods` does.

Protobuf's default pool refuses two definitions of one name, and tritonclient, TensorFlow Serving's client and others
add definitions of the same names to it. A pool of our own does not conflict with them, whatever is imported first.
`inference.pb` is the compiled `inference.proto` (a FileDescriptorSet). A test compiles it again and compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_pool = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name("inference.pb").read_bytes()).file:
    _pool.Add(_file)

#: The descriptor of the service, with its methods.
SERVICE = _pool.FindServiceByName("inference.GRPCInferenceService")


def message_class(name: str) -> Any:
    """Return the class of the message of that name."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"inference.{name}"))


ServerLiveRequest = message_class("ServerLiveRequest")
ServerLiveResponse = message_class("ServerLiveResponse")
ServerReadyRequest = message_class("ServerReadyRequest")
ServerReadyResponse = message_class("ServerReadyResponse")
ModelReadyRequest = message_class("ModelReadyRequest")
ModelReadyResponse = message_class("ModelReadyResponse")
ServerMetadataRequest = message_class("ServerMetadataRequest")
ServerMetadataResponse = message_class("ServerMetadataResponse")
ModelMetadataRequest = message_class("ModelMetadataRequest")
ModelMetadataResponse = message_class("ModelMetadataResponse")
ModelInferRequest = message_class("ModelInferRequest")
ModelInferResponse = message_class("ModelInferResponse")
ModelStreamInferResponse = message_class("ModelStreamInferResponse")
ModelConfigRequest = message_class("ModelConfigRequest")
ModelConfigResponse = message_class("ModelConfigResponse")
ModelStatisticsRequest = message_class("ModelStatisticsRequest")
ModelStatisticsResponse = message_class("ModelStatisticsResponse")
RepositoryIndexRequest = message_class("RepositoryIndexRequest")
RepositoryIndexResponse = message_class("RepositoryIndexResponse")
SystemSharedMemoryStatusRequest = message_class("SystemSharedMemoryStatusRequest")
SystemSharedMemoryStatusResponse = message_class("SystemSharedMemoryStatusResponse")
SystemSharedMemoryRegisterRequest = message_class("SystemSharedMemoryRegisterRequest")
SystemSharedMemoryRegisterResponse = message_class("SystemSharedMemoryRegisterResponse")
SystemSharedMemoryUnregisterRequest = message_class("SystemSharedMemoryUnregisterRequest")
SystemSharedMemoryUnregisterResponse = message_class("SystemSharedMemoryUnregisterResponse")


def set_parameters(message: Any, /, **values: bool | int | str) -> None:
    """Set InferParameters of a message that has a field `parameters`."""
    parameters = message.parameters
    for name, value in values.items():
        parameter = parameters[name]
        if isinstance(value, str):
            parameter.string_param = value
        elif isinstance(value, bool):
            parameter.bool_param = value
        else:
            parameter.int64_param = value


def parameters(message: Any) -> dict[str, bool | int | float | str]:
    """Return the InferParameters of a message, without those that have no value."""
    found: dict[str, bool | int | float | str] = {}
    if not message.parameters:  # fast path for the most frequent case
        return found
    for name, parameter in message.parameters.items():
        field = parameter.WhichOneof("parameter_choice")
        if field is not None:
            found[name] = getattr(parameter, field)
    return found
