"""The Open Inference Protocol's REST form: a request read and an answer written, without I/O.

Tensors lie in the JSON or, by Triton's binary tensor data extension, behind it: the header Inference-Header-Content-
Length says how long the JSON is, and `binary_data_size` of each such tensor how many of the bytes that follow are its.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumodels.jupyter.gateway import written
from gpumodels.jupyter.gateway.names import HEADER_LENGTH, VERSION
from gpumodels.jupyter.gateway.refused import Refused
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
#: Parameters that ask for what is not done here; to leave them unheard would answer another question.
_NOT_HERE = ("shared_memory_region", "classification", "sequence_id")


@dataclass(frozen=True)
class Request:
    """What is asked: values by input name, and which outputs are wanted in which form (all where there are none)."""

    inputs: dict[str, Any]
    id: str = ""
    wanted: dict[str, bool] = field(default_factory=dict)
    #: Whether outputs come as binary data that do not say themselves.
    binary: bool = False
    #: Seconds, None where it does not say.
    timeout: float | None = None


def read(body: bytes | bytearray, header_length: str | None, signature: Signature) -> Request:
    """The request in a body; raises Refused where it is none. Sizes are compared with the bytes that came at once."""
    head, tail = _parted(memoryview(body), header_length)
    asked = written.read(head)
    if not isinstance(asked, dict):
        raise Refused(400, "a request is a JSON object with inputs")
    parameters = _parameters(asked, "the request")
    inputs: dict[str, Any] = {}
    tensors = _Tail(tail)
    for told in _objects(asked, "inputs"):
        name = _named(told, inputs)
        try:
            inputs[name] = _input(told, _spec(signature.inputs, name), tensors)
        except TensorError as error:
            raise Refused(400, f"input {name!r:.80}: {error}") from None
    if tensors.left:
        raise Refused(400, f"{tensors.left} bytes of binary data belong to no input")
    binary, wanted = parameters.get(_ALL_BINARY) is True, dict[str, bool]()
    for told in _objects(asked, "outputs") if "outputs" in asked else ():
        name = _named(told, wanted)
        wanted[name] = _parameters(told, name).get(_BINARY, binary) is True
    return Request(inputs, str(asked.get("id", "")), wanted, binary, _timeout(parameters))


def write(model: str, request: Request, values: Mapping[str, Any], signature: Signature) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON where binary data follows it; raises Refused."""
    if unknown := request.wanted.keys() - values.keys():
        raise Refused(400, f"{model} has no output {min(unknown)!r:.80}; its outputs are {', '.join(values)}")
    outputs, data = [], []
    for name in request.wanted or values:
        spec = _spec(signature.outputs, name)
        tensor = encode(name, values[name], "any" if spec is None else spec.dtype)
        if request.wanted.get(name, request.binary):
            data.append(tensor.data)
            outputs.append(_told(tensor, {_SIZE: tensor.nbytes}))
        else:
            outputs.append(_with_data(tensor))
    told = {"model_name": model, "model_version": VERSION, **({"id": request.id} if request.id else {})}
    head = f'{json.dumps(told)[:-1]}, "outputs": [{", ".join(outputs)}]}}'.encode()
    return b"".join([head, *data]), len(head) if data else None


def metadata(model: str, signature: Signature) -> dict[str, Any]:
    """What a model says of itself; a size that is free is -1, and parameters tell what the protocol cannot."""
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


def _parted(body: memoryview, header_length: str | None) -> tuple[bytes, memoryview]:
    """The JSON, and what follows it."""
    length = len(body)
    if header_length is not None:
        digits = header_length.isascii() and header_length.isdecimal() and len(header_length) <= len(str(length))
        if not digits or int(header_length) > length:
            raise Refused(400, f"{HEADER_LENGTH} is {header_length!r:.40}, of the {length} bytes that came")
        length = int(header_length)
    return bytes(body[: min(length, written.LIMIT + 1)]), body[length:]


class _Tail:
    """The binary data, of which each tensor takes its part."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    @property
    def left(self) -> int:
        return len(self._data)

    def take(self, size: Any) -> memoryview:
        if type(size) is not int or not 0 <= size <= self.left:
            raise TensorError(f"{_SIZE} is {size!r:.40}, of which {self.left} bytes came")
        part, self._data = self._data[:size], self._data[size:]
        return part


def _input(told: dict[str, Any], spec: TensorSpec | None, tail: _Tail) -> Any:
    datatype, shape, parameters = told.get("datatype"), _shape(told), _parameters(told, "the input")
    if not isinstance(datatype, str):
        raise TensorError("it has no datatype")
    storage(datatype)  # raises where there is none of that name
    content_type = parameters.get(CONTENT_TYPE, "")
    if (_SIZE in parameters) == ("data" in told):
        raise TensorError(f"it needs either data or {_SIZE}")
    if _SIZE in parameters:
        array = view(datatype, shape, tail.take(parameters[_SIZE]))
    elif datatype != "BYTES":
        return _numbers(told["data"], datatype, shape)
    else:
        array = view(datatype, shape, encode("", _elements(told["data"], content_type), "bytes").data)
        content_type = "" if content_type == _BASE64 else content_type or "str"
    if spec is not None and spec.kind == "image" and datatype == "BYTES":
        return _picture(decode(datatype, shape, "", array), shape)
    declared = "" if spec is None else spec.dtype
    known = {"bytes": "", "str": "str", "json": "json"}.get(declared, str(content_type))
    return decode(datatype, shape, known, array)


def _picture(value: Any, shape: tuple[int, ...]) -> Any:
    """The bytes of one encoded picture: never text, which elsewhere is the path of a file."""
    if math.prod(shape) != 1:
        raise TensorError(f"{math.prod(shape)} pictures came: a call takes one")
    return value if shape == () else value.item()


def _numbers(data: Any, datatype: str, shape: tuple[int, ...]) -> Any:
    array = as_array(data)
    if array.size != math.prod(shape):
        raise TensorError(f"{datatype}{list(shape)} came with {array.size} values")
    checked_size(datatype, shape, array.size * storage(datatype).itemsize)
    numbers = cast(array, DTYPES[datatype])
    try:
        numbers = numbers.reshape(shape)
    except ValueError:  # (0, 2**62): no values, but numpy has no such shape
        raise unshapely(shape) from None
    return from_bits(numbers) if datatype == "BF16" else numbers


def _elements(data: Any, content_type: Any) -> list[bytes]:
    """The elements of a BYTES tensor, which JSON holds as text or, where that is said, as base64."""
    flat = np.asarray(data, object).ravel().tolist() if isinstance(data, list) else [data]
    if not all(isinstance(each, str) for each in flat):
        raise TensorError("the data of BYTES are texts, in a list")
    try:
        return [written.unraw(each) if content_type == _BASE64 else each.encode() for each in flat]
    except UnicodeEncodeError as error:
        raise TensorError(f"it is not Unicode text: {error}") from None


def _told(tensor: Tensor, parameters: dict[str, Any]) -> str:
    if tensor.content_type:
        parameters = {CONTENT_TYPE: tensor.content_type, **parameters}
    told = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    return json.dumps({**told, "parameters": parameters} if parameters else told)


def _with_data(tensor: Tensor) -> str:
    """Bytes that are no text are told in base64."""
    array = view(tensor.datatype, tensor.shape, tensor.data)
    if tensor.datatype != "BYTES":
        flat = written.array(decode(tensor.datatype, tensor.shape, "", array).reshape(-1))
        return f'{_told(tensor, {})[:-1]}, "data": {flat}}}'
    value = decode("BYTES", tensor.shape, "", array)
    elements = [value] if tensor.shape == () else value.ravel().tolist()
    if tensor.content_type:
        texts, parameters = [each.decode() for each in elements], {}
    else:
        texts, parameters = [written.raw(each)["base64"] for each in elements], {CONTENT_TYPE: _BASE64}
    return f'{_told(tensor, parameters)[:-1]}, "data": {json.dumps(texts)}}}'


def _objects(asked: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = asked.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Refused(400, f"{key} of a request must be a list of objects")
    return found


def _named(told: dict[str, Any], known: Mapping[str, Any]) -> str:
    name = told.get("name")
    if not isinstance(name, str) or name in known:
        raise Refused(400, f"each input and output has a name of its own, not {name!r:.80}")
    return name


def _shape(told: dict[str, Any]) -> tuple[int, ...]:
    shape = told.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise TensorError(f"its shape must be a list of sizes, not {shape!r:.80}")
    return tuple(shape)


def _parameters(told: dict[str, Any], whose: str) -> dict[str, Any]:
    parameters = told.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Refused(400, f"the parameters of {whose:.80} must be an object")
    for key in _NOT_HERE:
        if parameters.get(key):
            raise Refused(400, f"{key} is not offered by HTTP here")
    return parameters


def _timeout(parameters: dict[str, Any]) -> float | None:
    """In microseconds, as Triton has it."""
    told = parameters.get("timeout")
    if told is None:
        return None
    if type(told) is not int or told <= 0:
        raise Refused(400, f"timeout must be a number of microseconds above 0, not {told!r:.40}")
    return told / 1e6


def _spec(specs: tuple[TensorSpec, ...], name: str) -> TensorSpec | None:
    return next((spec for spec in specs if spec.name == name), None)
