"""Reading requests and writing answers of the Open Inference Protocol by HTTP, without I/O.

Tensors are in the JSON or, with Triton's binary tensor data extension, after it. Then the header
`Inference-Header-Content-Length` is the length of the JSON, and each such tensor has `binary_data_size`, the number of
bytes of its data.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.jupyter.gateway import json_text
from gpumodels.jupyter.gateway.errors import Refused
from gpumodels.jupyter.gateway.names import HEADER_LENGTH, VERSION
from gpumodels.protocol import (
    CONTENT_TYPE,
    DATATYPES,
    DTYPES,
    TensorError,
    as_array,
    cast,
    checked_size,
    decode,
    encode,
    from_bits,
    storage,
    unshapely,
    view,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumodels.protocol import Tensor
    from gpumodels.signature import Signature, TensorSpec

_SIZE, _BINARY, _ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"
_BASE64 = "base64"
#: Parameters of Triton that are not supported. Without them the answer would be a different one, so requests with them
#: are refused.
_UNSUPPORTED = ("shared_memory_region", "classification", "sequence_id")


@dataclass(frozen=True)
class Request:
    """The content of a request."""

    #: The values by input name.
    inputs: dict[str, Any]
    id: str = ""
    #: The names of the requested outputs, each with True if it is to be sent as binary data; empty for all outputs.
    wanted: dict[str, bool] = field(default_factory=dict)
    #: True if all outputs are to be sent as binary data. It counts only if `wanted` is empty.
    binary: bool = False
    #: The time limit of the call, in seconds; None without a limit.
    timeout: float | None = None


def read(body: bytes | bytearray, header_length: str | None, signature: Signature) -> Request:
    """Return the request in a body. Raises Refused if it is malformed.

    Declared sizes are compared with the number of received bytes before memory is allocated for them.
    """
    head, tail = _split(memoryview(body), header_length)
    request = json_text.read(head)
    if not isinstance(request, dict):
        raise Refused(400, "a request must be a JSON object with inputs")
    parameters = _parameters(request, "the request")
    inputs: dict[str, Any] = {}
    data = _BinaryData(tail)
    for tensor in _objects(request, "inputs"):
        name = _unique_name(tensor, inputs)
        try:
            inputs[name] = _input(tensor, _spec(signature.inputs, name), data)
        except TensorError as error:
            raise Refused(400, f"input {name!r:.80}: {error}") from None
    if data.left:
        raise Refused(400, f"{data.left} bytes of binary data belong to no input")
    binary, wanted = parameters.get(_ALL_BINARY) is True, dict[str, bool]()
    for output in _objects(request, "outputs") if "outputs" in request else ():
        name = _unique_name(output, wanted)
        wanted[name] = _parameters(output, name).get(_BINARY, binary) is True
    return Request(inputs, str(request.get("id", "")), wanted, binary, _timeout(parameters))


def write(model: str, request: Request, values: Mapping[str, Any], signature: Signature) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON if binary data follows it, else None.

    `values` holds the outputs by name. Raises Refused if the request wants an output that the model does not have.
    """
    if unknown := request.wanted.keys() - values.keys():
        raise Refused(400, f"{model} has no output {min(unknown)!r:.80}; its outputs are {', '.join(values)}")
    outputs, data = [], []
    for name in request.wanted or values:
        spec = _spec(signature.outputs, name)
        tensor = encode(name, values[name], "any" if spec is None else spec.dtype)
        if request.wanted.get(name, request.binary):
            data.append(tensor.data)
            outputs.append(_tensor_json(tensor, {_SIZE: tensor.nbytes}))
        else:
            outputs.append(_tensor_json_with_data(tensor))
    answer = {"model_name": model, "model_version": VERSION, **({"id": request.id} if request.id else {})}
    head = f'{json.dumps(answer)[:-1]}, "outputs": [{", ".join(outputs)}]}}'.encode()
    return b"".join([head, *data]), len(head) if data else None


def metadata(model: str, signature: Signature) -> dict[str, Any]:
    """Return the metadata of a model. A free size is -1. The key `parameters` holds facts that have no other key."""
    return {
        "name": model,
        "versions": [VERSION],
        "platform": "gpumodels",
        "inputs": list(map(_declared, signature.inputs)),
        "outputs": list(map(_declared, signature.outputs)),
        **({"parameters": {"stream": True}} if signature.stream else {}),
    }


def _declared(spec: TensorSpec) -> dict[str, Any]:
    facts = {"dtype": spec.dtype, "kind": spec.kind, "optional": spec.optional, "description": spec.description}
    return {
        "name": spec.name,
        "datatype": DATATYPES.get(spec.dtype, "BYTES"),
        "shape": [size if isinstance(size, int) else -1 for size in spec.shape or ()],
        "parameters": {key: value for key, value in facts.items() if value},
    }


def _split(body: memoryview, header_length: str | None) -> tuple[bytes, memoryview]:
    """Return the JSON of a body, and the binary data after it."""
    length = len(body)
    if header_length is not None:
        digits = header_length.isascii() and header_length.isdecimal() and len(header_length) <= len(str(length))
        if not digits or int(header_length) > length:
            raise Refused(400, f"{HEADER_LENGTH} is {header_length!r:.40}, but the body has {length} bytes")
        length = int(header_length)
    return bytes(body[: min(length, json_text.LIMIT + 1)]), body[length:]


class _BinaryData:
    """The binary data of a request; each tensor takes its part in turn."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    @property
    def left(self) -> int:
        return len(self._data)

    def take(self, size: Any) -> memoryview:
        if type(size) is not int or not 0 <= size <= self.left:
            raise TensorError(f"{_SIZE} is {size!r:.40}, but {self.left} bytes are left")
        part, self._data = self._data[:size], self._data[size:]
        return part


def _input(tensor: dict[str, Any], spec: TensorSpec | None, data: _BinaryData) -> Any:
    datatype, shape, parameters = tensor.get("datatype"), _shape(tensor), _parameters(tensor, "the input")
    if not isinstance(datatype, str):
        raise TensorError("it has no datatype")
    storage(datatype)  # raises TensorError for an unknown datatype
    content_type = parameters.get(CONTENT_TYPE, "")
    if (_SIZE in parameters) == ("data" in tensor):
        raise TensorError(f"it needs either data or {_SIZE}")
    if _SIZE in parameters:
        array = view(datatype, shape, data.take(parameters[_SIZE]))
    elif datatype != "BYTES":
        return _numbers(tensor["data"], datatype, shape)
    else:
        array = view(datatype, shape, encode("", _elements(tensor["data"], content_type), "bytes").data)
        content_type = "" if content_type == _BASE64 else content_type or "str"
    if spec is not None and spec.kind == "image" and datatype == "BYTES":
        return _picture(decode(datatype, shape, "", array), shape)
    declared = "" if spec is None else spec.dtype
    known = {"bytes": "", "str": "str", "json": "json"}.get(declared, str(content_type))
    return decode(datatype, shape, known, array)


def _picture(value: Any, shape: tuple[int, ...]) -> Any:
    """Return the bytes of one encoded picture. Raises TensorError unless `value` has exactly one element.

    The bytes are not decoded to text, because a text would be taken for the path of a file.
    """
    if math.prod(shape) != 1:
        raise TensorError(f"it has {math.prod(shape)} pictures: a call takes one")
    return value if shape == () else value.item()


def _numbers(data: Any, datatype: str, shape: tuple[int, ...]) -> Any:
    array = as_array(data)
    if array.size != math.prod(shape):
        raise TensorError(f"{datatype}{list(shape)} came with {array.size} values")
    checked_size(datatype, shape, array.size * storage(datatype).itemsize)
    numbers = cast(array, DTYPES[datatype])
    try:
        numbers = numbers.reshape(shape)
    except ValueError:  # such as (0, 2**62), which has no values and which numpy cannot represent
        raise unshapely(shape) from None
    return from_bits(numbers) if datatype == "BF16" else numbers


def _elements(data: Any, content_type: Any) -> list[bytes]:
    """Return the elements of a BYTES tensor: strings in JSON, or base64 if that is the content type."""
    flat = np.asarray(data, object).ravel().tolist() if isinstance(data, list) else [data]
    if not all(isinstance(each, str) for each in flat):
        raise TensorError("the data of a BYTES tensor must be a list of strings")
    try:
        return [json_text.from_base64(each) if content_type == _BASE64 else each.encode() for each in flat]
    except UnicodeEncodeError as error:
        raise TensorError(f"it is not Unicode text: {error}") from None


def _tensor_json(tensor: Tensor, parameters: dict[str, Any]) -> str:
    """Return the JSON of a tensor without its data."""
    if tensor.content_type:
        parameters = {CONTENT_TYPE: tensor.content_type, **parameters}
    described = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    return json.dumps({**described, "parameters": parameters} if parameters else described)


def _tensor_json_with_data(tensor: Tensor) -> str:
    """Return the JSON of a tensor with its data; bytes that are not text as base64."""
    array = view(tensor.datatype, tensor.shape, tensor.data)
    if tensor.datatype != "BYTES":
        flat = json_text.array(decode(tensor.datatype, tensor.shape, "", array).reshape(-1))
        return f'{_tensor_json(tensor, {})[:-1]}, "data": {flat}}}'
    value = decode("BYTES", tensor.shape, "", array)
    elements = [value] if tensor.shape == () else value.ravel().tolist()
    if tensor.content_type:
        texts, parameters = [each.decode() for each in elements], {}
    else:
        texts, parameters = [json_text.to_base64(each)["base64"] for each in elements], {CONTENT_TYPE: _BASE64}
    return f'{_tensor_json(tensor, parameters)[:-1]}, "data": {json.dumps(texts)}}}'


def _objects(request: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = request.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Refused(400, f"{key} of a request must be a list of objects")
    return found


def _unique_name(tensor: dict[str, Any], known: Mapping[str, Any]) -> str:
    name = tensor.get("name")
    if not isinstance(name, str) or name in known:
        raise Refused(400, f"each input and output must have a name of its own, not {name!r:.80}")
    return name


def _shape(tensor: dict[str, Any]) -> tuple[int, ...]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise TensorError(f"its shape must be a list of sizes, not {shape!r:.80}")
    return tuple(shape)


def _parameters(described: dict[str, Any], name: str) -> dict[str, Any]:
    parameters = described.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Refused(400, f"the parameters of {name:.80} must be an object")
    for key in _UNSUPPORTED:
        if parameters.get(key):
            raise Refused(400, f"{key} is not supported here")
    return parameters


def _timeout(parameters: dict[str, Any]) -> float | None:
    """Return the timeout in seconds; None without one. As in Triton, the parameter is in microseconds."""
    timeout = parameters.get("timeout")
    if timeout is None:
        return None
    if type(timeout) is not int or timeout <= 0:
        raise Refused(400, f"timeout must be a number of microseconds above 0, not {timeout!r:.40}")
    return timeout / 1e6


def _spec(specs: tuple[TensorSpec, ...], name: str) -> TensorSpec | None:
    return next((spec for spec in specs if spec.name == name), None)
